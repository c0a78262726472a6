#!/usr/bin/env python3
"""Teach the embedding network what CAM++ hears, and fit the PLDA for it.

    torchrun --nproc-per-node 2 distill.py --speech DATA/public --noise DATA/noise/esc10 --init ../default/embedding.safetensors \\
        --teacher campplus_cn_en_common.pt --seconds 920 --out run

The teacher hears the clean voices of `voices.py`; the student hears a part of the same stretch in a room, with noise,
through codecs, and often with a second talker, and is pooled over the frames where each talks alone. Losses: the angle
between a linear map of the student's embedding and what the teacher hears in the whole voice (in the stretch, where
the formants are shifted); the differences of the cosines of all pairs in the batch; the additive angular margin softmax
of `embedding.py`; and the difference between a linear map of what the student hears in each 80 ms and what the teacher
hears there (`hint`).

For the first part (`--trial`) every process trains a variant by itself; the one with the lowest equal error rates on
speakers set aside goes on with all processes together.
"""

import argparse
import os
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

import corpus
import plda
from campplus import CAMPPlus
from embedding import MarginSoftmax, equal_error
from networks import RATE, Average, Fbank, ResNet34, half_precision
from rooms import Acoustics, room_bank
from voices import STEP, Voices, tape_of

LENGTHS = (100, 150, 200, 200, 300, 400)  # frames that the student hears
VARIANTS = ({"name": "no hint", "hint": 0.0}, {"name": "hint", "hint": 4.0})
MARGIN, MARGIN_WEIGHT = 0.3, 0.5


def set_aside(rows, share):
    """Speakers of each corpus who choose between the variants and are not heard in training."""
    able = defaultdict(list)
    for row in rows:
        if row["seconds"] >= 8 and "span" not in row:
            able[row["corpus"]].append(row["speaker"])
    rng, chosen = np.random.default_rng(192), set()
    for name, speakers in sorted(able.items()):
        speakers = sorted(speakers)
        chosen |= {(name, speakers[i]) for i in rng.permutation(len(speakers))[: round(share * len(speakers))]}
    return chosen


class Validation:
    """Speakers set aside, 1 and 2 s of each, clean and in rooms."""

    def __init__(self, args, rows, device, acoustics):
        tape, frames = tape_of(args.speech, rows, device, (1.0,))
        self.sets, self.fbank = {}, Fbank(device)
        for seconds in (1, 2):
            n, crops, labels = seconds * RATE, [], []
            for speaker, speech in enumerate(tape.split(frames.tolist())):
                speech = speech.flatten().float()
                count = min(8, len(speech) // n)
                step = len(speech) // count
                crops += [speech[i * step : i * step + n] for i in range(count)]
                labels += [speaker] * count
            crops = torch.stack(crops)
            groups = [rows[s]["corpus"] for s in labels]
            self.sets[f"{seconds} s"] = crops, labels, groups
            torch.manual_seed(7)
            noisy = torch.cat([acoustics(x[:, None], torch.ones(len(x), 1, device=device)) for x in crops.split(64)])
            self.sets[f"{seconds} s noisy"] = noisy, labels, groups

    @torch.no_grad()
    def __call__(self, embed):
        return {name: equal_error(torch.cat([embed(y) for y in x.split(128)]), *rest)[0] for name, (x, *rest) in self.sets.items()}

    def of(self, network):
        network.eval()
        result = self(lambda x: alone(network, self.fbank(x)))
        network.train()
        return result


def alone(network, features):
    """Embeddings (batch, 256) of whole stretches."""
    return network(features, torch.ones(len(features), 1, features.shape[1], device=features.device))[:, 0]


class Student(nn.Module):
    """The network, the maps to what the teacher hears, and the classes; only the first is kept."""

    def __init__(self, classes):
        super().__init__()
        self.network = ResNet34()
        self.map = nn.Linear(256, 192)
        self.head = MarginSoftmax(classes)
        self.hint = nn.Sequential(nn.BatchNorm1d(2560, affine=False), nn.Conv1d(2560, 512, 1))
        self.register_buffer("hint_mean", torch.zeros(512, 1))
        self.register_buffer("hint_scale", torch.ones(512, 1))


def hint_loss(student, parts, heard, teacher_parts):
    """Mean square of what a linear map of the student's parts (chunks, 256, 10, t) misses of the teacher's (voices,
    512, t'), each channel with variance one, over the parts in which a voice is alone."""
    predicted = student.hint(parts.flatten(1, 2)).float()[heard.heard // 2]
    wanted = (F.avg_pool1d(teacher_parts.float(), STEP // 2) - student.hint_mean) * student.hint_scale
    at = heard.start[:, None] // STEP + torch.arange(predicted.shape[2], device=predicted.device)
    there = at < wanted.shape[2]
    wanted = wanted.gather(2, at.clamp(max=wanted.shape[2] - 1)[:, None].expand(-1, 512, -1))
    masks = F.interpolate(heard.masks, predicted.shape[2], mode="nearest").flatten(0, 1)[heard.heard] * there
    return ((predicted - wanted).square().mean(1) * masks).sum() / masks.sum().clamp_min(1)


def losses(student, embeddings, target, heard, known):
    """The sum of the embeddings' losses; and the angle, the relations, and how often the right class is the nearest."""
    weight = heard.long_enough.float()
    embeddings = embeddings.float()
    angle = ((1 - F.cosine_similarity(student.map(embeddings), target)) * weight).sum() / weight.sum().clamp_min(1)
    unit = F.normalize(embeddings)
    pairs = weight[:, None] * weight
    pairs = pairs - torch.diag(pairs.diagonal())
    relations = (((unit @ unit.T - target @ target.T).square()) * pairs).sum() / pairs.sum().clamp_min(1)
    labeled = known[heard.who] & ~heard.shifted & heard.long_enough
    softmax, hits = student.head(embeddings[labeled], heard.who[labeled], MARGIN)
    return 10 * angle + 50 * relations + MARGIN_WEIGHT * softmax, torch.stack([angle, relations, hits]).detach()


@torch.no_grad()
def whole_voices(teacher, voices, stretches=4):
    """What the teacher hears in each voice, from four stretches of 4 s: (voices, 192), of length one."""
    found = []
    for who in torch.arange(len(voices.frames), device=voices.device).split(256):
        x = torch.cat([voices.features(voices.stretch(who, 400)) for _ in range(stretches)])
        found.append(F.normalize(F.normalize(teacher(x).float()).unflatten(0, (stretches, -1)).mean(0)))
    return torch.cat(found)


@torch.no_grad()
def start_from(student, teacher, voices, centers, batches):
    """The map by least squares, the classes where the network puts their voices, and the scale of the hints."""
    network = student.network.eval()
    inputs, outputs = [], []
    for _ in range(batches):
        who = torch.multinomial(voices.weights, 128 if voices.tape.is_cuda else 8)
        inputs.append(alone(network, voices.fbank(voices.stretch(who, 300))).float())
        outputs.append(centers[who])
    x, y = F.normalize(torch.cat(inputs)), torch.cat(outputs)
    x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    solution = torch.linalg.solve(x.T @ x + 1e-2 * torch.eye(257, device=x.device), x.T @ y)
    scale = torch.cat(inputs).norm(dim=1).mean()  # the map sees embeddings of this length
    student.map.weight.copy_(solution[:256].T)
    student.map.bias.copy_(solution[256] * scale)
    for who in torch.arange(len(voices.frames), device=x.device).split(128):
        student.head.weight[who] = F.normalize(alone(network, voices.fbank(voices.stretch(who, 300))).float())
    parts = F.avg_pool1d(teacher.parts(voices.features(voices.stretch(who, 300))).float(), STEP // 2)
    student.hint_mean.copy_(parts.mean((0, 2))[:, None])
    student.hint_scale.copy_(1 / parts.std((0, 2))[:, None].clamp_min(1e-3))
    network.train()


def average_gradients(parameters, size):
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    torch._foreach_copy_(gradients, [f.view_as(g) for f, g in zip((flat / size).split([g.numel() for g in gradients]), gradients)])


class Training:
    """Everything that the parts of a run share."""

    def __init__(self, args):
        self.args, self.began = args, time.time()
        self.rank, self.size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        cuda = torch.cuda.is_available()
        self.device = device = torch.device(f"cuda:{int(os.environ.get('LOCAL_RANK', 0))}" if cuda else "cpu")
        if cuda:
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if cuda else "gloo")
        torch.manual_seed(100 + self.rank)
        self.rng = np.random.default_rng(7)  # the same lengths everywhere
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        self.out = Path(args.out)
        self.out.mkdir(parents=True, exist_ok=True)

        rows = corpus.spread(corpus.index(args.speech))
        chosen = set_aside(rows, args.set_aside)
        aside = [r for r in rows if (r["corpus"], r["speaker"]) in chosen]
        rows = [r for r in rows if (r["corpus"], r["speaker"]) not in chosen]
        if args.speakers:
            rows, aside = rows[:: len(rows) // args.speakers], aside[:: max(1, len(aside) * 4 // args.speakers)]
        self.voices = Voices(args, rows, device, 1 + self.rank)
        self.aside = Voices(args, aside, device, 101 + self.rank)
        bank = room_bank(min(128, args.rooms), 2, device, torch.Generator(device).manual_seed(7))
        self.validation = Validation(args, aside, device, Acoustics(bank, self.voices.milder.noise))
        self.say(len(rows), "voices,", f"{len(self.voices.tape) / 360_000 / len(corpus.SPEEDS):.1f} h;", len(aside), "speakers set aside")

        self.fast = torch.autocast(device.type, torch.bfloat16, enabled=cuda)
        self.teacher = CAMPPlus.load(args.teacher).to(device).requires_grad_(False).to(memory_format=torch.channels_last)
        self.student = Student(len(self.voices.frames)).to(device)
        network = self.student.network.to(memory_format=torch.channels_last)
        network.read(args.init)
        if self.rank == 0:
            self.say("at the start", self.validation.of(network))
            self.say("teacher", self.validation(lambda x: self.teacher(self.voices.features(x))))
        if args.trial or args.seconds:
            with self.fast:
                self.centers = whole_voices(self.teacher, self.voices)
            start_from(self.student, self.teacher, self.voices, self.centers, 24 if cuda else 2)
            self.say("the start is found")

    def say(self, *words, everybody=False):
        if everybody or self.rank == 0:
            print(f"{time.time() - self.began:5.0f} s [{self.rank}]", *words, flush=True)

    def loss(self, variant, batch, progress):
        """The loss of a batch; and what to tell of it. The hint fades."""
        with self.fast:
            with torch.no_grad():
                teacher_parts = self.teacher.parts(batch.clean)
                target = self.centers[batch.who]
                target[batch.shifted] = F.normalize(self.teacher.whole(teacher_parts[batch.shifted]).float())
            parts = self.student.network.parts(batch.features)
            embeddings = self.student.network.pooled(parts, batch.masks).flatten(0, 1)[batch.heard]
        loss, told = losses(self.student, embeddings, target, batch, self.voices.known)
        hint = torch.zeros((), device=self.device)
        if variant["hint"]:
            with self.fast:
                hint = hint_loss(self.student, parts, batch, teacher_parts)
            loss = loss + variant["hint"] * (1 - progress) * hint
        return loss, torch.cat([loss.detach()[None], told, hint.detach()[None]])

    def progress(self, start, seconds, step, together, on):
        """The share of the time that is over: by one clock, so that all processes end at the same step."""
        if not together:
            return min(1.0, (time.time() - start) / seconds)
        if step % 10 == 0:
            on.fill_(min(1.0, (time.time() - start) / seconds))
            dist.broadcast(on, 0)
        return float(on)

    def part(self, variant, seconds, together, decay):
        """Trains for so many seconds; returns the moving average."""
        student, args = self.student, self.args
        parameters = [p for n, p in student.named_parameters() if variant["hint"] or not n.startswith("hint")]
        optimizer = torch.optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=1e-4, nesterov=True)
        average = Average(student.network, decay)
        sums, step, reported = torch.zeros(5, device=self.device), 0, 0
        start = report = saved = time.time()
        student.train()
        on = torch.ones(1, device=self.device)
        while (progress := self.progress(start, seconds, step, together, on)) < 1:
            frames = int(self.rng.choice(LENGTHS))
            for group in optimizer.param_groups:
                group["lr"] = args.rate * min(1, (step + 1) / 150) * (1 - progress if together else 1 - 0.5 * progress)
            batch = self.voices.batch(max(2, int(args.audio * 100 / max(200, frames))), frames)
            loss, told = self.loss(variant, batch, progress)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if together and self.size > 1:
                average_gradients(parameters, self.size)
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            average.update()
            step += 1
            sums += told
            if time.time() - report > 45 or step in (2, 50):
                means = [round(v, 4) for v in (sums / (step - reported)).tolist()]
                self.say(variant["name"], "step", step, "loss, angle, relations, hits, hint", means, everybody=not together)
                sums.zero_()
                reported, report = step, time.time()
            if together and self.rank == 0 and time.time() - saved > 30:
                saved = time.time()
                save_file(half_precision(average.state(), "resnet."), self.out / "part.tmp")
                os.replace(self.out / "part.tmp", self.out / "part.safetensors")
        self.say(variant["name"], "ends at step", step, everybody=True)
        if together and self.size > 1:  # norms have a history of their own in each process
            for value in average.values:
                dist.all_reduce(value)
                value /= self.size
        return average

    def choose(self):
        """Trains a variant in each process, and hands the best one's weights to all."""
        variant = VARIANTS[self.rank % len(VARIANTS)]
        average = self.part(variant, self.args.trial, False, 0.995)
        kept = {k: v.clone() for k, v in self.student.network.state_dict().items()}
        self.student.network.load_state_dict(average.state(), strict=False)
        result = self.validation.of(self.student.network)
        self.student.network.load_state_dict(kept)
        self.say(variant["name"], result, everybody=True)
        scores = torch.zeros(self.size, device=self.device)
        scores[self.rank] = result["1 s noisy"] + result["2 s noisy"]
        dist.all_reduce(scores)
        best = int(scores.argmin())
        for value in [*self.student.parameters(), *self.student.buffers()]:
            dist.broadcast(value.data, best)
        self.say("goes on with", VARIANTS[best % len(VARIANTS)]["name"], scores.tolist())
        return VARIANTS[best % len(VARIANTS)]

    @torch.no_grad()
    def embed(self, voices, count):
        """So many embeddings of each process, as the pipeline makes them, and whose they are."""
        voices.weights = voices.known.float()
        kept, labels, have = [], [], 0
        while have < count:
            with self.fast:
                batch = voices.batch(48 if self.device.type == "cuda" else 4, 1000, alone=0.3, shifted=0, shortened=False)
                embeddings = self.student.network(batch.features, batch.masks).flatten(0, 1)[batch.heard].float()
            chosen = batch.masks.sum(2).flatten()[batch.heard] >= 60
            kept.append(embeddings[chosen])
            labels.append(batch.who[chosen])
            have += int(chosen.sum())
        found = []
        for part in (torch.cat(kept)[:count].contiguous(), torch.cat(labels)[:count].contiguous()):
            parts = [torch.empty_like(part) for _ in range(self.size)]
            dist.all_gather(parts, part)
            found.append(torch.cat(parts).cpu().numpy())
        return found

    def fit_plda(self):
        """The PLDA, on the voices of the training; embeddings of those set aside too, to fit on again."""
        self.student.network.eval()
        for name, voices, count in (("", self.voices, self.args.embeddings), ("_aside", self.aside, self.args.embeddings // 2)):
            embeddings, labels = self.embed(voices, count)
            if self.rank == 0:
                np.savez(self.out / f"embeddings{name}.npz", embeddings=embeddings[:28_000].astype(np.float16), labels=labels[:28_000].astype(np.int32))
                model = plda.fit(embeddings.astype(np.float64), labels, 128)
                save_arrays({k: np.ascontiguousarray(v, np.float32) for k, v in model.items()}, self.out / f"plda{name}.safetensors")
                self.say(len(labels), "embeddings; variance between speakers, relative to that within:", model["psi"][:8].round(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", required=True, help="folder that public.py made")
    parser.add_argument("--noise", required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--init", required=True)
    parser.add_argument("--trial", type=float, default=0, help="seconds for the variants, one in each process; 0: none")
    parser.add_argument("--seconds", type=float, default=920, help="for all processes together, after that; 0: only the PLDA")
    parser.add_argument("--variant", type=int, default=1, help="which of VARIANTS without a trial")
    parser.add_argument("--rate", type=float, default=0.2, help="highest learning rate")
    parser.add_argument("--audio", type=float, default=768, help="seconds of audio in a batch of a process")
    parser.add_argument("--rooms", type=int, default=768)
    parser.add_argument("--set-aside", type=float, default=0.08, help="share of the speakers of each corpus")
    parser.add_argument("--embeddings", type=int, default=32_000, help="for the PLDA, of each process")
    parser.add_argument("--speakers", type=int, help="only so many, to try the script")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    training = Training(args)
    variant = training.choose() if args.trial else VARIANTS[args.variant]
    network = training.student.network
    average = training.part(variant, args.seconds, True, 0.998) if args.seconds else Average(network)
    network.load_state_dict({k: v.half().float() for k, v in average.state().items()}, strict=False)
    if training.rank == 0:
        save_file(half_precision(average.state(), "resnet."), training.out / "embedding.safetensors")
        training.say("final", variant["name"], training.validation.of(network))
    training.fit_plda()
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
