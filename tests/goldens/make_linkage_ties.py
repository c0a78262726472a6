"""Makes linkage_ties.safetensors: what SciPy does where many distances are equal.

Points on small integer grids and their dendrograms, one input after the other: sizes (input,), points
(point, 2), and for each method METHOD_merged (merge, 2) and METHOD_distances (merge,). All distances
are Euclidean.

usage: make_linkage_ties.py   (needs numpy, scipy, safetensors)
"""

import pathlib

import numpy as np
import scipy
from safetensors.numpy import save_file
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist

METHODS = ["centroid", "median", "average", "weighted", "complete", "single", "ward"]


def main():
    random = np.random.default_rng(20)
    sizes, points = [], []
    merged, distances = {m: [] for m in METHODS}, {m: [] for m in METHODS}
    for _ in range(300):
        n, cells = int(random.integers(2, 24)), int(random.integers(1, 7))
        x = random.integers(0, cells + 1, (n, 2))
        sizes.append(n)
        points.append(x.astype(np.uint8))
        for method in METHODS:
            z = linkage(pdist(x.astype(np.float64)), method)
            merged[method].append(z[:, :2].astype(np.uint8))
            distances[method].append(z[:, 2])
    tensors = {"sizes": np.array(sizes, np.uint8), "points": np.concatenate(points)}
    for method in METHODS:
        tensors[f"{method}_merged"] = np.concatenate(merged[method])
        tensors[f"{method}_distances"] = np.concatenate(distances[method])
    save_file(
        tensors,
        pathlib.Path(__file__).with_name("linkage_ties.safetensors"),
        metadata={"scipy": scipy.__version__},
    )


main()
