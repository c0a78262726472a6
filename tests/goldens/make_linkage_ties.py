"""Makes linkage_ties.safetensors: what SciPy does where many distances are equal.

Points on small integer grids and their centroid linkage, one input after the other:
sizes (input,), points (point, 2), merged (merge, 2), distances (merge,).

usage: make_linkage_ties.py   (needs numpy, scipy, safetensors)
"""

import pathlib

import numpy as np
import scipy
from safetensors.numpy import save_file
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist


def main():
    random = np.random.default_rng(20)
    sizes, points, merged, distances = [], [], [], []
    for _ in range(300):
        n, cells = int(random.integers(2, 24)), int(random.integers(1, 7))
        x = random.integers(0, cells + 1, (n, 2))
        z = linkage(pdist(x.astype(np.float64)), "centroid")
        sizes.append(n)
        points.append(x.astype(np.uint8))
        merged.append(z[:, :2].astype(np.uint8))
        distances.append(z[:, 2])
    save_file(
        {
            "sizes": np.array(sizes, np.uint8),
            "points": np.concatenate(points),
            "merged": np.concatenate(merged),
            "distances": np.concatenate(distances),
        },
        pathlib.Path(__file__).with_name("linkage_ties.safetensors"),
        metadata={"scipy": scipy.__version__},
    )


main()
