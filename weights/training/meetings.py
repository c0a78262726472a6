#!/usr/bin/env python3
"""Make whole conversations of speakers whom neither network's figures may know: WAV files and their turns in RTTM.

    python3 meetings.py --corpora DATA/corpora --noise DATA/noise/esc10 --part test --count 40 --out meetings/test
    python3 meetings.py --corpora DATA/corpora --noise DATA/noise/esc10 --part tuning --count 15 --out meetings/tuning

The forty speakers of `corpus.held_out` are parted by a seeded draw: 26 talk in the test, 14 in the tuning of the
clustering. Two to six of them talk for three to ten minutes, 15 % of the speech overlaps, with moderate noise, in
rooms and at microphones of their own. A seed and a number make a conversation, whatever the others are.

With `--enroll SECONDS` the first seconds of each speaker are kept out of the conversations and written to OUT/enroll,
and only those who have twice as much to say take part: what knowing speakers by their voices is measured on.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch
import torch.nn.functional as F

import corpus
from networks import RATE
from rooms import decibels, room_bank

OVERLAP = 0.15  # of the time in which somebody speaks
SEEDS = {"test": 2026, "tuning": 1906}
TEST_SPEAKERS = 26


def voices(root, part, least=0):
    """The rows of the index of a part's speakers who have at least so many seconds."""
    rows = corpus.index(root)
    held = sorted(corpus.held_out(rows))
    order = np.random.default_rng(40).permutation(len(held))
    chosen = {held[i] for i in (order[:TEST_SPEAKERS] if part == "test" else order[TEST_SPEAKERS:])}
    return [r for r in rows if (r["corpus"], r["speaker"]) in chosen and r["seconds"] >= least]


class Rest(corpus.Corpus):
    """Speakers without the first seconds of each, which are in `first`."""

    def __init__(self, root, rows, seconds):
        super().__init__(root, rows, torch.device("cpu"), speeds=(1.0,))
        frames = int(seconds * 100)
        self.first = [self.tape[a : a + frames] for a, _ in self.speakers]
        for a, _ in self.speakers:
            self.speech[a : a + frames] = False


def turn_taking(rng, phrases, frames):
    """tape[talker, frame] is a frame of the corpus, or -1. `phrases`: of each talker, arrays of [first, end)."""
    talkers = len(phrases)
    tape = np.full((talkers, frames), -1, np.int32)
    heard = [0] * talkers  # the phrase that comes next; after the last, the first again
    free = np.zeros(talkers, int)
    spoken = overlapped = 0
    said = np.zeros(frames, np.int8)

    def say(talker, at, wanted):
        nonlocal spoken, overlapped
        at = max(at, free[talker] + 10, 0)
        begin = at
        while at < frames and at - begin < wanted:
            first, end = phrases[talker][heard[talker] % len(phrases[talker])]
            heard[talker] += 1
            length = min(end - first, frames - at, max(40, int(1.5 * wanted) - (at - begin)))
            tape[talker, at : at + length] = np.arange(first, first + length)
            spoken += int((said[at : at + length] == 0).sum())
            overlapped += int((said[at : at + length] == 1).sum())
            said[at : at + length] += 1
            at += length + int(rng.integers(8, 40))
        free[talker] = at
        return min(at, frames)

    talkative = rng.dirichlet(np.full(talkers, 4.0))
    now, holder = int(rng.integers(0, 200)), int(rng.integers(talkers))
    while now < frames:
        start = now
        now = say(holder, now, int(np.clip(rng.lognormal(np.log(350), 0.8), 60, 2000)))
        overlap = overlapped / max(1, spoken)
        if overlap < OVERLAP and now - start > 150 and rng.random() < 0.4:  # yes, yes
            other = (holder + int(rng.integers(1, talkers))) % talkers
            say(other, int(rng.integers(start, now - 60)), int(rng.integers(30, 90)))
        weights = np.where(np.arange(talkers) == holder, 0.15 * talkative, talkative)
        holder = int(rng.choice(talkers, p=weights / weights.sum()))
        if overlapped / max(1, spoken) < OVERLAP:
            now = max(start + 40, now - int(rng.integers(30, 350)))
        else:
            now += int(np.clip(rng.normal(30, 30), 5, 300) + rng.exponential(80) * (rng.random() < 0.3))
    return tape


def make(args, number):
    """Writes a conversation; returns its facts."""
    torch.set_num_threads(1)
    seed = SEEDS[args.part]
    rng = np.random.default_rng([seed, number])
    generator = torch.Generator().manual_seed(1000 * seed + number)
    count, minutes = 2 + number % 5, rng.uniform(3, 10)
    rows = voices(args.corpora, args.part, 2 * args.enroll)
    rows = [rows[i] for i in rng.choice(len(rows), count, replace=False)]
    source = Rest(args.corpora, rows, args.enroll)
    frames = int(minutes * 6000)
    tape = torch.from_numpy(turn_taking(rng, [p[p[:, 1] - p[:, 0] > 25] for p in source.phrases()], frames)).long()

    # Each in the same room, near or far, into a microphone of his own or the common one.
    responses = room_bank(1, count, torch.device("cpu"), generator)[0]
    wet = rng.uniform(0, 0.25) if rng.random() < 0.5 else rng.uniform(0.4, 0.8)
    responses *= wet
    responses[:, 0] += 1 - wet
    responses /= responses.norm(dim=1, keepdim=True)
    gains = np.clip(rng.normal(0, 3, count), -6, 6)
    samples = frames * corpus.FRAME
    n = -(-(samples + responses.shape[1]) // 400_000) * 400_000
    mixture = torch.zeros(n // 2 + 1, dtype=torch.cfloat)
    for talker in range(count):
        on = (tape[talker] >= 0).float()
        x = source.tape[tape[talker].clamp_min(0)].float().flatten()
        x *= F.interpolate(on[None, None], samples, mode="linear")[0, 0]  # cut within 10 ms
        mixture += torch.fft.rfft(x, n) * torch.fft.rfft(responses[talker], n) * 10 ** (gains[talker] / 20)
    y = torch.fft.irfft(mixture, n)[:samples]
    level = y.square().mean().sqrt()

    noise = corpus.noises(args.noise, torch.device("cpu")).float()
    begin = int(rng.integers(len(noise)))
    noise = noise.roll(-begin)[torch.arange(samples) % len(noise)]
    hiss = torch.randn(samples, generator=generator)
    for sound, low, high in ((noise, 15, 30), (hiss, 20, 40)):
        y += sound * (level * decibels(-rng.uniform(low, high)) / sound.square().mean().sqrt())
    y *= 0.7 / y.abs().max()

    name = f"{args.part}{number:02d}"
    soundfile.write(Path(args.out) / f"{name}.wav", y.numpy(), RATE, subtype="PCM_16")
    # The truth: speech on tape, without the pauses shorter than 0.24 s.
    on = (tape >= 0) & source.speech[tape.clamp_min(0)]
    on = torch.stack([corpus.close(row[None, None], 12)[0, 0] for row in on]).int().numpy()
    turns = []
    for talker, row in enumerate(on):
        edges = np.flatnonzero(np.diff(np.pad(row, 1)))
        turns += [(a / 100, (b - a) / 100, talker) for a, b in zip(edges[::2], edges[1::2])]
    names = [r["speaker"] if args.enroll else f"talker{t}" for t, r in enumerate(rows)]
    lines = [f"SPEAKER {name} 1 {a:.2f} {d:.2f} <NA> <NA> {names[t]} <NA> <NA>\n" for a, d, t in sorted(turns)]
    (Path(args.out) / f"{name}.rttm").write_text("".join(lines))
    for speaker, first in zip(names, source.first):
        if args.enroll:
            soundfile.write(Path(args.out) / "enroll" / f"{speaker}.wav", first.float().flatten().numpy(), RATE, subtype="PCM_16")
    together = on.sum(0)
    return f"{name}: {count} talkers, {minutes:.1f} min, {100 * (together > 1).sum() / (together > 0).sum():.1f} % overlap"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", required=True)
    parser.add_argument("--noise", required=True)
    parser.add_argument("--part", choices=SEEDS, required=True)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--enroll", type=float, default=0, help="seconds of each speaker that are kept out and written apart")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    (Path(args.out) / ("enroll" if args.enroll else "")).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(args.workers) as pool:
        for line in pool.map(partial(make, args), range(args.count)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
