"""Voices for the embedding network and its teacher: everybody's clean speech on one tape, and what becomes of it in
rooms, noise, codecs and conversations."""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

import corpus
from campplus import Features
from networks import RATE, Fbank
from rooms import Acoustics, room_bank

STEP = 8  # frames: the network's parts are 80 ms apart


def uniform(low, high, *shape, device):
    return low + (high - low) * torch.rand(*shape, device=device)


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


def tape_of(root, rows, device, speeds):
    """Everybody at every speed on one tape (frames, 160), and the frames of each."""
    clips, pieces = corpus.read(root, rows), []
    for speed in speeds:
        for clip in clips:
            x = corpus.at_speed(torch.from_numpy(clip).to(device), speed)
            pieces.append(x[: len(x) // corpus.FRAME * corpus.FRAME].view(-1, corpus.FRAME).half())
    return torch.cat(pieces), torch.tensor([len(x) for x in pieces], device=device)


class Batch(NamedTuple):
    """Chunks with two voices each, flattened to (chunks * 2) voices, of which `heard` lists those that count."""

    features: torch.Tensor  # (chunks, T, 80), what the student hears
    masks: torch.Tensor  # (chunks, 2, T), where each voice is alone
    heard: torch.Tensor  # (voices,)
    who: torch.Tensor  # (voices,), which of the tape's voices
    shifted: torch.Tensor  # (voices,), whether the formants are other ones than on the tape
    long_enough: torch.Tensor  # (voices,), whether there is anything to hear
    clean: torch.Tensor  # (voices, T', 80), what the teacher hears
    start: torch.Tensor  # (voices,), frame of `clean` in which the chunk begins, a multiple of STEP


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
    def batch(self, chunks, frames, alone=0.5, shifted=0.4, shortened=True):
        device = self.device
        longer = max(200, frames)
        single = int(alone * chunks)
        who = torch.multinomial(self.weights.expand(chunks, -1), 2)
        x = self.stretch(who, longer)
        other = torch.zeros(chunks, 2, dtype=torch.bool, device=device)
        if shifted:
            some = torch.rand(chunks, device=device).argsort()[: max(1, int(shifted * chunks))]
            factor = torch.exp(uniform(-0.17, 0.17, 2 * len(some), device=device))
            x[some] = shift_formants(x[some].flatten(0, 1), factor).view(len(some), 2, -1)
            other[some] = True
        heard = torch.arange(2 * chunks, device=device)
        heard = heard[(heard % 2 == 0) | (heard >= 2 * single)]
        clean = self.features(x.flatten(0, 1)[heard])
        start = torch.randint((longer - frames) // STEP + 1, (chunks, 1, 1), device=device) * STEP
        if longer > frames:
            x = x.gather(2, (start * corpus.FRAME + torch.arange(frames * corpus.FRAME, device=device)).expand(-1, 2, -1))
        by_itself = (torch.arange(chunks, device=device) < single)[:, None]
        on = self.turns(chunks, frames, by_itself)
        gains = 10 ** ((torch.randn(chunks, 2, device=device) * 4).clamp(-8, 8) / 20)
        spoken = F.interpolate(on, x.shape[-1], mode="linear")
        acoustics = self.acoustics if torch.rand(()) < 0.5 else self.milder
        features = self.fbank(coded(acoustics(x * spoken, gains)))
        masks = self.masks(on, by_itself, shortened)[..., : features.shape[1]]
        long_enough = (masks.sum(2) >= 40).flatten()[heard]
        return Batch(features, masks, heard, who.flatten()[heard], other.flatten()[heard], long_enough, clean, start.flatten()[heard // 2])

    def turns(self, chunks, frames, by_itself):
        """(chunks, 2, frames): up to three changes of talker; some come in early or go on for up to 0.6 s."""
        device = self.device
        changes = torch.rand(chunks, 3, device=device) * frames * 1.5
        time = torch.arange(frames, device=device)
        parity = (time > changes[..., None]).sum(1) + torch.randint(2, (chunks, 1), device=device)
        parity = torch.where(by_itself, 0, parity % 2)
        on = torch.stack([parity == 0, parity == 1], 1).float()
        late = F.max_pool1d(on, 61, 1, 30)
        return torch.where((torch.rand(chunks, 2, 1, device=device) < 0.4) & ~by_itself[..., None], late, on)

    def masks(self, on, by_itself, shortened):
        """Where each is alone, with what a segmentation network misses, and often only a short part of it."""
        chunks, _, frames = on.shape
        device = self.device
        time = torch.arange(frames, device=device)
        masks = on * (on.sum(1, keepdim=True) < 2)
        gap = torch.rand(chunks, 1, 2, device=device) * frames * 1.3
        cut = (time > gap.amin(2, keepdim=True)) & (time < gap.amax(2, keepdim=True)) & (torch.rand(chunks, 1, 1, device=device) < 0.25)
        masks = masks * ~cut
        if shortened and frames > 60:  # half a second and more, by itself
            length = torch.exp(uniform(math.log(50), math.log(frames), chunks, 1, 1, device=device))
            begin = torch.rand(chunks, 1, 1, device=device) * (frames - length)
            part = (time >= begin) & (time < begin + length) | (torch.rand(chunks, 1, 1, device=device) < 0.5)
            masks = torch.where(by_itself[..., None], part, masks)
        return masks
