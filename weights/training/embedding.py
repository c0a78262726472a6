#!/usr/bin/env python3
"""Train the embedding network to tell speakers apart from parts of a chunk, as the pipeline asks it to.

    python3 embedding.py --corpora DATA/corpora --noise DATA/noise/esc10 --excerpts DATA/eval/ami DATA/eval/pyannote-sample --gpu 1 \\
        --minutes 19.5 --out embedding.safetensors

Each chunk has two talkers who take turns and sometimes overlap; the network runs once, and its statistics are pooled
twice, over the frames where each of them talks alone. Additive angular margin softmax over speakers and speeds; the
last part has longer chunks and a larger margin. With `--init` it goes on from weights instead: shorter chunks, half
of them of one talker, and the classes start where the network already puts their voices. Forty speakers (`corpus.held_out`) are never heard in training.
"""

import argparse
import math
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

import corpus
from networks import RATE, Average, Fbank, ResNet34, half_precision
from rooms import Acoustics, room_bank
from segmentation import excerpts

LARGE_MARGIN_FROM = 0.8  # of the time


class Speakers:
    """Speech without its pauses, speaker after speaker, and batches of two-talker chunks of it."""

    def __init__(self, args, device):
        held = corpus.held_out(corpus.index(args.corpora))
        rows = [r for r in corpus.index(args.corpora) if (r["corpus"], r["speaker"]) not in held]
        source = corpus.Corpus(args.corpora, rows, device)
        keep = source.speech
        owner = torch.repeat_interleave(
            torch.arange(len(source.rows), device=device),
            torch.tensor([b - a for a, b in source.speakers], device=device),
        )[keep]
        frames = torch.bincount(owner, minlength=len(source.rows))
        first = frames.cumsum(0) - frames
        able = (frames >= 300).nonzero()[:, 0]  # three seconds
        self.tape = source.tape[keep]
        self.frames, self.first = frames[able], first[able]
        # Those with more to say come more often, up to two minutes; one-second words are dull.
        words = torch.tensor([source.rows[i]["corpus"] == "arabic_speech_commands" for i in able.tolist()], device=device)
        self.weights = self.frames.clamp(max=12_000).sqrt() * torch.where(words, 0.5, 1.0)
        self.device = device
        generator = torch.Generator(device).manual_seed(args.seed)
        bank, noise = room_bank(args.rooms, 2, device, generator), corpus.noises(args.noise, device)
        self.acoustics = Acoustics(bank, noise, harsh=True)
        self.milder = Acoustics(bank, noise)
        self.fbank = Fbank(device)

    def batch(self, chunks, frames, alone):
        """Features (chunks, T, 80), masks (chunks, 2, T) and speakers (chunks, 2); `alone`: share with one talker."""
        with torch.no_grad():
            device = self.device
            who = torch.multinomial(self.weights.expand(chunks, -1), 2)
            begin = self.first[who] + ((self.frames[who] - frames).clamp_min(1) * torch.rand(chunks, 2, device=device)).long()
            at = begin[..., None] + torch.arange(frames, device=device)
            # Whoever has too little on tape starts again.
            end = (self.first + self.frames)[who][..., None]
            at = torch.where(at < end, at, at - self.frames[who][..., None])
            x = self.tape[at].float().flatten(2)
            # Turns: up to three changes of talker, none in some of the chunks (then the second has no mask).
            changes = torch.rand(chunks, 3, device=device) * frames * 1.5
            time_ = torch.arange(frames, device=device)
            parity = (time_ > changes[..., None]).sum(1) + torch.randint(2, (chunks, 1), device=device)
            alone = torch.rand(chunks, 1, device=device) < alone
            parity = torch.where(alone, 0, parity % 2)
            on = torch.stack([parity == 0, parity == 1], 1).float()
            # Some come in early or go on for up to 0.6 s.
            late = F.max_pool1d(on, 61, 1, 30)
            on = torch.where((torch.rand(chunks, 2, 1, device=device) < 0.4) & ~alone[..., None], late, on)
            gains = 10 ** ((torch.randn(chunks, 2, device=device) * 4).clamp(-8, 8) / 20)
            y = self.acoustics(x * F.interpolate(on, x.shape[-1], mode="linear"), gains)
            features = self.fbank(y)
            masks = (on * (on.sum(1, keepdim=True) < 2))[..., : features.shape[1]]
            # Segmentation misses a bit, too.
            gap = torch.rand(chunks, 1, 2, device=device) * frames * 1.3
            cut = (time_ > gap.amin(2, keepdim=True)) & (time_ < gap.amax(2, keepdim=True)) & (torch.rand(chunks, 1, 1, device=device) < 0.3)
            masks = masks * ~cut[..., : masks.shape[-1]]
            return features, masks, torch.where(masks.sum(2) >= 60, who, -100)

    def clean(self, who, frames):
        """Features (voices, T, 80) of a clean stretch of each of the voices."""
        begin = self.first[who] + ((self.frames[who] - frames).clamp_min(1) * torch.rand(len(who), device=self.device)).long()
        return self.fbank(self.tape[begin[:, None] + torch.arange(frames, device=self.device)].float().flatten(1))


class MarginSoftmax(nn.Module):
    """Additive angular margin: the right speaker must be nearer by an angle than all the others."""

    def __init__(self, speakers):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(speakers, 256) * 0.05)

    def forward(self, embeddings, speakers, margin, scale=32):
        cosine = F.normalize(embeddings) @ F.normalize(self.weight).T
        right = cosine.gather(1, speakers[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
        harder = right * math.cos(margin) - (1 - right.square()).sqrt() * math.sin(margin)
        harder = torch.where(right > math.cos(math.pi - margin), harder, right - margin * math.sin(math.pi - margin))
        hits = (cosine.argmax(1) == speakers).float().mean()
        return F.cross_entropy(scale * cosine.scatter(1, speakers[:, None], harder), speakers), hits


@torch.no_grad()
def start_from_voices(head, network, speakers):
    """Puts the class of each voice where the network puts the voice."""
    network.eval()
    for who in torch.arange(len(head.weight), device=head.weight.device).split(128):
        stretches = [speakers.clean(who, 400) for _ in range(3)]
        masks = torch.ones(len(who), 1, stretches[0].shape[1], device=who.device)
        head.weight[who] = sum(F.normalize(network(x, masks)[:, 0]) for x in stretches) / 3
    network.train()


def equal_error(embeddings, labels, groups):
    """Equal error rate in % over the pairs within a group, its threshold on the cosine, and the number of pairs."""
    embeddings = F.normalize(embeddings.float()).cpu()
    i, j = np.triu_indices(len(labels), 1)
    scores = (embeddings @ embeddings.T).numpy()[i, j]
    labels, groups = np.array(labels), np.array(groups)
    same, comparable = labels[i] == labels[j], groups[i] == groups[j]
    targets, others = np.sort(scores[same & comparable]), np.sort(scores[~same & comparable])
    thresholds = np.linspace(-0.2, 1, 1201)
    rejected = np.searchsorted(targets, thresholds) / len(targets)
    accepted = 1 - np.searchsorted(others, thresholds) / len(others)
    k = np.argmin(abs(rejected - accepted))
    return [round(50 * float(rejected[k] + accepted[k]), 2), round(float(thresholds[k]), 3), len(targets) + len(others)]


class Trials:
    """Held-out speakers, clean and in noisy rooms, at 5 s and 2 s; and single-speaker stretches of real recordings."""

    def __init__(self, args, device, acoustics):
        rows = corpus.index(args.corpora)
        held = corpus.held_out(rows)
        rows = [r for r in rows if (r["corpus"], r["speaker"]) in held]
        source = corpus.Corpus(args.corpora, rows, device, speeds=(1.0,))
        self.fbank = Fbank(device)
        self.sets = {}
        for seconds in (5, 2):
            crops, labels = [], []
            for speaker, (a, b) in enumerate(source.speakers):
                speech = source.tape[a:b][source.speech[a:b]].flatten().float()
                n = seconds * RATE
                count = min(12, len(speech) // n)
                crops += list(speech[: count * n].view(count, n))
                labels += [speaker] * count
            crops = torch.stack(crops)
            groups = [rows[s]["corpus"] for s in labels]
            self.sets[f"{seconds} s"] = crops, labels, groups
            torch.manual_seed(args.seed)
            noisy = torch.cat([acoustics(x[:, None], torch.ones(len(x), 1, device=device)) for x in crops.split(64)])
            self.sets[f"{seconds} s noisy"] = noisy, labels, groups
        self.real = []
        for number, (wav, turns) in enumerate(excerpts(args.excerpts)):
            names = sorted({name for *_, name in turns})
            on = np.zeros((len(names), len(wav) // corpus.FRAME + 1), int)
            for a, b, name in turns:
                on[names.index(name), int(100 * a) : int(100 * b)] = 1
            on *= on.sum(0) == 1  # where a speaker is alone
            for name, row in zip(names, on):
                edges = np.flatnonzero(np.diff(np.pad(row, 1)))
                for a, b in zip(edges[::2], edges[1::2]):
                    for c in range(a, b - 99, 200):  # in pieces of one or two seconds
                        length = 200 if b - c >= 200 else 100
                        x = torch.from_numpy(wav[c * corpus.FRAME : (c + length) * corpus.FRAME])
                        self.real.append((x.to(device), f"{number} {name}", number))

    @torch.no_grad()
    def __call__(self, network):
        network.eval()

        def embed(x):
            features = self.fbank(x)
            return network(features, torch.ones(len(x), 1, features.shape[1], device=x.device))[:, 0]

        result = {name: equal_error(torch.cat([embed(y) for y in x.split(128)]), *rest) for name, (x, *rest) in self.sets.items()}
        real = torch.cat([embed(x[None]) for x, *_ in self.real])
        result["real"] = equal_error(real, [r[1] for r in self.real], [r[2] for r in self.real])
        network.train()
        return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", required=True)
    parser.add_argument("--noise", required=True)
    parser.add_argument("--excerpts", required=True, nargs="+", help="folders of WAV and RTTM files")
    parser.add_argument("--minutes", type=float, default=19.5)
    parser.add_argument("--seconds", type=float, default=768, help="of audio in a batch")
    parser.add_argument("--rooms", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--init", help="weights to go on from")
    parser.add_argument("--rate", type=float, default=0.15, help="highest learning rate")
    parser.add_argument("--margin", type=float, default=0.2, help="with --init, the angle in radians")
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    began = time.time()
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    device = torch.device(f"cuda:{args.gpu}" if torch.cuda.is_available() else "cpu")
    speakers = Speakers(args, device)
    trials = Trials(args, device, speakers.milder)
    print("speakers x speeds", len(speakers.frames), f"{len(speakers.tape) / 360_000:.1f} h", f"{time.time() - began:.0f} s", flush=True)

    network = ResNet34().to(device).to(memory_format=torch.channels_last)

    head = MarginSoftmax(len(speakers.frames)).to(device)
    if args.init:
        network.read(args.init)
        print("at the start: EER %, threshold, pairs", trials(network), flush=True)
        start_from_voices(head, network, speakers)
    parameters = [*network.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=3e-4, nesterov=True)
    average = Average(network, 0.995 if args.init else 0.998)

    def save():
        save_file(half_precision(average.state(), "resnet."), args.out)

    network.train()
    sums, step, reported, report = torch.zeros(2, device=device), 0, 0, time.time()
    start, last = time.time(), began + 60 * args.minutes
    while time.time() < last:
        progress = (time.time() - start) / (last - start)
        large = not args.init and progress > LARGE_MARGIN_FROM
        for group in optimizer.param_groups:
            group["lr"] = args.rate * min(1, (step + 1) / (100 if args.init else 400)) * 1e-3**progress
        margin = 0.35 if large else args.margin if args.init else 0.2 * min(1, progress / 0.3)
        seconds = float(rng.choice([5.0, 6.0] if large else [2.0, 2.0, 2.0, 3.0] if args.init else [3.0, 4.0, 5.0]))
        features, masks, who = speakers.batch(int(args.seconds / seconds), int(100 * seconds), 0.5 if args.init else 0.2)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            embeddings = network(features, masks)
        chosen = who.flatten() >= 0
        loss, hits = head(embeddings.float().flatten(0, 1)[chosen], who.flatten()[chosen], margin)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        average.update()
        step += 1
        sums += torch.stack([loss.detach(), hits])
        if time.time() - report > 60 or step == 2:
            means = [round(v, 3) for v in (sums / (step - reported)).tolist()]
            print(step, "loss, hits", means, trials(network), f"{time.time() - began:.0f} s", flush=True)
            save()
            sums.zero_()
            reported, report = step, time.time()
    save()
    network.read(args.out)
    print("final average as written: EER %, threshold, pairs", trials(network), "steps", step, flush=True)


if __name__ == "__main__":
    main()
