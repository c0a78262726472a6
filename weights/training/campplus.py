"""CAM++, the teacher of the embedding network: a narrow convolutional head, then densely connected time-delay layers,
each scaled by a mask computed from the context. The architecture is that of 3D-Speaker (Apache-2.0; H. Wang et al.,
Interspeech 2023), with its parameter names, so that the published state dicts load strictly."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from networks import mel_banks

GROWTH, BOTTLENECK, SEGMENT = 32, 128, 100
BLOCKS = ((12, 1), (24, 2), (16, 2))  # layers and dilation


def norm_relu(channels):
    layers = nn.Sequential()
    layers.add_module("batchnorm", nn.BatchNorm1d(channels))
    layers.add_module("relu", nn.ReLU())
    return layers


class HeadBlock(nn.Module):
    """A residual block that halves the frequencies only."""

    def __init__(self, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, (stride, 1), 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, channels, 1, (stride, 1), bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


class Head(nn.Module):
    """(batch, bands, frames) to (batch, channels * bands / 8, frames)."""

    def __init__(self, channels=32):
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layer1 = nn.Sequential(HeadBlock(channels, 2), HeadBlock(channels, 1))
        self.layer2 = nn.Sequential(HeadBlock(channels, 2), HeadBlock(channels, 1))
        self.conv2 = nn.Conv2d(channels, channels, 3, (2, 1), 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x[:, None])))
        return F.relu(self.bn2(self.conv2(self.layer2(self.layer1(x))))).flatten(1, 2)


class ContextMask(nn.Module):
    """A local convolution times a mask from the mean of the recording plus the mean of each second."""

    def __init__(self, dilation):
        super().__init__()
        self.linear_local = nn.Conv1d(BOTTLENECK, GROWTH, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(BOTTLENECK, BOTTLENECK // 2, 1)
        self.linear2 = nn.Conv1d(BOTTLENECK // 2, GROWTH, 1)

    def forward(self, x):
        frames = x.shape[-1]
        segments = F.avg_pool1d(x, SEGMENT, SEGMENT, ceil_mode=True)
        context = segments + x.mean(-1, keepdim=True)
        mask = torch.sigmoid(self.linear2(F.relu(self.linear1(context))))
        return self.linear_local(x) * mask.repeat_interleave(SEGMENT, -1)[..., :frames]


class DenseLayer(nn.Module):
    def __init__(self, inputs, dilation):
        super().__init__()
        self.nonlinear1 = norm_relu(inputs)
        self.linear1 = nn.Conv1d(inputs, BOTTLENECK, 1, bias=False)
        self.nonlinear2 = norm_relu(BOTTLENECK)
        self.cam_layer = ContextMask(dilation)

    def forward(self, x):
        return self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))


class DenseBlock(nn.Module):
    def __init__(self, inputs, layers, dilation):
        super().__init__()
        for i in range(layers):
            self.add_module(f"tdnnd{i + 1}", DenseLayer(inputs + i * GROWTH, dilation))

    def forward(self, x):
        for layer in self.children():
            x = torch.cat([x, layer(x)], 1)
        return x


class Narrow(nn.Module):
    """Halves the channels."""

    def __init__(self, inputs):
        super().__init__()
        self.nonlinear = norm_relu(inputs)
        self.linear = nn.Conv1d(inputs, inputs // 2, 1, bias=False)

    def forward(self, x):
        return self.linear(self.nonlinear(x))


class First(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Conv1d(inputs, outputs, 5, 2, 2, bias=False)
        self.nonlinear = norm_relu(outputs)

    def forward(self, x):
        return self.nonlinear(self.linear(x))


class Last(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Conv1d(inputs, outputs, 1, bias=False)
        self.nonlinear = nn.Sequential()
        self.nonlinear.add_module("batchnorm", nn.BatchNorm1d(outputs, affine=False))

    def forward(self, x):
        return self.nonlinear(self.linear(x[..., None])[..., 0])


class Statistics(nn.Module):
    def forward(self, x):
        return torch.cat([x.mean(-1), x.std(-1)], 1)


class CAMPPlus(nn.Module):
    """Features (batch, frames, 80) to embeddings (batch, 192)."""

    def __init__(self, outputs=192, channels=128):
        super().__init__()
        self.head = Head()
        self.xvector = nn.Sequential()
        self.xvector.add_module("tdnn", First(320, channels))
        for i, (layers, dilation) in enumerate(BLOCKS, 1):
            self.xvector.add_module(f"block{i}", DenseBlock(channels, layers, dilation))
            channels += layers * GROWTH
            self.xvector.add_module(f"transit{i}", Narrow(channels))
            channels //= 2
        self.xvector.add_module("out_nonlinear", norm_relu(channels))
        self.xvector.add_module("stats", Statistics())
        self.xvector.add_module("dense", Last(2 * channels, outputs))

    def forward(self, features):
        return self.whole(self.parts(features))

    def parts(self, features):
        """What the network hears in each 20 ms: (batch, 512, frames / 2)."""
        x = self.head(features.transpose(1, 2))
        for layer in list(self.xvector)[:-2]:
            x = layer(x)
        return x

    def whole(self, parts):
        """Embeddings (batch, 192) of all of it."""
        return self.xvector.dense(self.xvector.stats(parts.float()))

    @classmethod
    def load(cls, path):
        network = cls()
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        return network.eval()


class Features:
    """Kaldi's 80 log-mel energies as the teacher knows them: samples of full scale 1, Povey's window, no dither."""

    def __init__(self, device):
        self.banks = mel_banks(device)
        n = torch.arange(400, dtype=torch.float64)
        self.window = (0.5 - 0.5 * torch.cos(2 * np.pi * n / 399)).pow(0.85).float().to(device)

    def __call__(self, x):
        frames = x.unfold(1, 400, 160)
        frames = frames - frames.mean(2, keepdim=True)
        frames = frames - 0.97 * torch.cat([frames[..., :1], frames[..., :-1]], 2)
        power = torch.fft.rfft(frames * self.window, 512).abs().square()[..., :256]
        energy = (power @ self.banks).clamp_min(1.1920929e-07).log()
        return energy - energy.mean(1, keepdim=True)
