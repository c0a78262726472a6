"""The two networks in PyTorch, with pyannote.audio's parameter names, so that the files load anywhere."""

import math
import re

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file

RATE = 16_000
FRAME_STEP, FRAME_CENTER = 270, 495  # samples: of the segmentation's output frames
POWERSET = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]])
SIZES = POWERSET.sum(1)
ERRORS = torch.maximum(SIZES[:, None], SIZES) - POWERSET @ POWERSET.T  # speakers missed, made up or confused


def read_weights(path):
    """The tensors of a weights file in f32: stored as f32, f16, or 8 bits with a scale for each output channel."""
    stored = load_file(path)

    def values(name):
        x, scale = stored[name].float(), stored.get(name + ".scale")
        return x if scale is None else x * scale.float().view(-1, *[1] * (x.dim() - 1))

    return {name: values(name) for name in stored if not name.endswith(".scale")}


class SincFilters(nn.Module):
    """40 band-pass filters and their quadrature, each given by two learned frequencies."""

    def __init__(self):
        super().__init__()
        mel = np.linspace(2595 * np.log10(1 + 30 / 700), 2595 * np.log10(1 + 7900 / 700), 41)
        hz = torch.from_numpy(700 * (10 ** (mel / 2595) - 1)).float()
        self.low_hz_ = nn.Parameter(hz[:-1, None].clone())
        self.band_hz_ = nn.Parameter(hz.diff()[:, None].clone())
        self.register_buffer("n_", 2 * math.pi * torch.arange(-125.0, 0)[None] / RATE)
        self.register_buffer("window_", torch.from_numpy(np.hamming(251)[:125]).float())

    def forward(self):
        low = 50 + self.low_hz_.abs()
        high = torch.clamp(low + 50 + self.band_hz_.abs(), 50, RATE / 2)
        band = high - low
        at_low, at_high = low @ self.n_, high @ self.n_
        left = (at_high.sin() - at_low.sin()) / (self.n_ / 2) * self.window_
        cosine = torch.cat([left, 2 * band, left.flip(1)], 1)
        left = (at_low.cos() - at_high.cos()) / (self.n_ / 2) * self.window_
        sine = torch.cat([left, torch.zeros_like(band), -left.flip(1)], 1)
        return torch.cat([cosine / (2 * band), sine / (2 * band)])[:, None]


def convolve(x, weight, bias, hop, together):
    """A convolution as one large matrix product: x (batch, samples, inputs) and weight (outputs, inputs, kernel) to
    (batch, frames, outputs). `together` neighboring frames share a window, and the matrix holds the weights once for
    each of them: more arithmetic than cuDNN's convolution for these few channels, in a fraction of its time."""
    outputs, inputs, kernel = weight.shape
    frames = (x.shape[1] - kernel) // hop + 1
    window, windows = kernel + (together - 1) * hop, -(-frames // together)
    # Rows one hop longer than a window, cut into windows again: each is a hop further on than the one before.
    rows = F.pad(weight.transpose(1, 2), (0, 0, 0, window + hop - kernel))[:, None].expand(-1, together, -1, -1)
    rows = rows.reshape(outputs, -1, inputs)[:, : together * window].reshape(outputs, together, window * inputs)
    matrix = rows.transpose(0, 1).flatten(0, 1)
    x = F.pad(x, (0, 0, 0, max(0, (windows - 1) * together * hop + window - x.shape[1])))
    x = x.flatten(1).unfold(1, window * inputs, together * hop * inputs)[:, :windows]
    return F.linear(x, matrix, bias.repeat(together)).view(len(x), windows * together, outputs)[:, :frames]


def thirds(x):
    """The largest of every three frames of (batch, frames, channels)."""
    return x[:, : x.shape[1] // 3 * 3].unflatten(1, (-1, 3)).amax(2)


def normalize(x, norm):
    """`norm`, an InstanceNorm1d, over the frames of (batch, frames, channels)."""
    variance, mean = torch.var_mean(x, 1, correction=0, keepdim=True)
    scale = norm.weight * (variance + norm.eps).rsqrt()
    return torch.addcmul(norm.bias - mean * scale, x, scale)


class SincNet(nn.Module):
    """Waveforms (batch, samples) to features (batch, frames, 60)."""

    def __init__(self):
        super().__init__()
        first = nn.Module()
        first.filterbank = SincFilters()
        self.wav_norm1d = nn.InstanceNorm1d(1, affine=True)
        self.conv1d = nn.ModuleList([first, nn.Conv1d(80, 60, 5), nn.Conv1d(60, 60, 5)])
        self.norm1d = nn.ModuleList([nn.InstanceNorm1d(c, affine=True) for c in (80, 60, 60)])

    def forward(self, x):
        # The affine part of wav_norm1d is in the filters: nothing needs the gradient of the waveform.
        filters = self.conv1d[0].filterbank()
        x = F.instance_norm(x[:, None]).transpose(1, 2)
        x = convolve(x, self.wav_norm1d.weight * filters, self.wav_norm1d.bias * filters.sum((1, 2)), 10, 30).abs()
        x = F.leaky_relu(normalize(thirds(x), self.norm1d[0]))
        for conv, norm in zip(self.conv1d[1:], self.norm1d[1:]):
            x = F.leaky_relu(normalize(thirds(convolve(x, conv.weight, conv.bias, 1, 12)), norm))
        return x


class PyanNet(nn.Module):
    """Waveforms (batch, samples) to log-probabilities (batch, frames, 7) and what each layer says on the way:
    SincNet (batch, frames, 60) and the four layers of the LSTM (batch, frames, 256)."""

    def __init__(self):
        super().__init__()
        self.sincnet = SincNet()
        # A module for each layer, so that its output can be had; files have pyannote's names (`read`, `named`).
        self.lstm = nn.ModuleList([nn.LSTM(n, 128, bidirectional=True, batch_first=True) for n in (60, 256, 256, 256)])
        self.linear = nn.ModuleList([nn.Linear(256, 128), nn.Linear(128, 128)])
        self.classifier = nn.Linear(128, 7)

    def forward(self, x, fast=False):
        hidden = [self.sincnet(x)]
        for layer in self.lstm:
            # Only the LSTM goes to bfloat16, where it takes half the time; the filters need the precision.
            with torch.autocast(x.device.type, torch.bfloat16, enabled=fast and x.is_cuda):
                y, _ = layer(hidden[-1])
            hidden.append(y.float())
        y = hidden[-1]
        for layer in self.linear:
            y = F.leaky_relu(layer(y))
        return F.log_softmax(self.classifier(y), -1), hidden

    def read(self, path):
        names = re.compile(r"^lstm\.(\w+)_l(\d)(_reverse)?$")
        self.load_state_dict({names.sub(r"lstm.\2.\1_l0\3", k): v for k, v in read_weights(path).items()})
        return self

    @staticmethod
    def named(state):
        return {re.sub(r"^lstm\.(\d)\.(\w+)_l0(_reverse)?$", r"lstm.\2_l\1\3", k): v for k, v in state.items()}


def most_probable(log_probs):
    """The most probable class, of log-probabilities (..., 7)."""
    return log_probs.argmax(-1)


def least_error(log_probs):
    """The class with the least diarization error to be expected, of log-probabilities (..., 7)."""
    return (log_probs.exp() @ ERRORS.to(log_probs)).argmin(-1)


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet34(nn.Module):
    """WeSpeaker's ResNet34 with statistics pooling over masks; files name it `resnet.*`."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        inputs = 32
        for stage, (outputs, blocks, stride) in enumerate([(32, 3, 1), (64, 4, 2), (128, 6, 2), (256, 3, 2)], 1):
            layers = [Block(inputs, outputs, stride)] + [Block(outputs, outputs, 1) for _ in range(blocks - 1)]
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
            inputs = outputs
        self.seg_1 = nn.Linear(5120, 256)

    def read(self, path):
        self.load_state_dict({k.removeprefix("resnet."): v for k, v in read_weights(path).items()}, strict=False)
        return self

    def forward(self, features, masks):
        """Features (batch, frames, 80) and masks (batch, talkers, any frames) to embeddings (batch, talkers, 256)."""
        return self.pooled(self.parts(features), masks)

    def parts(self, features):
        """What the network hears in each 80 ms: (batch, 256, 10, frames / 8)."""
        x = F.relu(self.bn1(self.conv1(features.transpose(1, 2)[:, None])))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))

    def pooled(self, x, masks):
        """Embeddings (batch, talkers, 256) of what is heard where masks (batch, talkers, any frames) are on."""
        with torch.autocast(x.device.type, enabled=False):  # the variance is a small difference
            x = x.float().flatten(1, 2)[:, None]
            w = F.interpolate(masks.float(), x.shape[-1], mode="nearest")[:, :, None]
            v1 = w.sum(-1) + 1e-8
            v2 = w.square().sum(-1)
            mean = (x @ w.transpose(-1, -2))[..., 0] / v1
            # E[x^2] - E[x]^2 spares a (batch, talkers, 2560, frames) tensor.
            square = (x.square() @ w.transpose(-1, -2))[..., 0]
            variance = (square - v1 * mean.square()) / (v1 - v2 / v1 + 1e-8)
            return self.seg_1(torch.cat([mean, variance.clamp_min(1e-10).sqrt()], -1))


def mel_banks(device):
    def mel(hz):
        return 1127 * np.log(1 + hz / 700)

    edges = np.linspace(mel(20), mel(8000), 82)
    bins = mel(np.arange(256) * RATE / 512)[:, None]
    up, down = (bins - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - bins) / np.diff(edges)[1:]
    return torch.from_numpy(np.maximum(0, np.minimum(up, down))).float().to(device)


def fbank(x, banks, hamming):
    """Kaldi's 80 log-mel energies, centered over the chunk; x in [-1, 1]."""
    frames = (x * 32768).unfold(1, 400, 160)
    frames = frames - frames.mean(2, keepdim=True)
    frames = frames - 0.97 * torch.cat([frames[..., :1], frames[..., :-1]], 2)
    power = torch.fft.rfft(frames * hamming, 512).abs().square()[..., :256]
    energy = (power @ banks).clamp_min(1.1920929e-07).log()
    return energy - energy.mean(1, keepdim=True)


class Fbank:
    def __init__(self, device):
        self.banks = mel_banks(device)
        self.hamming = torch.from_numpy(np.hamming(400)).float().to(device)

    def __call__(self, x):
        return fbank(x, self.banks, self.hamming)


class Average:
    """Exponential moving average of a network's weights and norms: what is kept in the end."""

    def __init__(self, network, decay=0.999):
        self.decay, self.steps = decay, 0
        self.source = [v for v in network.state_dict().values() if v.is_floating_point()]
        self.names = [k for k, v in network.state_dict().items() if v.is_floating_point()]
        self.values = [v.detach().clone() for v in self.source]

    @torch.no_grad()
    def update(self):
        self.steps += 1
        torch._foreach_lerp_(self.values, self.source, max(1 - self.decay, 1 / (self.steps + 1)))

    def state(self):
        return dict(zip(self.names, self.values))


def half_precision(state, prefix=""):
    """What goes into a file: every tensor in f16, counters left out."""
    return {prefix + k: v.detach().half().contiguous().cpu() for k, v in state.items() if v.is_floating_point()}
