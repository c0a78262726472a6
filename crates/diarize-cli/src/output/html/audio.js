// The audio: decoding, playing and seeking.

/** Decodes the page's IMA ADPCM into a 16-bit WAV. */
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
    notice(source.path ? `This page cannot find its audio: ${source.path}` : "This browser cannot play the audio.");
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

/** Jumps to the start of the previous or next turn. Within a turn, back jumps to its own start. */
function step(direction) {
  const starts = turns.map(turn => turn.start);
  const at = now();
  const found = direction > 0 ? starts.find(start => start > at + 0.05) : starts.findLast(start => start < at - 0.5);
  seek(found ?? (direction > 0 ? length : 0));
}
