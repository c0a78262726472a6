"""The rows of gpu.rs for PyTorch (cuDNN, cuFFT, cuBLAS) and SciPy: python3 benches/gpu_peers.py"""

import time

import torch

torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
torch.backends.cudnn.benchmark = True


def row(name, run):
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    print(f"| {name} | {best * 1e3:.3f} |", flush=True)


def features(name, batch, samples):
    x = torch.randn(batch, samples, device="cuda")
    window, banks = torch.ones(400, device="cuda"), torch.randn(257, 80, device="cuda")

    def run():
        frames = x.unfold(1, 400, 160)
        frames = (frames - frames.mean(2, keepdim=True)) * window
        power = torch.fft.rfft(frames, 512).abs().square()
        return (power @ banks).clamp(min=1e-7).log()

    row(f"stft + mel, {name}", run)


@torch.no_grad()
def main():
    print(f"PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}, {torch.cuda.get_device_name()}")
    print("| operation | ms |\n|---|---|")
    features("an hour", 1, 3600 * 16_000)
    for batch in (32, 256):
        features(f"{batch} chunks", batch, 160_000)
        x, kernel = torch.randn(batch, 1, 160_000, device="cuda"), torch.randn(80, 1, 251, device="cuda")
        row(f"sinc filters, {batch} chunks", lambda: torch.nn.functional.conv1d(x, kernel, stride=10).abs())
        y = torch.randn(batch, 80, 15_975, device="cuda")
        functional = torch.nn.functional
        row(
            f"pool + norm + leaky relu, {batch} chunks",
            lambda: functional.leaky_relu(functional.instance_norm(functional.max_pool1d(y, 3))),
        )
        for rows, columns, channels in ((80, 998, 32), (40, 499, 64), (20, 250, 128), (10, 125, 256)):
            z = torch.randn(batch, channels, rows, columns, device="cuda")
            w = torch.randn(channels, channels, 3, 3, device="cuda")
            b = torch.randn(channels, device="cuda")
            for layout in (torch.contiguous_format, torch.channels_last):
                zl, wl = z.to(memory_format=layout), w.to(memory_format=layout)
                last = " channels last" if layout == torch.channels_last else ""
                name = f"3 x 3 convolution + relu, {batch} x {rows} x {columns} x {channels}{last}"
                row(name, lambda: functional.conv2d(zl, wl, b, padding=1).relu())
    for batch in (32, 512):
        lstm = torch.nn.LSTM(256, 128, bidirectional=True, batch_first=True).cuda()
        x = torch.randn(batch, 589, 256, device="cuda")
        row(f"LSTM with its input projection, both directions, {batch} x 589", lambda: lstm(x))
    x = torch.randn(20_000, 256, device="cuda")
    y = torch.randn(20_000, 256, device="cuda")
    row("Euclidean distances 20000 x 20000 x 256, by products", lambda: torch.cdist(x, y))
    exact = "donot_use_mm_for_euclid_dist"
    row("Euclidean distances 20000 x 20000 x 256, by differences", lambda: torch.cdist(x, y, compute_mode=exact))
    row("Euclidean distances of all pairs of 20000 x 256", lambda: functional.pdist(x))
    unit = functional.normalize
    row("cosine distances 20000 x 20000 x 256", lambda: 1 - unit(x) @ unit(y).T)
    del x, y
    try:
        import numpy
        from scipy.cluster.hierarchy import linkage
    except ImportError:
        print("SciPy is not installed: skipping centroid linkage")
        return
    x = numpy.random.default_rng(1).normal(size=(10_000, 256))
    start = time.perf_counter()
    linkage(x, "centroid")
    print(f"| centroid linkage of 10000 x 256, SciPy on the CPU | {(time.perf_counter() - start) * 1e3:.0f} |")


main()
