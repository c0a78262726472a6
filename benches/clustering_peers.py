"""The rows of clustering.rs for SciPy and scikit-learn, on the embeddings that its option --write saves:

    python3 benches/clustering_peers.py FOLDER [NUMBERS OF EMBEDDINGS] [METHODS]

Measures the time from embeddings to labels, with all cores if the library uses them. Memory excludes the embeddings.
Each row is measured in its own process. It shows the best of three runs, or the only run if that takes more than
two seconds.
"""

import multiprocessing
import resource
import sys
import time
from pathlib import Path

import numpy as np
import scipy
import sklearn
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist
from sklearn.cluster import KMeans, SpectralClustering

SPEAKERS = 6
LINKAGES = ["centroid", "median", "average", "weighted", "complete", "ward", "single"]
NEIGHBORS = 64


def cluster(method, x):
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    if method == "kmeans":
        return KMeans(SPEAKERS, n_init=3, random_state=42).fit_predict(x)
    if method == "spectral":  # with given numbers of neighbors and speakers
        graph = SpectralClustering(SPEAKERS, affinity="nearest_neighbors", n_neighbors=NEIGHBORS, random_state=42, n_jobs=-1)
        return graph.fit_predict(x)
    distances = pdist(x, "euclidean" if method in ("centroid", "median", "ward") else "cosine")
    return fcluster(linkage(distances, method), 0.7045654963945799, "distance")


def row(method, path):
    x = np.load(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        labels = cluster(method, x)
        best = min(best, time.perf_counter() - start)
        if best > 2:
            break
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"| {method} | {len(x)} | {best:.3f} | {memory:.0f} | {len(set(labels))} |", flush=True)


def main():
    folder, *rest = sys.argv[1:]
    numbers = [int(word) for word in rest if word.isdigit()]
    methods = [word for word in rest if not word.isdigit()] or LINKAGES + ["kmeans", "spectral"]
    print(f"SciPy {scipy.__version__}, scikit-learn {sklearn.__version__}, NumPy {np.__version__}")
    for number in numbers or [1000, 5000]:
        for method in methods:
            process = multiprocessing.get_context("spawn").Process(target=row, args=(method, Path(folder) / f"embeddings-{number}.npy"))
            process.start()
            process.join()


if __name__ == "__main__":
    main()
