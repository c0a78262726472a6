#!/usr/bin/env python3
"""Train the segmentation network on simulated conversations, with true labels and a teacher.

    python3 segmentation.py --speech DATA/public --noise DATA/noise/esc10 --teacher DATA/segmentation-3.0.safetensors \\
        --excerpts DATA/eval/ami DATA/eval/pyannote-sample --init previous.safetensors \\
        --minutes 17 --out segmentation.safetensors

The student sees only simulated mixtures. Its loss is the divergence from the teacher's (pyannote segmentation-3.0,
MIT) answer, plus the distances between what both say after SincNet and after each layer of the LSTM, through learned
linear maps, plus the cross-entropy against the true labels under the best order of the talkers; where the teacher takes
one talker for another, half of its weight goes to the labels. In some chunks there are telephone tones, melodies and
the like (`tones.py`), which the teacher does not hear: behind the talk, and where nobody talks. With two GPUs the
second one simulates and teaches; with one it does so on a stream of its own. The student never waits: while no new
batch is ready it learns from an earlier one again.
The excerpts are only measured, never trained on, and choose nothing: what is written is always the final average.
"""

import argparse
import itertools
import queue
import random
import threading
import time
from collections import deque
from pathlib import Path

import soundfile
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

import corpus
from conversations import FRAMES, TALKERS, Plans
from networks import FRAME_CENTER, FRAME_STEP, POWERSET, RATE, Average, PyanNet, half_precision, least_error, most_probable
from rooms import Acoustics, room_bank
from tones import KINDS, Sounds

CHUNK = 10 * RATE
OUTPUTS = 589
HINT_WEIGHTS, LABEL_WEIGHT = (0.1, 0.1, 0.1, 0.1, 0.3), 0.25
QUIET = 0.06  # of the chunks have nobody who talks
WORDS = ("arabic_speech_commands", "speech_commands")
SILENCE = torch.tensor([0.0] + [-30.0] * 6)  # log-probabilities


class Simulator:
    """Batches of chunks, true labels, what the teacher says, and in which chunks both hear the same."""

    def __init__(self, args, device):
        self.device = device
        rows = corpus.spread(corpus.index(args.speech))
        rows = rows[:: max(1, len(rows) // args.speakers)] if args.speakers else rows
        self.corpus = corpus.Corpus(args.speech, rows, device, speeds=(1.0, 0.9, 1.1))
        phrases = self.corpus.phrases()
        spoken = [i for i, p in enumerate(phrases) if len(p)]
        # One-second words make poor turns, and one sentence is soon repeated.
        weights = [0.2 if self.corpus.rows[i]["corpus"] in WORDS else min(4, len(phrases[i])) / 4 for i in spoken]
        plans = Plans([phrases[i] for i in spoken], weights, args.batch, args.seed)
        self.plans = iter(torch.utils.data.DataLoader(plans, batch_size=None, num_workers=args.workers, prefetch_factor=4))
        next(self.plans)  # the workers start before the other threads do
        generator = torch.Generator(device).manual_seed(args.seed)
        bank = room_bank(args.rooms, TALKERS, device, generator)
        self.acoustics = Acoustics(bank, corpus.noises(args.noise, device), harsh=True)
        self.spoken = corpus.close(self.corpus.speech[None, None], 12)[0, 0]
        self.sounds = Sounds(args.sounds, device)
        self.teacher = PyanNet().read(args.teacher).to(device).eval()
        self.centers = (torch.arange(OUTPUTS, device=device) * FRAME_STEP + FRAME_CENTER) // corpus.FRAME

    @torch.no_grad()
    def batch(self):
        plan = next(self.plans).to(self.device).long()
        quiet = torch.arange(len(plan), device=self.device) < QUIET * len(plan)
        plan[quiet] = -1
        on = plan >= 0
        x = self.corpus.tape[plan.clamp_min(0)].float().flatten(2)
        # Fade over 10 ms, where tape has been cut.
        fade = F.interpolate(on.float(), x.shape[-1], mode="linear")
        # At one table, or some far away.
        spread = torch.where(torch.rand(len(plan), 1, device=self.device) < 0.5, 3.0, 7.0)
        level = torch.randn(plan.shape[:2], device=self.device) * spread
        # Voices also rise and fall within a chunk.
        drift = F.interpolate(torch.randn(*plan.shape[:2], 6, device=self.device) * 3, x.shape[-1], mode="linear")
        x = self.acoustics(x * fade * 10 ** (drift / 20), 10 ** (level.clamp(-14, 14) / 20))
        answer, hidden = self.teacher(x, fast=True)
        labels = (on & self.spoken[plan.clamp_min(0)])[..., self.centers]
        x, sounding = self.sounds(x, quiet)
        answer[quiet & sounding] = SILENCE.to(self.device)
        return x.half(), labels, answer, ~sounding, *(h.bfloat16() for h in hidden)


class Background:
    """Runs the simulator in a thread, on streams of its own, a few batches ahead, and brings them to the training's GPU."""

    def __init__(self, simulator, device, ahead=3, kept=32, uses=3):
        self.simulator, self.device, self.queue = simulator, device, queue.Queue(ahead)
        self.kept, self.uses, self.fresh = deque(maxlen=kept), uses, 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        if self.device.type == "cpu":
            while True:
                self.queue.put(self.simulator.batch())
        # A copy waits for the current streams of both GPUs: neither may be the one that trains.
        here, there = torch.cuda.Stream(self.simulator.device), torch.cuda.Stream(self.device)
        while True:
            with torch.cuda.stream(there), torch.cuda.stream(here):
                batch = [t.to(self.device) for t in self.simulator.batch()]
            here.synchronize()
            there.synchronize()
            self.queue.put(batch)

    def new(self):
        batch = self.queue.get(timeout=300)
        self.fresh += 1
        self.kept.append([batch, 1])
        return self.used(batch)

    def used(self, batch):
        for t in batch if self.device.type == "cuda" else []:
            t.record_stream(torch.cuda.current_stream(self.device))
        x, labels, answer, same, *hidden = batch
        return x.float(), labels, answer, same, *(h.float() for h in hidden)

    def batch(self):
        """A new one, or else one of those kept."""
        again = [entry for entry in self.kept if entry[1] < self.uses]
        if not self.queue.empty() or not again:
            return self.new()
        entry = random.choice(again)
        entry[1] += 1
        return self.used(entry[0])


def against_labels(log_probs, taught, labels):
    """In each frame, under the best order of the talkers: the cross-entropy against the true labels (batch, TALKERS, frames),
    nothing where the powerset has no class for them, and whether the teacher takes one talker for another."""
    activity = labels.sum(2)
    order = activity.argsort(1, descending=True)
    top = labels.gather(1, order[:, :3, None].expand(-1, -1, labels.shape[2])).long()
    orders = torch.stack([top[:, p].mT for p in itertools.permutations(range(3))], 1)
    table = torch.tensor([0, 1, 2, 4, 3, 5, 6, -100], device=labels.device)
    codes = table[(orders * torch.tensor([1, 2, 4], device=labels.device)).sum(-1)]
    fourth = activity.gather(1, order[:, 3:4]) > 0
    codes = codes.masked_fill(fourth[..., None], -100)
    chosen = log_probs[:, None].expand(-1, 6, -1, -1).gather(3, codes.clamp_min(0)[..., None])[..., 0] * (codes >= 0)
    chunk, best = torch.arange(len(labels), device=labels.device), chosen.detach().sum(2).argmax(1)
    said, heard = orders[chunk, best], POWERSET.to(labels.device)[taught.argmax(-1)]
    confused = torch.minimum(said.sum(-1), heard.sum(-1)) > torch.minimum(said, heard).sum(-1)
    return -chosen[chunk, best], confused & (codes[chunk, best] >= 0)


def divergence_from(log_probs, taught):
    """In each frame."""
    return F.kl_div(log_probs, taught, log_target=True, reduction="none").sum(-1)


def ones_beside(hidden):
    return F.pad(hidden, (0, 1), value=1.0).flatten(0, 1).double()


@torch.no_grad()
def fit_hints(hints, network, source):
    """The linear maps by least squares over a few batches, so that a network with a past is not disturbed by them."""
    products = [[0, 0] for _ in hints]
    for _ in range(4):
        x, _, _, same, *taught = source.new()
        for sums, mine, right in zip(products, network(x[same], fast=True)[1], (t[same] for t in taught)):
            mine, right = ones_beside(mine), right.flatten(0, 1).double()
            sums[0], sums[1] = sums[0] + mine.T @ mine / len(mine), sums[1] + mine.T @ right / len(mine)
    for hint, (square, product) in zip(hints, products):
        solved = torch.linalg.solve(square + 1e-4 * torch.eye(len(square), device=square.device), product)
        hint.weight.copy_(solved[:-1].T)
        hint.bias.copy_(solved[-1])


def hint_distance(hint, hidden, taught):
    """Relative to how much each unit of the teacher varies."""
    return ((hint(hidden) - taught).square().mean((0, 1)) / (taught.var((0, 1)) + 1e-3)).mean()


def excerpts(folders):
    """Real recordings with their turns: every WAV in the folders of which an RTTM beside it knows."""
    found = []
    for wav in sorted(wav for folder in folders for wav in Path(folder).glob("*.wav")):
        lines = [line.split() for rttm in wav.parent.glob("*.rttm") for line in rttm.read_text().splitlines()]
        turns = [(float(t[3]), float(t[3]) + float(t[4]), t[7]) for t in lines if t and t[1] == wav.stem]
        if turns:
            found.append((soundfile.read(wav, dtype="float32")[0], turns))
    return found


@torch.no_grad()
def local_error(network, recordings, device, decode=most_probable):
    """Diarization error within 10 s chunks, 5 s apart, best order of talkers, no collar: (total, missed, false, confused)."""
    was_training = network.training
    network.eval()
    total = missed = false = confused = 0.0
    for wav, turns in recordings:
        starts = range(0, max(1, len(wav) - CHUNK + 1), CHUNK // 2)
        chunks = torch.stack([F.pad(torch.from_numpy(wav[a : a + CHUNK]), (0, max(0, CHUNK - len(wav)))) for a in starts])
        answers = POWERSET.float()[decode(network(chunks.to(device))[0]).cpu()]
        for start, answer in zip(starts, answers):
            time_ = (torch.arange(OUTPUTS) * FRAME_STEP + FRAME_CENTER + start) / RATE
            names = sorted({name for *_, name in turns})
            truth = torch.stack(
                [torch.stack([(time_ >= a) & (time_ < b) for a, b, n in turns if n == name]).any(0) for name in names], 1
            ).float()
            truth = truth[:, truth.any(0)]
            truth = F.pad(truth, (0, max(0, 3 - truth.shape[1])))
            orders = itertools.permutations(range(truth.shape[1]), 3)
            correct = max(torch.minimum(truth[:, list(o)], answer).sum().item() for o in orders)
            said, heard = truth.sum(1), answer.sum(1)
            total += said.sum().item()
            missed += (said - heard).clamp_min(0).sum().item()
            false += (heard - said).clamp_min(0).sum().item()
            confused += torch.minimum(said, heard).sum().item() - correct
    network.train(was_training)
    parts = [100 * part / total for part in (missed, false, confused)]
    return [round(v, 2) for v in (sum(parts), *parts)]


@torch.no_grad()
def heard_in(network, sounds):
    """The share of the frames of each kind of sound in which the network hears somebody, in %: loud and faint."""
    heard = []
    for level in (0.1, 0.005):
        answers = torch.cat([network(part.float() * level)[0] for part in sounds.split(64)])
        heard.append((least_error(answers) > 0).float().mean(1).view(-1, len(KINDS)).mean(0))
    kinds = {}
    for kind, *shares in zip(KINDS, *(h.tolist() for h in heard)):
        kinds.setdefault(kind.__name__, []).append([round(100 * share, 1) for share in shares])
    return kinds


class Muon(torch.optim.Optimizer):
    """Steps along the momentum made orthogonal (K. Jordan et al., 2024), as long as AdamW's are (J. Liu et al., 2025);
    the four gates of an LSTM are four matrices."""

    def __init__(self, parameters, rate, momentum=0.95):
        super().__init__(parameters, {"lr": rate, "momentum": momentum})

    @staticmethod
    def matrices(p):
        return p.view(4, 128, -1) if p.shape[0] == 512 else p.flatten(1)[None]

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            alike = {}
            for p in group["params"]:
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 1 - group["momentum"])
                ahead = self.matrices(torch.lerp(p.grad, momentum, group["momentum"]))
                alike.setdefault(ahead.shape[1:], []).append((p, ahead))
            for shape, pairs in alike.items():
                step = orthogonal(torch.cat([ahead for _, ahead in pairs]))
                sizes = [len(ahead) for _, ahead in pairs]
                for (p, _), update in zip(pairs, step.split(sizes)):
                    p.add_(update.reshape(p.shape), alpha=-0.2 * max(shape) ** 0.5 * group["lr"])


def orthogonal(x):
    """Newton and Schulz's iteration: matrices (n, rows, columns) to nearly orthogonal ones."""
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-12)
    for a, b, c in [(3.4445, -4.7750, 2.0315)] * 5:
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", required=True, help="without the speakers that test the whole pipeline")
    parser.add_argument("--speakers", type=int, help="only some of them, to try the script")
    parser.add_argument("--sounds", type=int, default=4500)
    parser.add_argument("--noise", required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--excerpts", required=True, nargs="+", help="folders of WAV and RTTM files")
    parser.add_argument("--init", help="weights to start from")
    parser.add_argument("--resume", help="state of an earlier run to go on from")
    parser.add_argument("--state", help="file for the state, every minute and at the end")
    parser.add_argument("--minutes", type=float, default=17)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument("--cool", type=float, default=0.5, help="share of the time in which the rate falls to zero")
    parser.add_argument("--rooms", type=int, default=2048)
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    began = time.time()
    torch.manual_seed(args.seed)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    gpus = torch.cuda.device_count()
    device = torch.device("cuda:0" if gpus else "cpu")
    simulator = Simulator(args, torch.device(f"cuda:{gpus - 1}") if gpus else device)
    if gpus:
        torch.cuda.synchronize(simulator.device)
    source = Background(simulator, device)

    recordings, sounds = excerpts(args.excerpts), simulator.sounds.kept.to(device)
    print("teacher's local error", local_error(PyanNet().read(args.teacher).to(device), recordings, device), flush=True)
    network, averaged = PyanNet().to(device), PyanNet().to(device)
    hints = nn.ModuleList([nn.Linear(n, n) for n in (60, 256, 256, 256, 256)]).to(device)
    if args.init:
        network.read(args.init)
        print("local error at the start", local_error(network, recordings, device), "speech in sounds", heard_in(network, sounds), flush=True)
        fit_hints(hints, network, source)
    probe = [source.new() for _ in range(4)]  # only measured
    source.kept.clear()

    everything = nn.ModuleList([network, hints])
    matrices = [p for n, p in network.named_parameters() if p.dim() > 1 and "filterbank" not in n and "classifier" not in n]
    known = {id(p) for p in matrices}
    others = [p for p in everything.parameters() if id(p) not in known]
    adamw = torch.optim.AdamW(others, args.rate, (0.9, 0.99), weight_decay=1e-3, fused=device.type == "cuda")
    optimizers = [adamw, Muon(matrices, args.rate)]
    average = Average(network)
    step = 0
    if args.resume:
        state = torch.load(args.resume, map_location=device)
        everything.load_state_dict(state["networks"])
        for optimizer, past in zip(optimizers, state["optimizers"]):
            optimizer.load_state_dict(past)
        torch._foreach_copy_(average.values, [state["average"][n] for n in average.names])
        step = average.steps = state["step"]

    @torch.no_grad()
    def measure():
        """Writes the average; its divergence on the probe and its local error."""
        averaged.load_state_dict(average.state(), strict=False)
        save_file(half_precision(PyanNet.named(average.state())), args.out)
        averaged.eval()
        results = [(averaged(x, fast=True)[0], taught) for x, _, taught, *_ in probe]
        kl = sum(divergence_from(*pair).mean() for pair in results).item() / len(probe)
        if args.state:
            state = {"networks": everything.state_dict(), "optimizers": [o.state_dict() for o in optimizers]}
            torch.save(state | {"average": average.state(), "step": step, "probe": kl}, args.state)
        return round(kl, 4), local_error(averaged, recordings, device), heard_in(averaged, sounds)

    network.train()
    sums, reported, report = torch.zeros(10, device=device), step, time.time()
    hint_weights, running = torch.tensor(HINT_WEIGHTS, device=device), deque()
    start, last = time.time(), began + 60 * args.minutes
    while time.time() < last:
        left = (last - time.time()) / (last - start)
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = args.rate * min(1, (step + 1) / 300) * min(1, left / max(1e-9, args.cool))
        x, labels, taught, same, *taught_hidden = source.batch()
        log_probs, hidden = network(x, fast=True)
        divergence = divergence_from(log_probs, taught)
        distances = torch.stack([hint_distance(h, mine[same], right[same]) for h, mine, right in zip(hints, hidden, taught_hidden)])
        entropy, confused = against_labels(log_probs, taught, labels)
        frames = torch.where(confused, (divergence + entropy) / 2, divergence) + LABEL_WEIGHT * entropy
        loss = frames.mean() + (distances * hint_weights).sum()
        for p in everything.parameters():
            p.grad = None
        loss.backward()
        nn.utils.clip_grad_norm_(others, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        average.update()
        step += 1
        with torch.no_grad():
            agree = (log_probs.argmax(-1) == taught.argmax(-1)).float().mean()
            overlap = (labels.sum(1) > 1).float().mean()
            means = [divergence.mean(), entropy.mean(), confused.float().mean(), agree, overlap]
            sums += torch.cat([torch.stack(means), distances.detach()])
        if gpus:  # two steps ahead of the GPU, no more, so that what comes next is decided late
            running.append(torch.cuda.Event())
            running[-1].record()
            if len(running) > 2:
                running.popleft().synchronize()
        if time.time() - report > 60 or step == reported + 2 == 2:
            means = [round(v, 4) for v in (sums / (step - reported)).tolist()]
            print(step, "kl, labels, teacher confused, agreement, overlap, hints", means, "averaged: kl on the probe, local error, speech in sounds", *measure(),
                  "new batches", source.fresh, f"{time.time() - began:.0f} s", flush=True)  # fmt: skip
            reported = step
            sums.zero_()
            report = time.time()
    print(step, "at the end: kl on the probe, local error, speech in sounds", *measure(), flush=True)
    error = local_error(PyanNet().read(args.out).to(device), recordings, device)
    print("final average as written, local error", error, "steps", step, flush=True)


if __name__ == "__main__":
    main()
