// The data: turns, names and times.

const { result, said, shortest, peaks: packedPeaks, audio: source } = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);

// Okabe and Ito's colors. Patterns distinguish speakers without color.
const COLORS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999"];
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
// What is listed: a transcript's paragraphs, where there is one, else the turns that are long enough to be read.
const entries = said ?? turns.filter(turn => turn.end - turn.start >= shortest);
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

// Speakers: speakers with the same name are one speaker

const nameOf = turn => names.get(turn.speaker);
const people = () => [...new Set(names.values())];
const indexOf = name => labels.findIndex(label => names.get(label) === name);

/** Seconds of each name, of overlap and of silence. */
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
