// The canvases: overview and timeline.

const theme = name => getComputedStyle(document.documentElement).getPropertyValue(name);

/** The fill of a speaker: a color and a pattern. */
function fill(context, index) {
  const color = COLORS[index % COLORS.length], tile = document.createElement("canvas"), size = 8;
  tile.width = tile.height = size;
  const paper = tile.getContext("2d");
  paper.fillStyle = color;
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

/** Sizes a canvas for the screen's resolution and returns a cleared context in CSS pixels. */
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
  // A pattern is unreadable in narrow blocks.
  context.fillStyle = width < 8 ? COLORS[index % COLORS.length] : fills[index].pattern;
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

/** Shows the current time and who is speaking. */
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

/** Scrolls only the list, never the page. */
function reveal(item) {
  const list = $("turns");
  if (list.scrollHeight > list.clientHeight) list.scrollTop = item.offsetTop - list.offsetTop - list.clientHeight / 3;
}
