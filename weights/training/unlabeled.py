#!/usr/bin/env python3
"""Collect clips of which no table says who speaks: what CAM++ hears as one voice becomes one speaker.

    python3 unlabeled.py --clones CLONES --teacher campplus_cn_en_common.pt --out DATA/public

Adds to the index that `public.py` wrote. A voice heard in several clips gets a file of its own. Voices heard once share
files, with the lengths of their clips in `clips`. The clips are clustered by average linkage of the cosines. On Common
Voice 6.1, half of the pairs of two seconds of one account are more alike than the threshold, and fewer than 0.01 % of
the pairs of two accounts. Clips that are much like a voice that is already there are left out: named clips of the same
repository, and the voices of the repositories before.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage

import public
from campplus import CAMPPlus, Features
from public import RATE

# Corpus, repositories, which paths, and of how many clips one (in the order of their names, neighbors are often alike).
SOURCES = [
    ("common_voice_1_test", "BluePython339+asr_experiment", "cv-valid-test/*.mp3", 1),
    ("common_voice_1_dev", "hys89+myrepo", "asr/cv-valid-dev/*.mp3", 1),
    ("common_voice_13", "korliu+whisper", "**/*.mp3", 3),
]
SAME = 0.55  # cosine
KNOWN = 0.65  # cosine to a voice that is already there
LEAST = 2  # seconds of a clip
HEARD = 2  # seconds of a clip that the teacher hears
CAP = 16  # seconds of a voice that speaks in several clips


def chosen(repo, pattern, every):
    """Blobs of the clips that no table names, and of those that one names."""
    files = public.clips(repo)
    by_name = {Path(path).stem: blob for path, blob in files.items()}
    named = {by_name.get(Path(row.get("path") or "").stem) for row in public.tables(repo, files) if row.get("client_id")}
    paths = sorted(path for path in files if Path(path).match(pattern))
    blobs = dict.fromkeys(files[path] for path in paths)
    blobs = list(blobs)[::every]
    return [blob for blob in blobs if blob not in named], [blob for blob in blobs if blob in named]


def middle(x):
    x = x[max(0, len(x) - HEARD * RATE) // 2 :][: HEARD * RATE]
    return np.resize(x, HEARD * RATE)


def embed(teacher, features, clips):
    found = [torch.zeros(0, 192)]
    with torch.no_grad():
        for i in range(0, len(clips), 16):
            x = torch.from_numpy(np.stack([middle(clip) for clip in clips[i : i + 16]]))
            found.append(torch.nn.functional.normalize(teacher(features(x)), dim=1))
    return torch.cat(found).numpy()


def voices(embeddings):
    """Lists of the clips of each voice."""
    first, second = np.triu_indices(len(embeddings), 1)
    distances = 1 - (embeddings @ embeddings.T)[first, second]
    labels = fcluster(linkage(distances, "average"), 1 - SAME, "distance")
    return [np.flatnonzero(labels == label) for label in range(1, labels.max() + 1)]


def together(out, corpus, task):
    name, pieces = task
    return public.write(out, {"corpus": corpus, "speaker": name}, [np.concatenate(pieces)[: CAP * RATE]])


def alone(out, corpus, task):
    name, pieces = task
    return public.write(out, {"corpus": corpus, "speaker": name, "clips": [len(x) for x in pieces]}, pieces)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clones", required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    index = Path(args.out) / "index.json"
    rows = json.loads(index.read_text())
    known = np.zeros((1, 192), np.float32)
    teacher, features = CAMPPlus.load(args.teacher).requires_grad_(False), Features(torch.device("cpu"))
    with ProcessPoolExecutor(args.workers) as pool:
        for corpus, name, pattern, every in SOURCES:
            if any(row["corpus"] in (corpus, f"{corpus}_unlabeled") for row in rows):
                continue
            repo = public.clone(args.clones, name)
            read = partial(public.read, repo, longest=public.LONGEST_CLIP)
            clips, named = (
                [x[: public.LONGEST_CLIP * RATE] for x in pool.map(read, blobs, chunksize=16) if len(x) >= LEAST * RATE]
                for blobs in chosen(repo, pattern, every)
            )
            known = np.concatenate([known, embed(teacher, features, named)])
            embeddings = embed(teacher, features, clips)
            new = np.flatnonzero((embeddings @ known.T).max(1) < KNOWN)
            clips, embeddings = [clips[i] for i in new], embeddings[new]
            groups = voices(embeddings)
            centers = np.stack([embeddings[group].mean(0) for group in groups])
            known = np.concatenate([known, centers / np.linalg.norm(centers, axis=1, keepdims=True)])
            several = [(f"{i:05d}", [clips[k] for k in group]) for i, group in enumerate(groups) if len(group) > 1]
            single = [clips[group[0]] for group in groups if len(group) == 1]
            single = [(f"{i:05d}", single[i : i + 16]) for i in range(0, len(single), 16)]
            done = list(pool.map(partial(together, args.out, corpus), several))
            done += pool.map(partial(alone, args.out, f"{corpus}_unlabeled"), single)
            rows += done
            index.write_text(json.dumps(rows))
            print(corpus, len(clips), "clips,", len(groups), "voices,", public.hours(done), flush=True)


if __name__ == "__main__":
    main()
