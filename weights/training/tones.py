"""What is not speech and sounds on purpose: telephone tones, dialing, melodies, alarms, hum and noise."""

from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

RATE = 16_000
# Frequencies (Hz) and cadence (seconds on, off, …) of ringing, busy and dial tones in several countries.
TELEPHONE = (
    ((440, 480), (2, 4)),
    ((425,), (1, 4)),
    ((400, 450), (0.4, 0.2, 0.4, 2)),
    ((425,), (0.5, 0.5)),
    ((480, 620), (0.5, 0.5)),
    ((480, 620), (0.25, 0.25)),
    ((350, 440), (60,)),
    ((425,), (60,)),
    ((400,), (0.375, 0.375)),
    ((950,), (0.33, 0.03)),
    ((1100,), (0.5, 3)),
    ((2100,), (3, 1)),
)
ROWS, COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)


def ramp(on, samples=80):
    """A gate (n,) whose edges take 5 ms."""
    return np.convolve(on, np.ones(samples) / samples, "same")[: len(on)]


def gate(rng, n, cadence):
    """(n,): on and off in turn, from a random place of the cadence."""
    edges = np.cumsum(np.tile(cadence if len(cadence) % 2 == 0 else (*cadence, 0), 1 + int(2 * n / RATE / sum(cadence)) + 1))
    at = (np.arange(n) / RATE + rng.uniform(0, sum(cadence)))
    return ramp((np.searchsorted(edges, at, "right") % 2 == 0).astype(float))


def sines(rng, n, frequencies):
    t = np.arange(n) / RATE
    return sum(rng.uniform(0.5, 1) * np.sin(2 * np.pi * (f * t + rng.random())) for f in frequencies)


def telephone(rng, n):
    if rng.random() < 0.5:
        frequencies, cadence = TELEPHONE[rng.integers(len(TELEPHONE))]
    else:
        frequencies = rng.uniform(250, 2800, rng.integers(1, 4))
        cadence = rng.uniform(0.05, 3, 2)
    return sines(rng, n, frequencies) * gate(rng, n, cadence)


def dialing(rng, n):
    y, at = np.zeros(n), int(rng.uniform(0, 0.5) * RATE)
    on, off = rng.uniform(0.05, 0.3), rng.uniform(0.03, 0.5)
    while at < n:
        length = min(int(on * RATE), n - at)
        y[at : at + length] = sines(rng, length, (rng.choice(ROWS), rng.choice(COLUMNS))) * ramp(np.pad(np.ones(max(0, length - 160)), 80)[:length])
        at += length + int(off * rng.uniform(0.8, 1.2) * RATE)
    return y


def note(rng, n, frequency, partials, decay, vibrato):
    t = np.arange(n) / RATE
    phase = 2 * np.pi * frequency * t + vibrato[0] * np.sin(2 * np.pi * vibrato[1] * t)
    y = sum(a * np.sin((k + 1) * phase + 6.3 * rng.random()) for k, a in enumerate(partials) if (k + 1) * frequency < 7600)
    return y * np.exp(-t * decay) * np.minimum(1, t * rng.uniform(20, 200)) * np.minimum(1, (t[-1] - t) * 100)


def melody(rng, n):
    """One to three parts of notes of a scale, each part with an instrument of its own, sometimes with a drum."""
    scale = np.array(((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9, 12, 14))[rng.integers(3)])
    beat, y = rng.uniform(0.1, 0.6), np.zeros(n)
    for _ in range(rng.integers(1, 4)):
        base = 55 * 2 ** rng.uniform(0, 4)
        partials = rng.uniform(0.2, 1, 12) * np.arange(1, 13) ** -rng.uniform(0.3, 2.5)
        if rng.random() < 0.3:
            partials[1::2] = 0
        decay, vibrato = rng.choice([0.0, 1.0, 4.0]), (rng.choice([0.0, 0.0, 2.0]), rng.uniform(4, 7))
        at, degree = int(rng.uniform(0, beat) * RATE), rng.integers(7)
        while at < n - 800:
            length = min(int(beat * rng.choice([0.5, 1, 1, 2, 4]) * RATE), n - at)
            degree = int(np.clip(degree + rng.integers(-2, 3), 0, 6))
            if rng.random() < 0.85 and length > 800:
                y[at : at + length] += note(rng, length, base * 2 ** (scale[degree] / 12), partials, decay, vibrato)
            at += length
    if rng.random() < 0.4:
        t = np.arange(int(0.15 * RATE)) / RATE
        for at in range(0, n - len(t), int(beat * RATE)):
            y[at : at + len(t)] += rng.normal(size=len(t)) * np.exp(-t * rng.uniform(20, 80)) * rng.uniform(0.3, 2)
    return y


def alarm(rng, n):
    """A frequency that goes up and down or jumps, switched on and off."""
    t = np.arange(n) / RATE
    low, high = np.sort(rng.uniform(300, 3500, 2))
    swing = (t * rng.uniform(0.2, 5)) % 1
    swing = swing if rng.random() < 0.4 else abs(2 * swing - 1) if rng.random() < 0.5 else (swing > 0.5).astype(float)
    y = np.sin(2 * np.pi * np.cumsum(low + (high - low) * swing) / RATE)
    if rng.random() < 0.5:
        y = np.clip(3 * y, -1, 1)
    return y * (gate(rng, n, rng.uniform(0.1, 2, 2)) if rng.random() < 0.5 else 1)


def hum(rng, n):
    base = rng.choice([50.0, 60.0, rng.uniform(40, 200)])
    frequencies = base * np.arange(1, rng.integers(3, 30))
    t = np.arange(n) / RATE
    weights = rng.uniform(0, 1, len(frequencies)) * (frequencies / base) ** -rng.uniform(0, 1.5)
    y = sum(w * np.sin(2 * np.pi * (f * t + rng.random())) for w, f in zip(weights, frequencies) if f < 7800)
    return y * (1 + rng.uniform(0, 0.5) * np.sin(2 * np.pi * rng.uniform(0.1, 20) * t))


def noise(rng, n):
    spectrum = np.fft.rfft(rng.normal(size=n))
    hz = np.fft.rfftfreq(n, 1 / RATE)
    y = np.fft.irfft(spectrum * np.maximum(hz, 50) ** -rng.uniform(0, 1.2), n)
    return y * (gate(rng, n, rng.uniform(0.2, 4, 2)) if rng.random() < 0.3 else 1)


KINDS = (telephone, telephone, dialing, melody, melody, melody, alarm, hum, noise)


def sound(seed, n=10 * RATE):
    """(n,) float32 of unit power where it sounds: the signal of this seed."""
    rng = np.random.default_rng([39, seed])
    y = KINDS[seed % len(KINDS)](rng, n)
    return (y / max(1e-6, np.sqrt(np.mean(y[abs(y) > 1e-3 * abs(y).max()] ** 2)))).astype(np.float32)


def bank(count, device):
    """(count, samples) float16: of every kind in turn."""
    with ProcessPoolExecutor() as pool:
        return torch.from_numpy(np.stack(list(pool.map(sound, range(count), chunksize=16)))).half().to(device)


class Sounds:
    """Puts sounds into recordings: behind the talk in a few of them, and where nobody talks."""

    def __init__(self, count, device):
        self.bank = bank(count, device)
        self.kept, self.bank = self.bank[: 20 * len(KINDS)], self.bank[20 * len(KINDS) :]  # the first are only measured

    def __call__(self, y, silent, behind=0.1, alone=0.8):
        """Recordings (batch, samples), in those of `silent` (batch,) nobody talks: the same with sounds, and which
        have one. Behind talk they are up to 25 dB below it."""
        draw = torch.rand(3, len(y), 1, device=y.device)
        some = draw[0] < torch.where(silent[:, None], alone, behind)
        picked = self.bank[torch.randint(len(self.bank), (len(y),), device=y.device)].float()
        talk = y.square().mean(1, keepdim=True).sqrt().clamp_min(1e-3)
        level = torch.where(silent[:, None], decibels(-6 - 44 * draw[1]), talk * decibels(-25 * draw[1]))
        # Where nobody talks, the noise of the recording is fainter, or missing: what a generator makes.
        floor = torch.where(silent[:, None], decibels(-50 * draw[2]) * (draw[2] < 0.7), 1.0)
        z = torch.where(some, y * floor + picked * level, y)
        return z / z.abs().amax(1, keepdim=True).clamp_min(1), some[:, 0]


def decibels(x):
    return 10 ** (x / 20)
