"""Read speech on the GPU: one flat tape of 10 ms frames, who speaks on it, and where the phrases are."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import torch
import torch.nn.functional as F

FRAME = 160  # samples: 10 ms
SPEEDS = (1.0, 0.9, 1.1, 0.8, 1.2)  # each speed of a speaker is a speaker of its own
HELD_OUT = 40


def index(root):
    return [row for row in json.loads((Path(root) / "index.json").read_text()) if (Path(root) / row["file"]).exists()]


def held_out(rows):
    """The speakers whom the embedding never hears: a seeded draw among those who have enough to say, in two of the
    corpora, so that others change nothing."""
    drawn_from = ("librispeech", "speechocean762")
    able = sorted((r["corpus"], r["speaker"]) for r in rows if r["corpus"] in drawn_from and r["seconds"] > 12)
    return {able[i] for i in np.random.default_rng(762).permutation(len(able))[:HELD_OUT]}


def spread(rows):
    """A row for each clip of whom nobody knows who speaks: `span`, in samples of the file."""
    found = []
    for row in rows:
        ends = np.cumsum(row.get("clips", [])).tolist()
        spans = [{"span": (a, b), "speaker": f"{row['speaker']}-{a}"} for a, b in zip([0] + ends, ends)]
        found += [{**row, **span} for span in spans] if spans else [row]
    return found


def read(root, rows):
    """The clip of each row; each file is decoded once."""

    def one(file):
        x = soundfile.read(Path(root) / file, dtype="float32")[0]
        return x * (0.08 / max(1e-4, np.sqrt(np.mean(x**2))))  # everybody equally loud; float16 holds it at 60 dB

    files = list(dict.fromkeys(row["file"] for row in rows))
    with ThreadPoolExecutor() as pool:
        heard = dict(zip(files, pool.map(one, files)))
    return [heard[row["file"]][slice(*row["span"])] if "span" in row else heard[row["file"]] for row in rows]


def at_speed(x, speed):
    """Faster or slower with its pitch, by cutting or padding the spectrum."""
    if speed == 1:
        return x
    n = -(-len(x) // 9900) * 9900  # lengths that the FFT likes, at 0.9 and 1.1 too
    m = round(n / speed)
    spectrum = torch.fft.rfft(x, n)
    spectrum = F.pad(spectrum, (0, max(0, m // 2 + 1 - len(spectrum))))[: m // 2 + 1]
    return (torch.fft.irfft(spectrum, m) * (m / n))[: round(len(x) / speed)]


def speech_frames(tape):
    """Frames with speech, by their energy against the loud level of the 3 s around; gaps under 150 ms are closed."""
    db = 10 * torch.log10(tape.float().square().mean(1) + 1e-10)[None, None]
    loud = F.max_pool1d(F.avg_pool1d(db, 9, 1, 4), 301, 1, 150)
    return close(db > (loud - 30).clamp_min(-62), 7)[0, 0]


def close(on, radius):
    """Close gaps of up to twice the radius, then drop what is shorter than 40 ms."""
    on = on.float()
    on = -F.max_pool1d(-F.max_pool1d(on, 2 * radius + 1, 1, radius), 2 * radius + 1, 1, radius)
    return F.max_pool1d(-F.max_pool1d(-on, 5, 1, 2), 5, 1, 2) > 0.5


class Corpus:
    """tape: (frames, 160) float16; speech: (frames,) bool; speakers: rows of [first frame, end frame)."""

    def __init__(self, root, rows, device, speeds=SPEEDS):
        clips = read(root, rows)
        pieces, self.speakers, self.rows, at = [], [], [], 0
        for speed in speeds:
            for row, clip in zip(rows, clips):
                x = at_speed(torch.from_numpy(clip).to(device), speed)
                x = x[: len(x) // FRAME * FRAME].view(-1, FRAME).half()
                pieces.append(x)
                self.speakers.append((at, at + len(x)))
                self.rows.append(row)
                at += len(x)
        self.tape = torch.cat(pieces)
        self.speech = speech_frames(self.tape)

    def phrases(self):
        """Per speaker, an array of [first, end) frames of speech without a pause of 0.25 s."""
        on = close(self.speech[None, None], 12)[0, 0].int()
        on[[first for first, _ in self.speakers]] = 0  # nobody goes on where the one before ended
        edges = torch.diff(F.pad(on, (1, 1))).cpu().numpy()
        runs = np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], 1)
        runs = runs[runs[:, 1] - runs[:, 0] >= 12]
        bounds = np.searchsorted(runs[:, 0], [first for first, _ in self.speakers] + [self.speakers[-1][1]])
        return [runs[a:b] for a, b in zip(bounds[:-1], bounds[1:])]


def noises(root, device):
    """All the noise clips on one tape, each as loud as the next."""
    clips = [soundfile.read(f, dtype="float32")[0] for f in sorted(Path(root).glob("*.opus"))]
    clips = [x / max(1e-3, np.sqrt(np.mean(x**2))) * 0.05 for x in clips]
    return torch.from_numpy(np.concatenate(clips)).to(device).half()
