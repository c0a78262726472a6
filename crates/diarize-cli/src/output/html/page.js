"use strict";
(() => {
  const { result, said, peaks: packedPeaks, audio: source } = JSON.parse(document.getElementById("data").textContent);
  const $ = id => document.getElementById(id);

  // Okabe and Ito's colours; patterns tell speakers apart without them.
  const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999"];
  const PATTERNS = ["plain", "rising", "dots", "upright", "falling", "level"];
  const PEAKS_PER_SECOND = 100;
  const RULER = 22, WAVE = 70, LABEL = 17, BAR = 18, LANE = LABEL + BAR + 5;
  const STEPS = [.1, .2, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200];
  const MAX_SCALE = 400; // pixels per second

  function bytes(base64) {
    const text = atob(base64), all = new Uint8Array(text.length);
    for (let index = 0; index < text.length; index++) all[index] = text.charCodeAt(index);
    return all;
  }
  const peaks = bytes(packedPeaks);
  const turns = result.turns;
  const entries = said ?? turns; // what is listed: a transcript's paragraphs, where there is one
  const labels = result.speakers.map(speaker => speaker.label);
  const names = new Map(labels.map(label => [label, label]));
  const length = Math.max(result.duration, ...turns.map(turn => turn.end), 0.01);

  // Time

  function clock(seconds, digits = 1) {
    const unit = 10 ** digits, all = Math.round(seconds * unit), whole = Math.floor(all / unit);
    const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    const rest = String(whole % 60).padStart(2, "0") + (digits ? "." + String(all % unit).padStart(digits, "0") : "");
    return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
  }

  // Speakers: those with one name are one

  const nameOf = turn => names.get(turn.speaker);
  const people = () => [...new Set(names.values())];
  const indexOf = name => labels.findIndex(label => names.get(label) === name);

  /** Seconds of each name, of several at once, and of nobody. */
  function totals() {
    const edges = turns.flatMap(turn => [[turn.start, 1, nameOf(turn)], [turn.end, -1, nameOf(turn)]]);
    edges.push([0, 0, null], [length, 0, null]);
    edges.sort((a, b) => a[0] - b[0]);
    const active = new Map(), time = new Map(people().map(name => [name, 0]));
    const overlaps = [];
    let last = 0, silence = 0;
    for (const [at, change, name] of edges) {
      const speaking = [...active].filter(([, count]) => count > 0);
      for (const [speaker] of speaking) time.set(speaker, time.get(speaker) + at - last);
      if (speaking.length === 0) silence += at - last;
      if (speaking.length > 1 && at > last) {
        if (overlaps.length && overlaps.at(-1).end === last) overlaps.at(-1).end = at;
        else overlaps.push({ start: last, end: at });
      }
      if (name !== null) active.set(name, (active.get(name) ?? 0) + change);
      last = at;
    }
    return { time, silence, overlaps, overlap: overlaps.reduce((sum, span) => sum + span.end - span.start, 0) };
  }
  let sums = totals();

  // Audio

  /** The IMA ADPCM of the page as a 16 bit WAV. */
  function decode({ data, rate, samples, steps }) {
    const packed = bytes(data), header = 44;
    const wav = new DataView(new ArrayBuffer(header + 2 * samples));
    const text = (at, word) => [...word].forEach((letter, index) => wav.setUint8(at + index, letter.charCodeAt(0)));
    text(0, "RIFF"); text(8, "WAVEfmt "); text(36, "data");
    wav.setUint32(4, 36 + 2 * samples, true); wav.setUint32(16, 16, true);
    wav.setUint16(20, 1, true); wav.setUint16(22, 1, true);
    wav.setUint32(24, rate, true); wav.setUint32(28, 2 * rate, true);
    wav.setUint16(32, 2, true); wav.setUint16(34, 16, true);
    wav.setUint32(40, 2 * samples, true);
    let value = 0, index = 0;
    for (let at = 0; at < samples; at++) {
      const code = (packed[at >> 1] >> (4 * (at & 1))) & 15, step = steps[index];
      const change = (step >> 3) + (code & 4 ? step : 0) + (code & 2 ? step >> 1 : 0) + (code & 1 ? step >> 2 : 0);
      value = Math.max(-32768, Math.min(32767, code & 8 ? value - change : value + change));
      index = Math.max(0, Math.min(88, index + (code & 4 ? 2 * (code & 3) + 2 : -1)));
      wav.setInt16(header + 2 * at, value, true);
    }
    return URL.createObjectURL(new Blob([wav], { type: "audio/wav" }));
  }

  const audio = new Audio();
  let cursor = 0, playable = false;
  const now = () => playable ? audio.currentTime : cursor;

  function notice(text) {
    $("notice").hidden = false;
    $("notice").textContent = text;
  }

  function openAudio() {
    $("play").disabled = true;
    if (!source) return notice("This page has no audio.");
    audio.addEventListener("loadedmetadata", () => {
      playable = true;
      $("play").disabled = false;
      if (cursor) audio.currentTime = cursor;
    });
    audio.addEventListener("error", () => {
      playable = false;
      $("play").disabled = true;
      notice(source.path ? `The audio is not where this page looks for it: ${source.path}` : "This browser cannot play the audio.");
    });
    for (const event of ["play", "pause", "ended"]) audio.addEventListener(event, playing);
    audio.addEventListener("seeked", repaint);
    audio.preload = "auto";
    audio.src = source.path ? source.path.split("/").map(encodeURIComponent).join("/") : decode(source);
  }

  function playing() {
    $("play").classList.toggle("playing", !audio.paused);
    $("play").setAttribute("aria-label", audio.paused ? "Play" : "Pause");
    if (!audio.paused) tick();
    repaint();
  }

  function tick() {
    if (audio.paused) return;
    follow(0.2);
    repaint();
    requestAnimationFrame(tick);
  }

  const toggle = () => playable && (audio.paused ? audio.play() : audio.pause());

  function seek(time) {
    cursor = Math.max(0, Math.min(length, time));
    if (playable) audio.currentTime = Math.min(cursor, audio.duration);
    follow(0.5);
    repaint();
  }

  /** To the start of the turn before or after; a little after a start, back is to that start. */
  function step(direction) {
    const starts = turns.map(turn => turn.start);
    const at = now();
    const found = direction > 0 ? starts.find(start => start > at + 0.05) : starts.findLast(start => start < at - 0.5);
    seek(found ?? (direction > 0 ? length : 0));
  }

  // Painting

  const theme = name => getComputedStyle(document.documentElement).getPropertyValue(name);

  /** The fill of a speaker: a colour and a pattern. */
  function fill(context, index) {
    const colour = COLOURS[index % COLOURS.length], tile = document.createElement("canvas"), size = 8;
    tile.width = tile.height = size;
    const paper = tile.getContext("2d");
    paper.fillStyle = colour;
    paper.fillRect(0, 0, size, size);
    paper.strokeStyle = paper.fillStyle = "rgba(255, 255, 255, .55)";
    paper.lineWidth = 1.6;
    paper.beginPath();
    const line = (...points) => { paper.moveTo(points[0], points[1]); paper.lineTo(points[2], points[3]); };
    switch (PATTERNS[index % PATTERNS.length]) {
      case "rising": line(-2, 2, 2, -2); line(-2, 10, 10, -2); line(6, 10, 10, 6); break;
      case "falling": line(-2, 6, 2, 10); line(-2, -2, 10, 10); line(6, -2, 10, 2); break;
      case "upright": line(4, -1, 4, 9); break;
      case "level": line(-1, 4, 9, 4); break;
      case "dots": paper.arc(4, 4, 1.7, 0, 7); paper.fill(); paper.beginPath(); break;
    }
    paper.stroke();
    return { pattern: context.createPattern(tile, "repeat"), image: `url(${tile.toDataURL()})` };
  }
  const fills = labels.map((_, index) => fill($("timeline").getContext("2d"), index));

  /** Sizes a canvas for the screen's pixels and returns a cleared context in CSS pixels. */
  function clear(canvas, width, height) {
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = width + "px";
      canvas.style.height = height + "px";
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  }

  function paintWave(context, from, scale, top, width, height) {
    context.fillStyle = theme("--wave");
    for (let x = 0; x < width; x++) {
      const first = Math.floor((from + x / scale) * PEAKS_PER_SECOND);
      const last = Math.max(first + 1, Math.floor((from + (x + 1) / scale) * PEAKS_PER_SECOND));
      let peak = 0;
      for (let index = first; index < last && index < peaks.length; index++) peak = Math.max(peak, peaks[index]);
      const size = Math.max(1, peak / 255 * height);
      context.fillRect(x, top + (height - size) / 2, 1, size);
    }
  }

  function paintBlock(context, x, y, width, height, index, confidence) {
    context.globalAlpha = confidence === undefined ? 1 : 0.3 + 0.7 * confidence;
    // A pattern would hide what is narrower than it.
    context.fillStyle = width < 8 ? COLOURS[index % COLOURS.length] : fills[index].pattern;
    context.beginPath();
    context.roundRect(x, y, Math.max(width, 1.5), height, Math.min(3, width / 2));
    context.fill();
    context.globalAlpha = 1;
    if (width > 3 && height > 8) {
      context.strokeStyle = theme("--edge");
      context.lineWidth = 1;
      context.stroke();
    }
  }

  function paintRuler(context, from, scale, width, height) {
    const gap = STEPS.find(gap => gap * scale >= 72) ?? STEPS.at(-1);
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = theme("--quiet");
    context.strokeStyle = theme("--line");
    context.lineWidth = 1;
    context.beginPath();
    for (let tick = Math.ceil(from / gap); tick * gap <= Math.min(length, from + width / scale); tick++) {
      const x = Math.round((tick * gap - from) * scale) + 0.5;
      context.moveTo(x, RULER - 6);
      context.lineTo(x, height);
      const text = clock(tick * gap, gap < 1 ? 1 : 0);
      if (x + context.measureText(text).width + 4 < width) context.fillText(text, x + 4, RULER - 8);
    }
    context.stroke();
  }

  function paintTimeline() {
    const view = $("view"), width = view.clientWidth, from = view.scrollLeft / scale, until = from + width / scale;
    const lanes = people(), height = RULER + WAVE + 6 + LANE * (lanes.length + (sums.overlaps.length ? 1 : 0)) + 4;
    const context = clear($("timeline"), width, height);
    paintRuler(context, from, scale, width, height);
    paintWave(context, from, scale, RULER, width, WAVE);
    const label = (text, top) => {
      context.font = "600 12px system-ui, sans-serif";
      const size = context.measureText(text).width;
      context.fillStyle = theme("--card");
      context.globalAlpha = 0.85;
      context.fillRect(0, top, size + 8, LABEL);
      context.globalAlpha = 1;
      context.fillStyle = theme("--text");
      context.fillText(text, 2, top + 13);
    };
    lanes.forEach((name, lane) => {
      const top = RULER + WAVE + 6 + lane * LANE, index = indexOf(name);
      context.fillStyle = theme("--hover");
      context.fillRect(0, top + LABEL, width, BAR);
      for (const turn of turns) {
        if (nameOf(turn) !== name || turn.end < from || turn.start > until) continue;
        const x = (turn.start - from) * scale;
        paintBlock(context, x, top + LABEL, (turn.end - turn.start) * scale, BAR, index, turn.confidence);
      }
      label(name, top);
    });
    if (sums.overlaps.length) {
      const top = RULER + WAVE + 6 + lanes.length * LANE;
      context.fillStyle = theme("--text");
      for (const span of sums.overlaps) {
        context.fillRect((span.start - from) * scale, top + LABEL + 5, Math.max(1.5, (span.end - span.start) * scale), BAR - 10);
      }
      label("Several at once", top);
    }
    const x = (now() - from) * scale;
    context.fillStyle = theme("--accent");
    context.fillRect(x - 1, RULER - 8, 2, height);
    context.beginPath();
    context.moveTo(x - 6, RULER - 10); context.lineTo(x + 6, RULER - 10); context.lineTo(x, RULER - 1);
    context.fill();
  }

  function paintOverview() {
    const canvas = $("overview"), width = canvas.parentElement.clientWidth - 28, height = 44, scale = width / length;
    const context = clear(canvas, width, height);
    paintWave(context, 0, scale, 2, width, 16);
    const lanes = people(), lane = 22 / Math.max(1, lanes.length);
    for (const turn of turns) {
      const name = nameOf(turn), top = 20 + lanes.indexOf(name) * lane;
      paintBlock(context, turn.start * scale, top, (turn.end - turn.start) * scale, Math.max(1.5, lane - 1), indexOf(name));
    }
    const [left, right] = visible().map(time => time * scale);
    context.fillStyle = theme("--back");
    context.globalAlpha = 0.65;
    context.fillRect(0, 0, left, height);
    context.fillRect(right, 0, width - right, height);
    context.globalAlpha = 1;
    context.strokeStyle = theme("--accent");
    context.lineWidth = 2;
    context.strokeRect(left + 1, 1, Math.max(2, right - left - 2), height - 2);
    context.fillStyle = theme("--accent");
    context.fillRect(now() * scale - 1, 0, 2, height);
  }

  let painting = false;
  function repaint() {
    if (painting) return;
    painting = true;
    requestAnimationFrame(() => {
      painting = false;
      paintTimeline();
      paintOverview();
      tell();
    });
  }

  /** What is told in words of the present moment. */
  function tell() {
    const at = now();
    $("now").textContent = clock(at);
    $("overview").setAttribute("aria-valuenow", at.toFixed(1));
    $("overview").setAttribute("aria-valuetext", clock(at));
    const is = ({ start, end }) => start <= at + 0.001 && at < end;
    const active = entries.map(is);
    const speaking = [...new Set(turns.filter(is).map(nameOf))];
    const bold = speaking.map(name => Object.assign(document.createElement("b"), { textContent: name }));
    $("speaking").replaceChildren(...bold.flatMap((name, index) => index ? [" and ", name] : [name]));
    active.forEach((is, index) => {
      const item = $("turns").children[index];
      if (is === item.hasAttribute("aria-current")) return;
      if (is) item.setAttribute("aria-current", "true"); else item.removeAttribute("aria-current");
      if (is && !audio.paused) reveal(item);
    });
  }

  /** Scrolls the list alone, never the page. */
  function reveal(item) {
    const list = $("turns");
    if (list.scrollHeight > list.clientHeight) list.scrollTop = item.offsetTop - list.offsetTop - list.clientHeight / 3;
  }

  // Zoom

  let scale = 1; // pixels per second
  const fitting = () => $("view").clientWidth / length;
  const visible = () => {
    const { scrollLeft, clientWidth } = $("view");
    return [scrollLeft / scale, Math.min(length, (scrollLeft + clientWidth) / scale)];
  };

  /** Zooms so that what is at `x` pixels of the view stays there. */
  function zoom(factor, x) {
    const view = $("view");
    x ??= Math.max(0, Math.min(view.clientWidth, now() * scale - view.scrollLeft));
    const time = (view.scrollLeft + x) / scale;
    scale = Math.max(fitting(), Math.min(Math.max(MAX_SCALE, fitting()), scale * factor));
    $("world").style.width = Math.max(view.clientWidth, Math.floor(length * scale)) + "px";
    view.scrollLeft = time * scale - x;
    repaint();
  }

  /** Scrolls the present into view, to a share of its width. */
  function follow(share) {
    const view = $("view"), x = now() * scale - view.scrollLeft;
    if (x < 0 || x > view.clientWidth - 2) view.scrollLeft = now() * scale - share * view.clientWidth;
  }

  let fitted = true, pinch = null;
  const zoomBy = (factor, x) => { fitted = false; zoom(factor, x); };
  const zoomAll = () => { fitted = true; zoom(0); };
  const spread = touches => Math.hypot(touches[0].clientX - touches[1].clientX, touches[0].clientY - touches[1].clientY);

  // Corrections

  let saved = true;

  function rename(label, name) {
    names.set(label, name.trim() || label);
    saved = false;
    sums = totals();
    fillTable();
    fillTurns();
    repaint();
  }

  function save(name, type, text) {
    const link = Object.assign(document.createElement("a"), {
      href: URL.createObjectURL(new Blob([text], { type })), download: name,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    saved = true;
  }

  function rttm() {
    const word = text => text.replace(/\s+/gu, "_");
    return turns.map(turn => `SPEAKER ${result.uri} 1 ${turn.start.toFixed(3)} ${(turn.end - turn.start).toFixed(3)} `
      + `<NA> <NA> ${word(nameOf(turn))} <NA> <NA>\n`).join("");
  }

  function json() {
    const speakers = people().map(name => {
      const same = result.speakers.filter(speaker => names.get(speaker.label) === name);
      const duration = same.reduce((sum, speaker) => sum + speaker.duration, 0);
      // The mean embedding of two that became one is not known here.
      const { embedding, ...rest } = same[0];
      return same.length === 1 ? { ...same[0], label: name } : { ...rest, label: name, duration };
    });
    const renamed = turns.map(turn => ({ ...turn, speaker: nameOf(turn) }));
    return JSON.stringify({ ...result, speakers, turns: renamed }, null, 2) + "\n";
  }

  // Tables

  const cell = text => Object.assign(document.createElement("td"), { textContent: text });
  const share = seconds => `${Math.round(100 * seconds / length)} %`;

  function row(first, seconds, count) {
    const row = document.createElement("tr"), head = cell("");
    head.append(...first);
    row.append(head, cell(clock(seconds)), cell(share(seconds)), cell(count));
    return row;
  }

  function swatch(index) {
    const box = document.createElement("span");
    box.className = "swatch";
    box.style.background = fills[index].image;
    return box;
  }

  /** Makes the rows once, so that typing goes on where it was; later only the numbers. */
  function fillTable() {
    const body = $("speakers");
    labels.forEach((label, index) => {
      const name = names.get(label), first = indexOf(name) === index;
      const count = turns.filter(turn => nameOf(turn) === name).length;
      if (!body.children[index]) {
        const holder = document.createElement("div"), input = document.createElement("input");
        Object.assign(input, { value: name, spellcheck: false, autocomplete: "off" });
        input.setAttribute("aria-label", `Name of ${label}`);
        input.addEventListener("change", () => { rename(label, input.value); input.value = names.get(label); });
        holder.className = "name";
        holder.append(swatch(index), input);
        body.append(row([holder], 0, 0));
      }
      const [holder, time, part, number] = body.children[index].children;
      holder.querySelector(".swatch").style.background = fills[indexOf(name)].image;
      time.textContent = first ? clock(sums.time.get(name)) : "";
      part.textContent = first ? share(sums.time.get(name)) : "";
      number.textContent = first ? count : `is ${labels[indexOf(name)]}`;
    });
    $("totals").replaceChildren(row(["Several at once"], sums.overlap, ""), row(["Nobody"], sums.silence, ""));
  }

  function fillTurns() {
    const element = (kind, text, className = "") => Object.assign(document.createElement(kind), { textContent: text, className });
    $("turns").replaceChildren(...entries.map(entry => {
      const item = document.createElement("li"), button = document.createElement("button"), what = element("span", "", "what");
      const name = nameOf(entry);
      button.type = "button";
      button.append(element("time", clock(entry.start)));
      if (name !== undefined) {
        button.append(swatch(indexOf(name)));
        what.append(element("b", name));
      }
      if (entry.text) what.append(" ", element("span", entry.text));
      button.append(what);
      if (!said) {
        const sure = entry.confidence === undefined ? "" : `, ${Math.round(100 * entry.confidence)} % sure`;
        button.append(element("span", `${(entry.end - entry.start).toFixed(1)} s${sure}`, "quiet"));
      }
      button.addEventListener("click", () => seek(entry.start));
      item.append(button);
      return item;
    }));
  }

  // Events

  const KEYS = {
    " ": toggle,
    ArrowLeft: event => seek(now() - (event.shiftKey ? 1 : 5)),
    ArrowRight: event => seek(now() + (event.shiftKey ? 1 : 5)),
    ArrowUp: () => step(-1),
    ArrowDown: () => step(1),
    "+": () => zoomBy(2),
    "=": () => zoomBy(2),
    "-": () => zoomBy(0.5),
    0: zoomAll,
    Home: () => seek(0),
    End: () => seek(length),
  };

  document.addEventListener("keydown", event => {
    const inside = event.target.closest?.("input, select, textarea");
    const pressesButton = event.key === " " && event.target.closest?.("button, summary");
    if (inside || pressesButton || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = KEYS[event.key];
    if (!action) return;
    event.preventDefault();
    action(event);
  });

  const scrub = event => {
    const box = $("overview").getBoundingClientRect();
    seek((event.clientX - box.left) / box.width * length);
  };
  $("overview").addEventListener("pointerdown", event => {
    event.target.setPointerCapture(event.pointerId);
    scrub(event);
  });
  $("overview").addEventListener("pointermove", event => event.buttons && scrub(event));
  $("timeline").addEventListener("click", event => seek((event.offsetX + $("view").scrollLeft) / scale));
  $("view").addEventListener("scroll", repaint);
  $("view").addEventListener("wheel", event => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY / 200), event.clientX - $("view").getBoundingClientRect().left);
  }, { passive: false });
  $("view").addEventListener("touchmove", event => {
    if (event.touches.length !== 2) return;
    event.preventDefault();
    const distance = spread(event.touches), middle = (event.touches[0].clientX + event.touches[1].clientX) / 2;
    if (pinch) zoomBy(distance / pinch, middle - $("view").getBoundingClientRect().left);
    pinch = distance;
  }, { passive: false });
  $("view").addEventListener("touchend", () => { pinch = null; });
  $("play").addEventListener("click", toggle);
  $("speed").addEventListener("change", () => { audio.playbackRate = Number($("speed").value); });
  $("zoom-in").addEventListener("click", () => zoomBy(2));
  $("zoom-out").addEventListener("click", () => zoomBy(0.5));
  $("zoom-fit").addEventListener("click", zoomAll);
  $("save-rttm").addEventListener("click", () => save(`${result.uri}.rttm`, "text/plain", rttm()));
  $("save-json").addEventListener("click", () => save(`${result.uri}.json`, "application/json", json()));
  window.addEventListener("resize", () => fitted ? zoomAll() : zoom(1));
  window.addEventListener("beforeunload", event => { if (!saved) event.preventDefault(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);

  // Start

  $("title").textContent = result.uri;
  if (said) $("list").textContent = "Transcript";
  const count = labels.length;
  $("summary").textContent = `${clock(result.duration, 0)} · ${count} speaker${count === 1 ? "" : "s"} · ${turns.length} `
    + `turn${turns.length === 1 ? "" : "s"}${result.exclusive ? " · one at a time" : ""} · ${result.model}`;
  $("length").textContent = clock(length);
  $("overview").setAttribute("aria-valuemax", length.toFixed(1));
  $("warnings").replaceChildren(...result.warnings.map(text => Object.assign(document.createElement("li"), { textContent: text })));
  fillTable();
  fillTurns();
  zoomAll();
  openAudio();
})();
