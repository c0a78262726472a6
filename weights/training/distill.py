#!/usr/bin/env python3
"""Teach the embedding network what CAM++ hears, and fit the PLDA for it.

    torchrun --nproc-per-node 2 distill.py --speech DATA/public --noise DATA/noise/esc10 --init ../default/embedding.safetensors \\
        --teacher campplus_cn_en_common.pt --seconds 960 --out run

The teacher hears three seconds or more of a talker's clean voice; the student hears a part of the same stretch in a
room, with noise, through codecs, and often with a second talker, and is pooled over the frames where each talks
alone. Losses: the angle between a linear map of the student's embedding and the teacher's; the differences of the
cosines of all pairs in the batch; and, in some variants, the additive angular margin softmax of `embedding.py`.

Speeds and shifted formants make more voices. For the first part (`--trial`) every process trains a variant by itself;
the one with the lowest equal error rates on speakers set aside goes on with all processes together.
"""

import argparse
import math
import os
import time
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
from campplus import CAMPPlus, Features
from embedding import MarginSoftmax, equal_error
from networks import Average, Fbank, ResNet34, half_precision
from rooms import RATE, Acoustics, room_bank

SET_ASIDE = {"common_voice_6": 80, "common_voice_13_en": 24, "librispeech_test_clean": 8, "an4": 8}
LENGTHS = (100, 150, 200, 200, 300, 400)  # frames that the student hears
VARIANTS = (
    {"name": "clean teacher", "same": False, "margin": 0.0, "rate": 0.2},
    {"name": "clean teacher and margin", "same": False, "margin": 0.5, "rate": 0.2},
    {"name": "the same signal", "same": True, "margin": 0.0, "rate": 0.2},
)


def set_aside(rows):
    """Speakers who choose between the variants and are not heard in training."""
    chosen = set()
    for name, count in SET_ASIDE.items():
        able = sorted(r["speaker"] for r in rows if r["corpus"] == name and r["seconds"] >= 8)
        chosen |= {(name, able[i]) for i in np.random.default_rng(192).permutation(len(able))[:count]}
    return chosen


def spectrogram(x):
    return torch.stft(x, 512, 128, window=torch.hann_window(512, device=x.device), return_complex=True)


def waveform(spectrum, samples):
    return torch.istft(spectrum, 512, 128, window=torch.hann_window(512, device=spectrum.device), length=samples)


def shift_formants(x, factor):
    """Stretches the spectral envelope of (batch, samples) by a factor each; the pitch stays."""
    spectrum = spectrogram(x)
    log = (spectrum.abs().square() + 1e-7).log()
    cepstrum = torch.fft.irfft(log, dim=1)
    cepstrum[:, 30:-29] = 0
    envelope = torch.fft.rfft(cepstrum, dim=1).real
    at = (torch.arange(257, device=x.device) / factor[:, None]).clamp(max=255.99)
    low = at.long()[..., None].expand(-1, -1, envelope.shape[2])
    stretched = torch.lerp(envelope.gather(1, low), envelope.gather(1, low + 1), at.frac()[..., None])
    y = waveform(spectrum * ((stretched - envelope) / 2).clamp(-2.3, 2.3).exp(), x.shape[1])
    return y * (x.square().mean(1, keepdim=True) / y.square().mean(1, keepdim=True).clamp_min(1e-8)).sqrt()


def uniform(low, high, *shape, device):
    return low + (high - low) * torch.rand(*shape, device=device)


def coarse(y):
    """What coders at low rates do: noise under each band, nothing where little was."""
    batch, samples = y.shape
    spectrum = spectrogram(y)[:, :256]
    bands = spectrum.abs().square().unflatten(1, (16, 16)).mean(2)
    noise = torch.randn_like(spectrum).unflatten(1, (16, 16))
    noise = noise * (bands * 10 ** (-uniform(5, 20, batch, 16, 1, device=y.device) / 10)).sqrt()[:, :, None]
    kept = bands > bands.amax((1, 2), keepdim=True) * 10 ** (-uniform(28, 55, batch, 1, 1, device=y.device) / 10)
    spectrum = ((spectrum.unflatten(1, (16, 16)) + noise) * kept[:, :, None]).flatten(1, 2)
    return waveform(F.pad(spectrum, (0, 0, 0, 1)), samples)


def telephone(y):
    """300 to 3,400 Hz and eight bits of the µ-law."""
    spectrum = torch.fft.rfft(y)
    hz = torch.linspace(0, RATE / 2, spectrum.shape[1], device=y.device)
    y = torch.fft.irfft(spectrum * (torch.sigmoid((3500 - hz) / 60) * torch.sigmoid((hz - 200) / 30)), y.shape[1])
    y = y / y.abs().amax(1, keepdim=True).clamp_min(1e-4) * uniform(0.1, 1, len(y), 1, device=y.device)
    code = y.sign() * (255 * y.abs()).log1p() / math.log(256)
    code = (code * 127).round() / 127
    return code.sign() * (code.abs() * math.log(256)).expm1() / 255


def sixteen_bits(y):
    """Quiet recordings, rounded."""
    y = y / y.abs().amax(1, keepdim=True).clamp_min(1e-4) * 10 ** (-uniform(0, 45, len(y), 1, device=y.device) / 20)
    return (y * 32768 + torch.rand_like(y) - 0.5).round() / 32768


def coded(y):
    order = torch.randperm(len(y), device=y.device)
    y = y.clone()
    at = 0
    for share, code in ((0.18, coarse), (0.1, telephone), (0.2, sixteen_bits)):
        some = order[at : at + max(1, int(share * len(y)))]
        y[some] = code(y[some])
        at += len(some)
    return y


def spread(rows):
    """A row for each clip of whom nobody knows who speaks."""
    found = []
    for row in rows:
        ends = np.cumsum(row.get("clips", [])).tolist()
        spans = [{"span": (a, b), "speaker": f"{row['speaker']}-{a}"} for a, b in zip([0] + ends, ends)]
        found += [{**row, **span} for span in spans] if spans else [row]
    return found


def tape_of(root, rows, device, speeds):
    """Everybody at every speed on one tape (frames, 160), and the frames of each."""
    files = {row["file"]: row for row in rows}
    heard = dict(zip(files, corpus.read(root, files.values())))
    clips = [heard[row["file"]][slice(*row["span"])] if "span" in row else heard[row["file"]] for row in rows]
    pieces = []
    for speed in speeds:
        for clip in clips:
            x = corpus.at_speed(torch.from_numpy(clip).to(device), speed)
            pieces.append(x[: len(x) // corpus.FRAME * corpus.FRAME].view(-1, corpus.FRAME).half())
    return torch.cat(pieces), torch.tensor([len(x) for x in pieces], device=device)


class Voices:
    """Speech of everybody at every speed on one tape, and batches of it for the student and the teacher."""

    def __init__(self, args, rows, device, seed, speeds=corpus.SPEEDS):
        self.tape, self.frames = tape_of(args.speech, rows, device, speeds)
        self.first = self.frames.cumsum(0) - self.frames
        words = torch.tensor([r["corpus"] == "arabic_speech_commands" for r in rows] * len(speeds), device=device)
        self.known = torch.tensor(["span" not in r for r in rows] * len(speeds), device=device)
        self.weights = self.frames.clamp(max=6_000).float().sqrt() * torch.where(words, 0.4, 1.0)
        self.device = device
        generator = torch.Generator(device).manual_seed(seed)
        bank, noise = room_bank(args.rooms, 2, device, generator), corpus.noises(args.noise, device)
        self.acoustics = Acoustics(bank, noise, harsh=True)
        self.milder = Acoustics(bank, noise)
        self.fbank, self.features = Fbank(device), Features(device)

    def stretch(self, who, frames):
        """(…, samples) of voices `who` (…): from a random place; whoever has too little on tape starts again."""
        begin = ((self.frames[who] - frames).clamp_min(1) * torch.rand(who.shape, device=self.device)).long()
        at = begin[..., None] + torch.arange(frames, device=self.device)
        at = self.first[who][..., None] + at % self.frames[who][..., None]
        return self.tape[at].float().flatten(-2)

    @torch.no_grad()
    def batch(self, chunks, frames, same=False, alone=0.5, shifted=0.4, shortened=True):
        """Student's features (chunks, T, 80) and masks (chunks, 2, T); which of the flattened (chunks * 2) voices
        count at all; their speakers, -100 if shifted; whether they are heard long enough; the teacher's features."""
        device = self.device
        longer = frames if same else max(300, frames)
        single = chunks if same else int(alone * chunks)
        who = torch.multinomial(self.weights.expand(chunks, -1), 2)
        x = self.stretch(who, longer)
        speakers = torch.where(self.known[who], who, -100)
        if shifted:
            some = torch.rand(chunks, device=device).argsort()[: int(shifted * chunks)]
            factor = torch.exp(uniform(-0.17, 0.17, 2 * len(some), device=device))
            x[some] = shift_formants(x[some].flatten(0, 1), factor).view(len(some), 2, -1)
            speakers[some] = -100
        heard = torch.arange(2 * chunks, device=device)
        heard = heard[(heard % 2 == 0) | (heard >= 2 * single)]
        teacher = None if same else self.features(x.flatten(0, 1)[heard])
        if longer > frames:
            start = torch.randint(longer - frames + 1, (chunks, 1, 1), device=device) * corpus.FRAME
            x = x.gather(2, (start + torch.arange(frames * corpus.FRAME, device=device)).expand(-1, 2, -1))
        # Turns: up to three changes of talker, some come in early or go on for up to 0.6 s.
        by_itself = (torch.arange(chunks, device=device) < single)[:, None]
        changes = torch.rand(chunks, 3, device=device) * frames * 1.5
        time_ = torch.arange(frames, device=device)
        parity = (time_ > changes[..., None]).sum(1) + torch.randint(2, (chunks, 1), device=device)
        parity = torch.where(by_itself, 0, parity % 2)
        on = torch.stack([parity == 0, parity == 1], 1).float()
        late = F.max_pool1d(on, 61, 1, 30)
        on = torch.where((torch.rand(chunks, 2, 1, device=device) < 0.4) & ~by_itself[..., None], late, on)
        gains = 10 ** ((torch.randn(chunks, 2, device=device) * 4).clamp(-8, 8) / 20)
        spoken = F.interpolate(on, x.shape[-1], mode="linear")
        acoustics = self.acoustics if torch.rand(()) < 0.65 else self.milder
        y = coded(acoustics(x * spoken, gains))
        if same:
            teacher = self.features(y / y.abs().amax(1, keepdim=True).clamp_min(1e-4) * 0.5)
        features = self.fbank(y)
        masks = on * (on.sum(1, keepdim=True) < 2)
        gap = torch.rand(chunks, 1, 2, device=device) * frames * 1.3
        cut = (time_ > gap.amin(2, keepdim=True)) & (time_ < gap.amax(2, keepdim=True)) & (torch.rand(chunks, 1, 1, device=device) < 0.25)
        masks = masks * ~cut
        if shortened and frames > 60:  # half a second and more, by itself
            length = torch.exp(uniform(math.log(50), math.log(frames), chunks, 1, 1, device=device))
            begin = torch.rand(chunks, 1, 1, device=device) * (frames - length)
            part = (time_ >= begin) & (time_ < begin + length) | (torch.rand(chunks, 1, 1, device=device) < 0.5)
            masks = torch.where(by_itself[..., None], part, masks)
        masks = masks[..., : features.shape[1]]
        long_enough = (masks.sum(2) >= 40).flatten()[heard]
        return features, masks, heard, speakers.flatten()[heard], long_enough, teacher


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

        def embed(x):
            features = self.fbank(x)
            return network(features, torch.ones(len(x), 1, features.shape[1], device=x.device))[:, 0]

        result = self(embed)
        network.train()
        return result


class Student(nn.Module):
    """The network, the map to the teacher's numbers and the classes; only the first is kept."""

    def __init__(self, classes):
        super().__init__()
        self.network = ResNet34()
        self.map = nn.Linear(256, 192)
        self.head = MarginSoftmax(classes)


def losses(student, embeddings, target, speakers, weight, margin):
    embeddings = embeddings.float()
    total = weight.sum().clamp_min(1)
    target = F.normalize(target)
    angle = ((1 - F.cosine_similarity(student.map(embeddings), target)) * weight).sum() / total
    unit = F.normalize(embeddings)
    pairs = weight[:, None] * weight
    pairs = pairs - torch.diag(pairs.diagonal())
    relations = (((unit @ unit.T - target @ target.T).square()) * pairs).sum() / pairs.sum().clamp_min(1)
    loss = 10 * angle + 50 * relations
    hits = torch.zeros((), device=loss.device)
    if margin:
        known = (speakers >= 0) & (weight > 0)
        softmax, hits = student.head(embeddings[known], speakers[known], 0.3)
        loss = loss + margin * softmax
    return loss, torch.stack([angle, relations, hits]).detach()


@torch.no_grad()
def start_from(student, teacher, voices, batches):
    """The map by least squares, and the classes where the network already puts their voices."""
    network = student.network.eval()
    inputs, outputs = [], []
    for _ in range(batches):
        who = torch.multinomial(voices.weights, 128 if voices.tape.is_cuda else 8)
        x = voices.stretch(who, 300)
        features = voices.fbank(x)
        inputs.append(network(features, torch.ones(len(x), 1, features.shape[1], device=x.device))[:, 0].float())
        outputs.append(F.normalize(teacher(voices.features(x)).float()))
    x, y = F.normalize(torch.cat(inputs)), torch.cat(outputs)
    x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    solution = torch.linalg.solve(x.T @ x + 1e-2 * torch.eye(257, device=x.device), x.T @ y)
    scale = torch.cat(inputs).norm(dim=1).mean()  # the map sees embeddings of this length
    student.map.weight.copy_(solution[:256].T)
    student.map.bias.copy_(solution[256] * scale)
    for who in torch.arange(len(voices.frames), device=x.device).split(128):
        features = voices.fbank(voices.stretch(who, 300))
        student.head.weight[who] = F.normalize(network(features, torch.ones(len(who), 1, features.shape[1], device=x.device))[:, 0].float())
    network.train()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", required=True, help="folder that public.py made")
    parser.add_argument("--noise", required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--init", required=True)
    parser.add_argument("--trial", type=float, default=160, help="seconds for the variants, one in each process; 0: none")
    parser.add_argument("--seconds", type=float, default=780, help="for all processes together, after that; 0: only the PLDA")
    parser.add_argument("--variant", type=int, default=1, help="which of VARIANTS without a trial")
    parser.add_argument("--rate", type=float, help="highest learning rate; default: that of the variant")
    parser.add_argument("--audio", type=float, default=768, help="seconds of audio in a batch of a process")
    parser.add_argument("--rooms", type=int, default=768)
    parser.add_argument("--embeddings", type=int, default=32_000, help="for the PLDA, of each process")
    parser.add_argument("--speakers", type=int, help="only so many, to try the script")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    began = time.time()
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    cuda = torch.cuda.is_available()
    device = torch.device(f"cuda:{int(os.environ.get('LOCAL_RANK', 0))}" if cuda else "cpu")
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo")
    torch.manual_seed(100 + rank)
    rng = np.random.default_rng(7)  # the same lengths everywhere
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)

    def say(*words, everybody=False):
        if everybody or rank == 0:
            print(f"{time.time() - began:5.0f} s [{rank}]", *words, flush=True)

    rows = spread(corpus.index(args.speech))
    aside = set_aside(rows)
    validation_rows = [r for r in rows if (r["corpus"], r["speaker"]) in aside]
    rows = [r for r in rows if (r["corpus"], r["speaker"]) not in aside]
    if args.speakers:
        rows, validation_rows = rows[:: len(rows) // args.speakers], validation_rows[:: max(1, len(validation_rows) * 4 // args.speakers)]
    say("reading")
    voices = Voices(args, rows, device, 1 + rank)
    say("rooms and tapes are there")
    bank = room_bank(128, 2, device, torch.Generator(device).manual_seed(7))
    validation = Validation(args, validation_rows, device, Acoustics(bank, voices.milder.noise))
    say(len(rows), "speakers,", f"{len(voices.tape) / 360_000 / len(corpus.SPEEDS):.1f} h;", len(validation_rows), "set aside")

    teacher = CAMPPlus.load(args.teacher).to(device).requires_grad_(False).to(memory_format=torch.channels_last)
    student = Student(len(voices.frames)).to(device)
    student.network.to(memory_format=torch.channels_last)
    student.network.read(args.init)
    fast = torch.autocast(device.type, torch.bfloat16, enabled=cuda)
    if args.trial or args.seconds:
        start_from(student, teacher, voices, 24 if cuda else 2)
    if rank == 0:
        say("at the start", validation.of(student.network))
        say("teacher", validation(lambda x: teacher(voices.features(x))))

    def part(name, variant, seconds, together, decay):
        parameters = [p for n, p in student.named_parameters() if variant["margin"] or not n.startswith("head")]
        optimizer = torch.optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=1e-4, nesterov=True)
        average = Average(student.network, decay)
        sums, step, reported, start, report, saved = torch.zeros(4, device=device), 0, 0, time.time(), time.time(), time.time()
        student.train()
        on = torch.ones(1, device=device)
        while True:
            if not together:
                progress = min(1.0, (time.time() - start) / seconds)
            elif step % 10 == 0:  # one clock: all end at the same step
                on.fill_(min(1.0, (time.time() - start) / seconds))
                dist.broadcast(on, 0)
                progress = float(on)
            if progress >= 1:
                break
            frames = int(rng.choice(LENGTHS))
            rate = variant["rate"] * min(1, (step + 1) / 150) * (1 - progress if together else 1 - 0.5 * progress)
            for group in optimizer.param_groups:
                group["lr"] = rate
            chunks = max(2, int(args.audio * 100 / max(200, frames)))
            features, masks, heard, speakers, long_enough, clean = voices.batch(chunks, frames, variant["same"])
            with fast:
                target = teacher(clean).float()
                embeddings = student.network(features, masks).flatten(0, 1)[heard]
            loss, told = losses(student, embeddings, target, speakers, long_enough.float(), variant["margin"])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if together and size > 1:
                gradients = [p.grad for p in parameters if p.grad is not None]
                flat = torch.cat([g.flatten() for g in gradients])
                dist.all_reduce(flat)
                torch._foreach_copy_(gradients, [f.view_as(g) for f, g in zip((flat / size).split([g.numel() for g in gradients]), gradients)])
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            average.update()
            step += 1
            sums += torch.cat([loss.detach()[None], told])
            if time.time() - report > 45 or step in (2, 50):
                means = [round(v, 4) for v in (sums / (step - reported)).tolist()]
                say(name, "step", step, "loss, angle, relations, hits", means, "rate", round(rate, 4), everybody=not together)
                sums.zero_()
                reported, report = step, time.time()
            if together and rank == 0 and time.time() - saved > 30:
                saved = time.time()
                save_file(half_precision(average.state(), "resnet."), out / "part.safetensors")
        say(name, "ends at step", step, everybody=True)
        if together and size > 1:  # norms have a history of their own in each process
            for value in average.values:
                dist.all_reduce(value)
                value /= size
        return average

    def evaluate(average):
        kept = {k: v.clone() for k, v in student.network.state_dict().items()}
        student.network.load_state_dict(average.state(), strict=False)
        result = validation.of(student.network)
        student.network.load_state_dict(kept)
        return result

    variant = VARIANTS[rank % len(VARIANTS)]
    if args.trial:
        average = part(variant["name"], variant, args.trial, False, 0.995)
        result = evaluate(average)
        say(variant["name"], result, everybody=True)
        save_file(half_precision(average.state(), "resnet."), out / f"trial{rank}.safetensors")
        scores = torch.zeros(size, device=device)
        scores[rank] = result["1 s noisy"] + result["2 s noisy"]
        dist.all_reduce(scores)
        best = int(scores.argmin())
        variant = VARIANTS[best % len(VARIANTS)]
        say("goes on with", variant["name"], scores.tolist())
        for value in [*student.parameters(), *student.buffers()]:
            dist.broadcast(value.data, best)
    else:
        variant = VARIANTS[args.variant]
    if args.rate:
        variant = {**variant, "rate": args.rate}
    average = part("together", variant, args.seconds, True, 0.998) if args.seconds else Average(student.network)
    student.network.load_state_dict(average.state(), strict=False)
    if rank == 0:
        save_file(half_precision(average.state(), "resnet."), out / "embedding.safetensors")
        say("final", variant["name"], validation.of(student.network))

    # The PLDA, on what the pipeline will embed.
    student.network.load_state_dict({k: v.half().float() for k, v in average.state().items()}, strict=False)
    student.network.eval()
    voices.weights = voices.known.float()
    kept, labels, have = [], [], 0
    while have < args.embeddings:
        with torch.no_grad(), fast:
            features, masks, heard, speakers, _, _ = voices.batch(48 if cuda else 4, 1000, alone=0.3, shifted=0, shortened=False)
            embeddings = student.network(features, masks).flatten(0, 1)[heard].float()
        chosen = masks.sum(2).flatten()[heard] >= 60
        kept.append(embeddings[chosen])
        labels.append(speakers[chosen])
        have += int(chosen.sum())
    kept, labels = torch.cat(kept)[: args.embeddings].contiguous(), torch.cat(labels)[: args.embeddings].contiguous()
    all_kept = [torch.empty_like(kept) for _ in range(size)]
    all_labels = [torch.empty_like(labels) for _ in range(size)]
    dist.all_gather(all_kept, kept)
    dist.all_gather(all_labels, labels)
    if rank == 0:
        np.savez(out / "embeddings.npz", embeddings=kept[:28_000].cpu().numpy().astype(np.float16), labels=labels[:28_000].cpu().numpy().astype(np.int32))
        model = plda.fit(torch.cat(all_kept).cpu().double().numpy(), torch.cat(all_labels).cpu().numpy(), 128)
        save_arrays({k: np.ascontiguousarray(v, np.float32) for k, v in model.items()}, out / "plda.safetensors")
        say(size * len(labels), "embeddings; variance between speakers, relative to that within:", model["psi"][:8].round(1))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
