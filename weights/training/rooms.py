"""Rooms, microphones and noise, for whole batches on the GPU."""

import math

import torch
import torch.nn.functional as F

RATE = 16_000
TAPS = 8_000  # half a second of echo
SOUND = 343.0  # m/s


def room_bank(rooms, seats, device, generator):
    """(rooms, seats, TAPS): impulse responses of shoebox rooms of 0.15 to 0.9 s RT60.

    The first 40 ms are image sources of the room; a noise tail with the room's decay, duller with time, follows.
    Microphones stand on tables and walls: talkers are 0.3 to 5 m away. Every response has unit energy.
    """

    def uniform(low, high, *shape):
        return low + (high - low) * torch.rand(*shape, device=device, generator=generator)

    grid = torch.arange(-3, 4, device=device)
    shifts = torch.stack(torch.meshgrid(grid, grid, grid, indexing="ij"), -1).view(-1, 1, 3)
    flips = torch.tensor([[i >> a & 1 for a in range(3)] for i in range(8)], device=device)
    time = torch.arange(TAPS, device=device) / RATE
    bank = []
    for _ in range(rooms):
        size = torch.cat([uniform(2.5, 9, 2), uniform(2.3, 4, 1)])
        volume, surface = size.prod(), 2 * (size[0] * size[1] + size[1] * size[2] + size[0] * size[2])
        rt60 = uniform(0.15, 0.9, 1)
        reflection = torch.exp(-0.161 * volume / surface / rt60).sqrt()  # Eyring
        microphone = size * uniform(0.1, 0.9, 3)
        toward = F.normalize(torch.randn(seats, 3, device=device, generator=generator), dim=1)
        away = torch.exp(uniform(-1.2, 1.6, seats, 1))
        talker = torch.minimum((microphone + toward * away).clamp_min(0.2), size - 0.2)
        # Image (n, p) of a talker at s lies at 2 n L + (1 - 2 p) s, after |n - p| + |n| reflections on each axis.
        images = 2 * shifts * size + (1 - 2 * flips) * talker[:, None, None]
        distance = (images - microphone).norm(dim=-1).clamp_min(0.1)
        bounces = ((shifts - flips).abs() + shifts.abs()).sum(-1)
        gain = (reflection**bounces / distance).flatten(1)
        delay = (distance.flatten(1) - distance.flatten(1).amin(1, keepdim=True)) / SOUND * RATE
        early = torch.zeros(seats, TAPS + 1, device=device)
        whole = delay.long().clamp_max(TAPS - 1)
        early.scatter_add_(1, whole, gain * (1 - delay.frac()) * (whole < TAPS - 1))
        early.scatter_add_(1, whole + 1, gain * delay.frac() * (whole < TAPS - 1))
        early = early[:, :TAPS]
        # The tail goes on as loud as the image sources are between 20 and 40 ms.
        tail = torch.randn(seats, TAPS, device=device, generator=generator)
        dull = F.avg_pool1d(tail[:, None], 5, 1, 2)[:, 0] * 1.8
        tail = torch.lerp(tail, dull, (time / rt60).clamp_max(1)) * torch.exp(-6.9 * time / rt60)
        window = slice(RATE // 50, RATE // 25)
        tail *= (early[:, window].square().sum(1, True) / tail[:, window].square().sum(1, True)).sqrt()
        response = torch.where(time < 0.03, early, torch.lerp(early, tail, ((time - 0.03) * 100).clamp(0, 1)))
        bank.append(response / response.norm(dim=1, keepdim=True))
    return torch.stack(bank)


def decibels(x):
    return 10 ** (x / 20)


class Acoustics:
    """Puts dry talkers into a room, adds noise, and records them with a poor microphone.

    All the filters work on one spectrum, so that a talker costs one FFT, and the mixture one more back. `harsh`: also
    more hiss (so that it hides what the tapes' own noise tells of who talks), other people's talk from far away, and
    levels evened out by the recorder.
    """

    def __init__(self, bank, noise, harsh=False):
        self.noise, self.harsh = noise, harsh
        self.device = noise.device
        rooms, self.seats, _ = bank.shape
        self.bank = bank

    def uniform(self, low, high, *shape):
        return low + (high - low) * torch.rand(*shape, device=self.device)

    def chance(self, p, *shape):
        return torch.rand(*shape, device=self.device) < p

    def equalizer(self, shape, bins, spread):
        """Smooth random responses over the spectrum."""
        points = torch.randn(math.prod(shape), 1, 9, device=self.device) * spread
        return decibels(F.interpolate(points, bins, mode="linear", align_corners=True)).view(*shape, bins)

    def __call__(self, x, gains, dry=0.35):
        """x (batch, talkers, samples) and their gains (batch, talkers) to a recording (batch, samples)."""
        batch, talkers, samples = x.shape
        n = -(-(samples + TAPS) // 4000) * 4000
        spectrum = torch.fft.rfft(x, n)
        bins = spectrum.shape[-1]
        hz = torch.linspace(0, RATE / 2, bins, device=self.device)

        # Everybody in a chunk sits in the same room, or speaks into a microphone of their own.
        room = torch.randint(len(self.bank), (batch, 1), device=self.device)
        seat = torch.randint(self.seats, (batch, talkers), device=self.device)
        response = self.bank[room, seat]
        direct = torch.zeros_like(response)
        direct[..., 0] = 1
        # Headsets hear the room faintly too: from fully dry to the far-field response as it is.
        wet = torch.where(self.chance(dry, batch, 1, 1), self.uniform(0, 0.25, batch, 1, 1), self.uniform(0.4, 1, batch, 1, 1))
        response = torch.lerp(direct, response, wet)
        response = response / response.norm(dim=-1, keepdim=True)
        # A color and a level for each of them.
        color = self.equalizer((batch, talkers), bins, 2) * gains[..., None]
        spectrum = (spectrum * torch.fft.rfft(response, n) * color).sum(1)
        level = spectrum.abs().square().mean(1, keepdim=True).sqrt()
        # A silent chunk keeps a noise floor.
        level = level.clamp_min(0.02 * n**0.5)
        if self.harsh:
            far = decibels(-self.uniform(18, 40, batch, 1)) * self.chance(0.15, batch, 1)
            spectrum = spectrum + (spectrum / level).roll(1, 0) * level * far

        # Hiss of any color in all of them, recorded noise in some.
        color = (hz / 500).clamp_min(0.1) ** -self.uniform(0, 1.2, batch, 1)
        hiss = torch.randn(batch, bins, dtype=torch.cfloat, device=self.device) * color
        hiss *= level * decibels(-self.uniform(*(5, 36) if self.harsh else (8, 45), batch, 1)) / hiss.abs().square().mean(1, keepdim=True).sqrt()
        start = torch.randint(len(self.noise) - samples, (batch, 1), device=self.device)
        clip = torch.fft.rfft(self.noise[start + torch.arange(samples, device=self.device)].float(), n)
        clip *= level * decibels(-self.uniform(0, 30, batch, 1)) / clip.abs().square().mean(1, keepdim=True).sqrt().clamp_min(1e-3)
        spectrum = spectrum + hiss + clip * self.chance(0.4, batch, 1)

        # The microphone: uneven, sometimes without highs (old codecs, telephones) or lows.
        top = torch.where(self.chance(0.25, batch, 1), self.uniform(3300, 7500, batch, 1), 9e3)
        bottom = torch.where(self.chance(0.3, batch, 1), self.uniform(80, 300, batch, 1), 20.0)
        band = torch.sigmoid((top - hz) / 60) * torch.sigmoid((hz - bottom) / 15)
        y = torch.fft.irfft(spectrum * self.equalizer((batch,), bins, 3) * band, n)[:, :samples]

        # From very quiet to clipped.
        y = y / y.abs().amax(1, keepdim=True).clamp_min(1e-4)
        if self.harsh:
            y = y.sign() * y.abs() ** torch.where(self.chance(0.15, batch, 1), self.uniform(0.6, 1, batch, 1), 1.0)
        y = (y * torch.where(self.chance(0.06, batch, 1), self.uniform(1, 6, batch, 1), 1.0)).clamp(-1, 1)
        return y * decibels(-self.uniform(0, 30, batch, 1))
