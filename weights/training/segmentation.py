#!/usr/bin/env python3
"""Train the segmentation network on simulated conversations, with true labels and a teacher.

    python3 segmentation.py --corpora DATA/corpora --noise DATA/noise/esc10 --teacher DATA/segmentation-3.0.safetensors \\
        --excerpts DATA/eval/ami DATA/eval/pyannote-sample --init previous.safetensors \\
        --minutes 19.5 --out segmentation.safetensors

The student sees only simulated mixtures. Its loss is the divergence from the teacher's (pyannote segmentation-3.0,
MIT) answer, plus the distances between what both say after SincNet and after each layer of the LSTM, through learned
linear maps, plus the cross-entropy against the true labels under the best order of the talkers. With two GPUs the second one simulates and teaches; with
one it does so on a stream of its own.
The excerpts are only measured, never trained on, and choose nothing: what is written is always the final average.
"""

import argparse
import itertools
import math
import queue
import threading
import time
from pathlib import Path

import soundfile
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

import corpus
from conversations import FRAMES, TALKERS, Plans
from networks import FRAME_CENTRE, FRAME_STEP, POWERSET, RATE, Average, PyanNet, half_precision
from rooms import Acoustics, room_bank

CHUNK = 10 * RATE
OUTPUTS = 589
HINT_WEIGHTS, LABEL_WEIGHT = (0.1, 0.1, 0.1, 0.1, 0.3), 0.25


class Simulator:
    """Batches of chunks, true labels, and what the teacher says."""

    def __init__(self, args, device):
        self.device = device
        rows = corpus.index(args.corpora)
        held = corpus.held_out(rows)  # they talk in the conversations that test the whole pipeline
        rows = [r for r in rows if r["seconds"] > 11 and (r["corpus"], r["speaker"]) not in held]
        self.corpus = corpus.Corpus(args.corpora, rows, device)
        phrases = self.corpus.phrases()
        spoken = [i for i, p in enumerate(phrases) if len(p) > 3]
        # One-second words make poor turns.
        weights = [0.2 if self.corpus.rows[i]["corpus"] == "arabic_speech_commands" else 1.0 for i in spoken]
        plans = Plans([phrases[i] for i in spoken], weights, args.batch, args.seed)
        self.plans = iter(torch.utils.data.DataLoader(plans, batch_size=None, num_workers=args.workers, prefetch_factor=4))
        next(self.plans)  # the workers start before the other threads do
        generator = torch.Generator(device).manual_seed(args.seed)
        self.acoustics = Acoustics(room_bank(args.rooms, TALKERS, device, generator), corpus.noises(args.noise, device))
        self.spoken = corpus.close(self.corpus.speech[None, None], 12)[0, 0]
        self.teacher = PyanNet().read(args.teacher).to(device).eval()
        self.centres = (torch.arange(OUTPUTS, device=device) * FRAME_STEP + FRAME_CENTRE) // corpus.FRAME

    @torch.no_grad()
    def batch(self):
        plan = next(self.plans).to(self.device).long()
        on = plan >= 0
        x = self.corpus.tape[plan.clamp_min(0)].float().flatten(2)
        # Fade over 10 ms, where tape has been cut.
        fade = F.interpolate(on.float(), x.shape[-1], mode="linear")
        level = torch.randn(plan.shape[:2], device=self.device) * 6
        # Voices also rise and fall within a chunk.
        drift = F.interpolate(torch.randn(*plan.shape[:2], 6, device=self.device) * 3, x.shape[-1], mode="linear")
        x = self.acoustics(x * fade * 10 ** (drift / 20), 10 ** (level.clamp(-12, 12) / 20))
        answer, hidden = self.teacher(x, fast=True)
        return x, (on & self.spoken[plan.clamp_min(0)])[..., self.centres], answer, *hidden


class Background:
    """Runs the simulator in a thread, on a stream of its own, a few batches ahead, and brings them to the training's GPU."""

    def __init__(self, simulator, device, ahead=3):
        self.simulator, self.device, self.queue = simulator, device, queue.Queue(ahead)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        if self.device.type == "cpu":
            while True:
                self.queue.put(self.simulator.batch())
        stream = torch.cuda.Stream(self.simulator.device)
        while True:
            with torch.cuda.stream(stream):
                batch = [t.to(self.device) for t in self.simulator.batch()]
            stream.synchronize()
            self.queue.put(batch)

    def batch(self):
        batch = self.queue.get(timeout=300)
        for t in batch if self.device.type == "cuda" else []:
            t.record_stream(torch.cuda.current_stream(self.device))
        return batch


def powerset_codes(labels):
    """Labels (batch, TALKERS, frames) to classes (batch, 6 orders, frames); -100 where the powerset has no class."""
    activity = labels.sum(2)
    order = activity.argsort(1, descending=True)
    top = labels.gather(1, order[:, :3, None].expand(-1, -1, labels.shape[2])).long()
    table = torch.tensor([0, 1, 2, 4, 3, 5, 6, -100], device=labels.device)
    codes = [table[top[:, p[0]] + 2 * top[:, p[1]] + 4 * top[:, p[2]]] for p in itertools.permutations(range(3))]
    codes = torch.stack(codes, 1)
    fourth = activity.gather(1, order[:, 3:4]) > 0
    return codes.masked_fill(fourth[..., None], -100)


def label_loss(log_probs, labels):
    codes = powerset_codes(labels)
    chosen = log_probs[:, None].expand(-1, 6, -1, -1).gather(3, codes.clamp_min(0)[..., None])[..., 0]
    return -(chosen * (codes >= 0)).mean(2).max(1)[0].mean()


def ones_beside(hidden):
    return F.pad(hidden, (0, 1), value=1.0).flatten(0, 1).double()


@torch.no_grad()
def fit_hints(hints, network, source):
    """The linear maps by least squares over a few batches, so that a network with a past is not disturbed by them."""
    products = [[0, 0] for _ in hints]
    for _ in range(4):
        x, _, _, *taught = source.batch()
        for sums, mine, right in zip(products, network(x, fast=True)[1], taught):
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
def local_error(network, recordings, device):
    """Diarization error within 10 s chunks, 5 s apart, best order of talkers, no collar: (total, missed, false, confused)."""
    was_training = network.training
    network.eval()
    total = missed = false = confused = 0.0
    for wav, turns in recordings:
        for start in range(0, max(1, len(wav) - CHUNK + 1), CHUNK // 2):
            x = torch.from_numpy(wav[start : start + CHUNK]).to(device)[None]
            answer = POWERSET.to(device)[network(x)[0][0].argmax(-1)].cpu().float()
            time_ = (torch.arange(OUTPUTS) * FRAME_STEP + FRAME_CENTRE + start) / RATE
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", required=True)
    parser.add_argument("--noise", required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--excerpts", required=True, nargs="+", help="folders of WAV and RTTM files")
    parser.add_argument("--init", help="weights to start from")
    parser.add_argument("--minutes", type=float, default=19.5)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=1.5e-3, help="highest learning rate")
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

    recordings = excerpts(args.excerpts)
    print("teacher's local error", local_error(PyanNet().read(args.teacher).to(device), recordings, device), flush=True)
    network = PyanNet().to(device)
    hints = nn.ModuleList([nn.Linear(n, n) for n in (60, 256, 256, 256, 256)]).to(device)
    if args.init:
        network.read(args.init)
        print("local error at the start", local_error(network, recordings, device), flush=True)
        fit_hints(hints, network, source)
    parameters = [*network.parameters(), *hints.parameters()]
    optimiser = torch.optim.AdamW(parameters, 1e-3, weight_decay=1e-3, fused=device.type == "cuda")
    average = Average(network)
    averaged = PyanNet().to(device)

    def save():
        save_file(half_precision(PyanNet.named(average.state())), args.out)

    network.train()
    sums, step, report = torch.zeros(9, device=device), 0, time.time()
    reported, hint_weights = 0, torch.tensor(HINT_WEIGHTS, device=device)
    start, last = time.time(), began + 60 * args.minutes
    while time.time() < last:
        progress = (time.time() - start) / (last - start)
        for group in optimiser.param_groups:
            group["lr"] = args.rate * min(1, (step + 1) / 300) * (0.5 + 0.5 * math.cos(math.pi * progress) + 0.005)
        x, labels, taught, *taught_hidden = source.batch()
        log_probs, hidden = network(x, fast=True)
        divergence = F.kl_div(log_probs, taught, log_target=True, reduction="none").sum(-1).mean()
        distances = torch.stack([hint_distance(*three) for three in zip(hints, hidden, taught_hidden)])
        entropy = label_loss(log_probs, labels)
        loss = divergence + (distances * hint_weights).sum() + LABEL_WEIGHT * entropy
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        average.update()
        step += 1
        with torch.no_grad():
            agree = (log_probs.argmax(-1) == taught.argmax(-1)).float().mean()
            overlap = (labels.sum(1) > 1).float().mean()
            sums += torch.cat([torch.stack([divergence, entropy, agree, overlap]), distances.detach()])
        if time.time() - report > 60 or step == 2:
            means = [round(v, 4) for v in (sums / (step - reported)).tolist()]
            averaged.load_state_dict(average.state(), strict=False)
            errors = [local_error(n, recordings, device) for n in (network, averaged)]
            print(step, "kl, labels, agreement, overlap, hints", means, "local error as is and averaged", *errors,
                  "waiting", source.queue.qsize(), f"{time.time() - began:.0f} s", flush=True)  # fmt: skip
            reported = step
            save()
            sums.zero_()
            report = time.time()
    save()
    error = local_error(PyanNet().read(args.out).to(device), recordings, device)
    print("final average as written, local error", error, "steps", step, flush=True)


if __name__ == "__main__":
    main()
