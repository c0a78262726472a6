#!/usr/bin/env python3
"""Fit the PLDA model that VBx clusters with, on the speakers that the embedding network was trained on.

    python3 plda.py --corpora DATA/corpora --noise DATA/noise/esc10 --embedding ../default/embedding.safetensors \\
        --out plda.safetensors

The embeddings are made as the pipeline makes them: of ten-second chunks with one or two talkers, from the frames
where each talks alone, in simulated rooms. The forty held-out speakers (`corpus.held_out`) are not among them.
The file holds what pyannote's `xvec_transform.npz` and `plda.npz` hold.
"""

import argparse

import numpy as np
import scipy.linalg
import torch
from safetensors.numpy import save_file

from embedding import Speakers
from networks import ResNet34


@torch.no_grad()
def embed(args, device):
    """Embeddings (n, 256) and their speakers (n,), each speed of a speaker being one of its own."""
    speakers = Speakers(args, device)
    speakers.weights = torch.ones_like(speakers.weights)
    network = ResNet34().read(args.embedding).to(device).eval()
    embeddings, labels = [], []
    for _ in range(args.embeddings * len(speakers.frames) // args.batch // 2):
        features, masks, who = speakers.batch(args.batch, 1000, 0.3)
        chosen = who.flatten() >= 0
        embeddings.append(network(features, masks).flatten(0, 1)[chosen].cpu())
        labels.append(who.flatten()[chosen].cpu())
    return torch.cat(embeddings).double().numpy(), torch.cat(labels).numpy()


def scaled(x):
    return x * np.sqrt(x.shape[1]) / np.linalg.norm(x, axis=1, keepdims=True)


def covariances(x, labels):
    """Of speakers' true means around the mean of all, and of embeddings around their speaker's mean."""
    groups = [x[labels == s] for s in np.unique(labels)]
    groups = [g for g in groups if len(g) > 1]
    means = np.stack([g.mean(0) for g in groups])
    within = sum((g - g.mean(0)).T @ (g - g.mean(0)) for g in groups) / sum(len(g) - 1 for g in groups)
    # The mean of n embeddings strays by a share 1 / n of the variance within.
    return np.cov(means.T) - within * np.mean([1 / len(g) for g in groups]), within


def fit(x, labels, discriminants):
    mean1 = x.mean(0)
    x = scaled(x - mean1)
    between, within = covariances(x, labels)
    _, vectors = scipy.linalg.eigh(between, within)
    lda = vectors[:, ::-1][:, :discriminants]
    mean2 = (x @ lda).mean(0)
    y = scaled(x @ lda - mean2)
    between, within = covariances(y, labels)
    psi, vectors = scipy.linalg.eigh(between, within)
    tr, psi = vectors[:, ::-1].T, psi[::-1].clip(0)
    return {"mean1": mean1, "lda": lda, "mean2": mean2, "mu": y.mean(0), "tr": tr, "psi": psi}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", required=True)
    parser.add_argument("--noise", required=True)
    parser.add_argument("--embedding", required=True)
    parser.add_argument("--embeddings", type=int, default=12, help="of each speaker at each speed, on average")
    parser.add_argument("--discriminants", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rooms", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--keep", help="file for the embeddings, to fit on again")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    embeddings, labels = embed(args, torch.device(f"cuda:{args.gpu}" if torch.cuda.is_available() else "cpu"))
    if args.keep:
        np.savez(args.keep, embeddings=embeddings.astype(np.float16), labels=labels.astype(np.int16))
    model = fit(embeddings, labels, args.discriminants)
    save_file({k: np.ascontiguousarray(v, np.float32) for k, v in model.items()}, args.out)
    print(len(labels), "embeddings; variance between speakers, relative to that within:", model["psi"][:8].round(1))


if __name__ == "__main__":
    main()
