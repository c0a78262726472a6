#!/usr/bin/env python3
"""Teach the segmentation network that tones, melodies, hum and noise are nobody's speech, and nothing else.

    python3 quiet.py --speech DATA/public --noise DATA/noise/esc10 --init ../default/segmentation.safetensors --seconds 150 --out run

The teacher is the network as it was, hearing people talk; the student hears the same with the sounds of `tones.py`
before, after and behind the talk, and must answer likewise. Where nobody talks, silence is the answer.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import corpus
from networks import Average, PyanNet, half_precision, least_error
from tones import KINDS, sound
from voices import Voices, spread, uniform

FRAMES = 1000
SILENT = 0.3  # of the chunks
SOUNDING = 0.6


def talk(voices, chunks):
    """(chunks, samples): up to three people who talk now and then, in a room, with noise; nobody in the first ones."""
    device = voices.device
    who = torch.multinomial(voices.weights.expand(chunks, -1), 3)
    x = voices.stretch(who, FRAMES)
    # Each talks for spans of half a second to five seconds.
    length = uniform(0.1, 1, chunks, 3, 1, device=device)
    swing = (torch.arange(FRAMES, device=device) / uniform(100, 1000, chunks, 3, 1, device=device) + torch.rand(chunks, 3, 1, device=device)) % 1
    on = (swing < length * uniform(0.3, 1, chunks, 1, 1, device=device)).float()
    on *= (torch.arange(3, device=device)[:, None] < torch.randint(1, 4, (chunks, 1, 1), device=device))
    on[: int(SILENT * chunks)] = 0
    gains = 10 ** ((torch.randn(chunks, 3, device=device) * 4).clamp(-8, 8) / 20)
    acoustics = voices.acoustics if torch.rand(()) < 0.5 else voices.milder
    return acoustics(x * F.interpolate(on, x.shape[-1], mode="linear"), gains)


def with_sounds(y, sounds):
    """The same with a sound in some of the chunks: 25 dB below the talk to 3 dB above, or louder where nobody talks."""
    chunks, device = len(y), y.device
    some = torch.rand(chunks, device=device) < SOUNDING
    picked = sounds[torch.randint(len(sounds), (chunks,), device=device)].float()
    level = y.square().mean(1, keepdim=True).sqrt().clamp_min(1e-3)
    decibels = uniform(-25, 3, chunks, 1, device=device)
    silent = (torch.arange(chunks, device=device) < int(SILENT * chunks))[:, None]
    level = torch.where(silent, 10 ** (-uniform(6, 50, chunks, 1, device=device) / 20), level * 10 ** (decibels / 20))
    # Without the noise floor in a few of them: what a generator makes.
    floor = torch.where(silent & (torch.rand(chunks, 1, device=device) < 0.3), 0.0, 1.0)
    z = torch.where(some[:, None], y * floor + picked * level, y)
    return z / z.abs().amax(1, keepdim=True).clamp_min(1), some


def spoken(network, x):
    """The share of the frames in which the network hears somebody, by the least error."""
    with torch.no_grad():
        return torch.cat([(least_error(network(part)[0]) > 0).float().mean(1) for part in x.split(64)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", required=True)
    parser.add_argument("--noise", required=True)
    parser.add_argument("--init", required=True)
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("--sounds", type=int, default=4500)
    parser.add_argument("--speakers", type=int, help="only so many, to try the script")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--rooms", type=int, default=256)
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    device = torch.device(f"cuda:{args.gpu}" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(5)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    with ProcessPoolExecutor() as pool:
        sounds = torch.from_numpy(np.stack(list(pool.map(sound, range(args.sounds), chunksize=16)))).half().to(device)
    kept, sounds = sounds[: 20 * len(KINDS)], sounds[20 * len(KINDS) :]
    rows = spread(corpus.index(args.speech))
    rows = [r for r in rows if r["seconds"] >= 8]
    rows = rows[:: len(rows) // args.speakers] if args.speakers else rows
    voices = Voices(args, rows, device, 5, speeds=(1.0,))
    teacher = PyanNet().read(args.init).to(device).eval()
    student = PyanNet().read(args.init).to(device)
    optimizer = torch.optim.AdamW(student.parameters(), args.rate, weight_decay=1e-4)
    average = Average(student, 0.99)

    def report(network, name):
        loud, quiet = spoken(network, kept.float() * 0.1), spoken(network, kept.float() * 0.005)
        kinds = {kind.__name__: [round(100 * float(x[i :: len(KINDS)].mean()), 1) for x in (loud, quiet)] for i, kind in enumerate(KINDS)}
        print(f"{time.time() - began:4.0f} s {name}: speech heard in %, loud and quiet", kinds, flush=True)

    began = time.time()
    report(teacher, "before")
    step, sums = 0, torch.zeros(2, device=device)
    while (progress := (time.time() - began) / args.seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = args.rate * min(1, (step + 1) / 50) * (1 - progress)
        with torch.no_grad():
            y = talk(voices, args.batch)
            heard = teacher(y)[0]
            z, some = with_sounds(y, sounds)
            some[int(SILENT * args.batch) :] = False  # left: where only a sound is heard
            heard[some] = torch.tensor([0.0] + [-30.0] * 6, device=device)
        answer = student(z, fast=True)[0]
        loss = F.kl_div(answer, heard, reduction="none", log_target=True).sum(2).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        average.update()
        step += 1
        agree = (least_error(answer.detach()) == least_error(heard)).float().mean()
        sums += torch.stack([loss.detach(), agree])
        if step % 100 == 0:
            print(f"{time.time() - began:4.0f} s step {step} divergence, agreement", [round(v, 4) for v in (sums / 100).tolist()], flush=True)
            sums.zero_()
    student.load_state_dict({k: v.half().float() for k, v in average.state().items()}, strict=False)
    student.eval()
    report(student, "after")
    Path(args.out).mkdir(parents=True, exist_ok=True)
    keep = {k: v for k, v in PyanNet.named(average.state()).items()}
    save_file(half_precision(keep), Path(args.out) / "segmentation.safetensors")


if __name__ == "__main__":
    main()
