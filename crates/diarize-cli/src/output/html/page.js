// Zoom, corrections, tables and events.

let scale = 1; // pixels per second
const fitting = () => $("view").clientWidth / length;
const visible = () => {
  const { scrollLeft, clientWidth } = $("view");
  return [scrollLeft / scale, Math.min(length, (scrollLeft + clientWidth) / scale)];
};

/** Zooms around the point at `x` pixels in the view. */
function zoom(factor, x) {
  const view = $("view");
  x ??= Math.max(0, Math.min(view.clientWidth, now() * scale - view.scrollLeft));
  const time = (view.scrollLeft + x) / scale;
  scale = Math.max(fitting(), Math.min(Math.max(MAX_SCALE, fitting()), scale * factor));
  $("world").style.width = Math.max(view.clientWidth, Math.floor(length * scale)) + "px";
  view.scrollLeft = time * scale - x;
  repaint();
}

/** Scrolls the current time into view, at a fraction of the view's width. */
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

/** The names in RTTM: white space becomes `_`, and different names stay different. */
function words() {
  const word = name => name === "<NA>" ? "NA" : name.replace(/[\s\p{Cc}]/gu, "_");
  const all = people().sort(), words = new Map(), taken = new Set(all.filter(name => word(name) === name));
  for (const name of all) {
    let distinct = word(name);
    for (let number = 2; distinct !== name && taken.has(distinct); number++) distinct = `${word(name)}_${number}`;
    words.set(name, distinct);
    taken.add(distinct);
  }
  return words;
}

function rttm() {
  const speakers = words();
  return turns.map(turn => `SPEAKER ${result.uri} 1 ${turn.start.toFixed(3)} ${(turn.end - turn.start).toFixed(3)} `
    + `<NA> <NA> ${speakers.get(nameOf(turn))} <NA> <NA>\n`).join("");
}

function json() {
  const speakers = people().map(name => {
    const same = result.speakers.filter(speaker => names.get(speaker.label) === name);
    const duration = same.reduce((sum, speaker) => sum + speaker.duration, 0);
    // The mean embedding of merged speakers is not known here.
    const { embedding, ...rest } = same[0];
    return same.length === 1 ? { ...same[0], label: name } : { ...rest, label: name, duration };
  });
  const renamed = turns.map(turn => ({ ...turn, speaker: nameOf(turn) }));
  return JSON.stringify({ ...result, speakers, turns: renamed }, null, 2) + "\n";
}

/** The text that `--format txt` writes. */
function text() {
  const time = seconds => {
    const whole = Math.floor(Math.round(1000 * Math.max(0, seconds)) / 1000);
    return [whole / 3600, whole / 60 % 60, whole % 60].map(part => String(Math.floor(part)).padStart(2, "0")).join(":");
  };
  const line = entry => `[${time(entry.start)}] ${entry.speaker === null ? "" : nameOf(entry) + ": "}${entry.text}\n`;
  return said.map(line).join("\n");
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

/** Creates the rows once and later updates only the numbers, so that typing is not interrupted. */
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
    if (entry.text) what.append(" ", element("span", entry.text, "text"));
    button.append(what);
    if (!said) {
      const sure = entry.confidence === undefined ? "" : `, ${Math.round(100 * entry.confidence)} % sure`;
      button.append(element("span", `${(entry.end - entry.start).toFixed(1)} s${sure}`, "quiet"));
    }
    button.addEventListener("click", () => seek(entry.start));
    item.append(button);
    return item;
  }));
  if (said) find();
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
  "/": () => said && $("search").select(),
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
$("view").addEventListener("touchstart", event => {
  pinch = event.touches.length === 2 ? spread(event.touches) : null;
}, { passive: true });
$("view").addEventListener("touchmove", event => {
  if (!pinch || event.touches.length !== 2) return;
  event.preventDefault();
  const distance = spread(event.touches), middle = (event.touches[0].clientX + event.touches[1].clientX) / 2;
  zoomBy(distance / pinch, middle - $("view").getBoundingClientRect().left);
  pinch = distance;
}, { passive: false });
$("view").addEventListener("touchend", () => { pinch = null; });
$("play").addEventListener("click", toggle);
$("speed").addEventListener("change", () => { audio.playbackRate = Number($("speed").value); });
$("zoom-in").addEventListener("click", () => zoomBy(2));
$("zoom-out").addEventListener("click", () => zoomBy(0.5));
$("zoom-fit").addEventListener("click", zoomAll);
$("save-rttm").addEventListener("click", () => save(`${result.uri}.rttm`, "text/plain", rttm()));
$("save-text").addEventListener("click", () => save(`${result.uri}.txt`, "text/plain", text()));
$("save-json").addEventListener("click", () => save(`${result.uri}.json`, "application/json", json()));
$("search").addEventListener("input", find);
$("search").addEventListener("keydown", searchKey);
window.addEventListener("resize", () => fitted ? zoomAll() : zoom(1));
window.addEventListener("beforeunload", event => { if (!saved) event.preventDefault(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);

// Start

$("title").textContent = result.uri;
if (said) {
  $("list").textContent = "Transcript";
  $("turns").className = "said";
  document.querySelectorAll("[data-said]").forEach(part => { part.hidden = false; });
}
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
