#!/usr/bin/env python3
"""Make conversation.flac and conversation.rttm: three synthetic people planning a walk.

    apt-get install flite espeak-ng flac
    pip install numpy
    python3 tests/data/make_sample.py

Each line is spoken by a speech synthesiser, trimmed to its speech, placed by the script below (gaps in
seconds; a negative gap starts before the previous line has ended, so that both talk), put into a lightly
reverberant room, and mixed over a faint noise floor. Only numpy's seeded generator is random, so the same
versions of flite, espeak-ng and flac give the same files (made with flite 2.2, espeak-ng 1.51, flac 1.4.2).
"""

import io
import pathlib
import subprocess
import wave

import numpy as np

RATE = 16_000
SEED = 20
HERE = pathlib.Path(__file__).parent

# name: (command that writes a WAV to stdout, level in dB relative to the loudest)
VOICES = {
    "anna": (["flite", "-voice", "slt", "-o", "/dev/stdout", "-t"], -1.0),
    "ben": (["flite", "-voice", "rms", "-o", "/dev/stdout", "-t"], 0.0),
    "carol": (["espeak-ng", "-v", "en-gb+f2", "-p", "72", "-s", "158", "--stdout"], -4.0),
}

# (who, gap to the end of the latest line so far, what)
LINES = [
    ("anna", 0.60, "Good morning, both. Shall we settle the route for Saturday?"),
    ("ben", 0.45, "Yes. I would start at the old mill, and follow the river to the bridge."),
    ("carol", 0.70, "The river path is still flooded, I walked there on Tuesday."),
    ("anna", -0.55, "Oh, that is a pity."),
    ("ben", 0.35, "Then we take the hill, it is longer but the view is worth it."),
    ("carol", 0.90, "How much longer? My knee will not like more than twelve kilometres."),
    ("anna", 0.25, "Eleven, if we cut across the orchard."),
    ("ben", -0.90, "Eleven and a half, and there is a bench on the top for your knee."),
    ("carol", 0.55, "Fine, then I will bring the coffee, and somebody else carries the cake."),
    ("ben", -0.60, "I carry the cake!"),
    ("anna", 0.40, "Last time you carried the cake, only crumbs came to the top."),
    ("carol", 1.10, "He said it was the wind. Let us meet at nine, by the church gate."),
    ("anna", -1.20, "Nine is good for me. I will tell the others tonight."),
    ("ben", 0.50, "See you at nine."),
]


def read_wav(data):
    """Mono float samples and rate. Both synthesisers write streaming headers, whose length is not to be trusted."""
    with wave.open(io.BytesIO(data)) as w:
        rate, start = w.getframerate(), data.index(b"data") + 8
    pcm = data[start : start + (len(data) - start) // 2 * 2]
    return np.frombuffer(pcm, "<i2").astype(np.float64) / 32768, rate


def resample(x, rate):
    """Band-limited resampling to RATE in the frequency domain; padded, so that nothing wraps around."""
    if rate == RATE:
        return x
    x = np.pad(x, rate // 10)
    n = int(np.ceil(len(x) / rate)) * rate  # a whole number of seconds gives whole numbers of bins
    spectrum = np.fft.rfft(x, n)[: n // rate * RATE // 2 + 1]
    return np.fft.irfft(spectrum, n // rate * RATE) * (RATE / rate)


def speech_bounds(x, floor_db=-38):
    """First and last sample of the 10 ms frames within floor_db of the loudest frame."""
    frames = x[: len(x) // 160 * 160].reshape(-1, 160)
    db = 10 * np.log10((frames**2).mean(1) + 1e-12)
    loud = np.flatnonzero(db > db.max() + floor_db)
    return loud[0] * 160, (loud[-1] + 1) * 160


def speak(who, text):
    command, level = VOICES[who]
    x = resample(*read_wav(subprocess.run([*command, text], check=True, capture_output=True).stdout))
    start, end = speech_bounds(x)
    x = x[start:end]
    return x * 10 ** (level / 20) * 0.09 / np.sqrt((x**2).mean())


def room(rng):
    """One seat in a furnished room: the direct sound, six early echoes, a tail of 0.3 s RT60 12 dB below it."""
    n = int(0.3 * RATE)
    tail = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
    tail[: int(0.004 * RATE)] = 0
    tail[rng.integers(80, 640, 6)] += rng.standard_normal(6)
    tail *= 10 ** (-12 / 20) / np.sqrt((tail**2).sum())
    tail[0] = 1
    return tail


def main():
    rng = np.random.default_rng(SEED)
    rooms = {who: room(rng) for who in VOICES}
    turns, clock = [], 0.0
    for who, gap, text in LINES:
        speech = speak(who, text)
        start = clock + gap
        turns.append((start, len(speech) / RATE, who, speech))
        clock = max(clock, start + len(speech) / RATE)

    mix = np.zeros(int((clock + 0.7) * RATE))
    for start, _, who, speech in turns:
        wet = np.convolve(speech, rooms[who])
        at = round(start * RATE)
        mix[at : at + len(wet)] += wet[: len(mix) - at]
    mix += rng.standard_normal(len(mix)) * 10 ** (-60 / 20)
    assert np.abs(mix).max() < 1, "would clip"

    pcm = np.round(mix * 32767).astype("<i2").tobytes()
    subprocess.run(
        ["flac", "--silent", "--force", "--best", "--force-raw-format", "--endian=little", "--sign=signed",
         "--channels=1", "--bps=16", f"--sample-rate={RATE}", "-o", str(HERE / "conversation.flac"), "-"],
        input=pcm, check=True,
    )  # fmt: skip
    with open(HERE / "conversation.rttm", "w") as rttm:
        for start, duration, who, _ in turns:
            rttm.write(f"SPEAKER conversation 1 {start:.3f} {duration:.3f} <NA> <NA> {who} <NA> <NA>\n")
    print(f"{len(mix) / RATE:.1f} s, {len(turns)} turns, peak {np.abs(mix).max():.2f}")


if __name__ == "__main__":
    main()
