"""Ten seconds of simulated conversation: who says which stretch of tape when."""

import numpy as np
import torch

FRAMES = 1000  # of 10 ms
TALKERS = 4


class Plan:
    """A window into a conversation; tape[talker, frame] is a frame of the corpus, or -1."""

    def __init__(self, rng, phrases, weights):
        self.rng, self.phrases = rng, phrases
        self.tape = np.full((TALKERS, FRAMES), -1, np.int32)
        self.free = np.full(TALKERS, -(10**6))  # when a talker has finished
        self.talkers = rng.choice(len(phrases), TALKERS, replace=False, p=weights)
        self.count = rng.choice([1, 2, 3, 4], p=[0.10, 0.35, 0.37, 0.18])
        style = rng.random()
        if style < 0.03:
            pass  # nobody says anything
        elif style < 0.23:
            self.crosstalk()
        else:
            self.turns()

    def say(self, talker, at, wanted):
        """From the start of a random phrase, or now and then from within it as those do who correct themselves, to
        the end of that phrase or a later one; returns when it ends."""
        at = max(at, self.free[talker] + 10)
        phrases = self.phrases[self.talkers[talker]]
        i = j = self.rng.integers(len(phrases))
        first = phrases[i, 0]
        if self.rng.random() < 0.25:
            first += int(self.rng.integers(0, max(1, (phrases[i, 1] - first) // 2)))
        while j + 1 < len(phrases) and phrases[j, 1] - first < wanted and phrases[j + 1, 0] - phrases[j, 1] < 80:
            j += 1
        length = phrases[j, 1] - first
        if length > 1.5 * wanted:  # nothing so short on tape: broken off
            length = wanted
        begin, end = max(at, 0), min(at + length, FRAMES)
        if begin < end:
            self.tape[talker, begin:end] = np.arange(first + begin - at, first + end - at)
        self.free[talker] = at + length
        return at + length

    def turns(self):
        """One holds the floor, the next takes it with a gap or too early, the others say yes, yes."""
        rng = self.rng
        pace = rng.choice([80, 180, 400], p=[0.25, 0.4, 0.35])  # median length of a turn
        lively = rng.choice([0.0, 0.2, 0.5])  # backchannels a second
        rude = rng.choice([0.1, 0.45])
        pause = rng.choice([30, 120], p=[0.8, 0.2])
        now, holder = -int(rng.integers(0, 800)), int(rng.integers(self.count))
        while now < FRAMES:
            start = now
            end = self.say(holder, now, int(np.clip(rng.lognormal(np.log(pace), 0.8), 25, 1200)))
            for other in range(self.count):
                if other != holder:
                    for _ in range(rng.poisson(lively * (end - start) / 100 / max(1, self.count - 1))):
                        self.say(other, int(rng.integers(start, end)), int(rng.integers(20, 90)))
            if rng.random() < 0.25 or self.count == 1:
                now = end + 20 + int(rng.exponential(60))
                continue
            holder = (holder + int(rng.integers(1, self.count))) % self.count
            if rng.random() < rude:
                now = max(start + 20, end - int(rng.integers(30, 250)))
            else:
                now = max(start + 20, end + int(rng.normal(15, 35) + rng.exponential(pause) * (rng.random() < 0.5)))

    def crosstalk(self):
        """Everybody talks, nobody listens."""
        for talker in range(self.count):
            now = -int(self.rng.integers(0, 600))
            while now < FRAMES:
                now = self.say(talker, now, int(self.rng.lognormal(np.log(250), 0.7)))
                now += int(self.rng.exponential(self.rng.choice([60, 250])))


class Plans(torch.utils.data.IterableDataset):
    """Endless batches of plans (batch, TALKERS, FRAMES), made by worker processes."""

    def __init__(self, phrases, weights, batch, seed):
        self.phrases, self.batch, self.seed = phrases, batch, seed
        self.weights = np.asarray(weights) / np.sum(weights)

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            yield torch.from_numpy(np.stack([Plan(rng, self.phrases, self.weights).tape for _ in range(self.batch)]))
