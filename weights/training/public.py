#!/usr/bin/env python3
"""Collect the public speech that ../README.md lists: from clones of its repositories to one Opus file per speaker.

    python3 public.py --clones CLONES --corpora DATA/corpora --out DATA/public

CLONES has one git directory per repository, named OWNER+NAME (or OWNER+NAME/repo). Speech without its pauses, 16 kHz,
at most so many seconds of each speaker (`SOURCES`), with an `index.json` like that of the corpora. The corpora's own
training speakers are written again in the same form; the held-out ones (`corpus.held_out`) are left out.
"""

import argparse
import csv
import io
import json
import subprocess
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import soxr
from scipy.ndimage import maximum_filter1d, minimum_filter1d, uniform_filter1d

RATE = 16_000
# Repository, corpus, seconds of each speaker.
SOURCES = [
    ("omnilingo+rsample-100-cv-corpus-6.1-2020-12-11", "common_voice_6", 60),
    ("korliu+whisper", "common_voice_13_en", 120),
    ("yasaman999+SR", "common_voice_fa", 60),
    ("pryyyynz+audio-for-Twi-TTS", "common_voice_tw", 60),
    ("lalking52+compressor_project", "librispeech_test_clean", 150),
    ("felixbastian+Speaker_partition_module", "librispeech_dev_clean", 150),
    ("cmusphinx+an4", "an4", 60),
    ("Sakshee5+alphanumeric-audio-dataset", "alphanumeric", 60),
]
CAPS = {"librispeech": 150, "speechocean762": 90, "arabic_speech_commands": 60}


def git(repo, *args):
    return subprocess.run(["git", "-C", repo, *args], check=True, capture_output=True).stdout


def clips(repo):
    """Blobs by path."""
    lines = git(repo, "ls-tree", "-r", "-z", "HEAD").decode().split("\0")
    return {path: head.split()[2] for head, path in (line.split("\t", 1) for line in lines if line)}


def speakers(repo, corpus):
    """Lists of blobs by the speaker's name."""
    files, found = clips(repo), defaultdict(list)
    if corpus.startswith("common_voice"):
        by_name = {Path(p).name: blob for p, blob in files.items() if p.endswith(".mp3")}
        seen = set()
        for path, blob in files.items():
            if not path.endswith(".tsv"):
                continue
            try:
                text = git(repo, "cat-file", "blob", blob).decode("utf-8", "replace")
            except subprocess.CalledProcessError:  # a clone without its largest files
                continue
            table = csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
            for row in table:
                name = Path(row.get("path") or "").name
                if row.get("client_id") and name in by_name and name not in seen:
                    seen.add(name)
                    found[row["client_id"][:24]].append(by_name[name])
        return found
    for path, blob in files.items():
        parts = path.split("/")
        if corpus == "librispeech_test_clean" and "/test-clean/" in path and path.endswith(".flac"):
            found[parts[parts.index("test-clean") + 1]].append(blob)
        if corpus == "librispeech_dev_clean" and "/dev-clean/" in path and path.endswith((".wav", ".flac")):
            found[parts[parts.index("dev-clean") + 1]].append(blob)
        if corpus == "an4" and path.endswith(".wav"):
            found[parts[-2]].append(blob)
        if corpus == "alphanumeric" and path.endswith(".wav"):
            found[Path(path).stem].append(blob)
    return found


def without_pauses(x):
    """Frames of 10 ms within 30 dB of the loud level around; gaps under 0.2 s stay."""
    frames = x[: len(x) // 160 * 160].reshape(-1, 160)
    if len(frames) < 20:
        return x[:0]
    db = 10 * np.log10(np.square(frames).mean(1) + 1e-10)
    loud = maximum_filter1d(uniform_filter1d(db, 9), 301)
    on = (db > np.maximum(loud - 30, -62)).astype(np.uint8)
    on = minimum_filter1d(maximum_filter1d(on, 21), 21)
    on = maximum_filter1d(minimum_filter1d(on, 7), 13)
    return frames[on > 0].ravel()


def read(repo, blob):
    x, rate = soundfile.read(io.BytesIO(git(repo, "cat-file", "blob", blob)), dtype="float32", always_2d=True)
    x = x.mean(1)
    return soxr.resample(x, rate, RATE).astype(np.float32) if rate != RATE else x


def level(x):
    return x * (0.08 / max(1e-4, np.sqrt(np.mean(np.square(x)))))


def write(out, row, pieces):
    x = np.concatenate(pieces)
    row["seconds"] = round(len(x) / RATE, 2)
    row["file"] = f"{row['corpus']}/{row['speaker']}.opus"
    (Path(out) / row["corpus"]).mkdir(parents=True, exist_ok=True)
    wav = io.BytesIO()
    soundfile.write(wav, np.clip(x, -1, 1), RATE, format="WAV", subtype="PCM_16")
    command = ["opusenc", "--quiet", "--speech", "--bitrate", "17", "--comp", "6", "-", str(Path(out) / row["file"])]
    subprocess.run(command, input=wav.getvalue(), check=True)
    return row


def one(out, cap, corpus, task):
    speaker, repo, blobs = task
    pieces, have = [], 0.0
    for blob in blobs:
        try:
            x = without_pauses(level(read(repo, blob)))
        except (soundfile.LibsndfileError, subprocess.CalledProcessError, ValueError):
            continue
        pieces.append(x[: int((cap - have) * RATE)])
        have += len(pieces[-1]) / RATE
        if have >= cap:
            break
    return write(out, {"corpus": corpus, "speaker": speaker}, pieces) if have >= 3 else None


def unlabeled(out, repo, task):
    """Clips of whoever it is, some in one file: each is a voice of its own, `clips` has their lengths in samples."""
    name, blobs = task
    pieces = []
    for blob in blobs:
        try:
            x = without_pauses(level(read(repo, blob)))[: 12 * RATE]
        except (soundfile.LibsndfileError, subprocess.CalledProcessError, ValueError):
            continue
        if len(x) >= 2.5 * RATE:
            pieces.append(x)
    row = {"corpus": "common_voice_13_unlabeled", "speaker": name, "clips": [len(x) for x in pieces]}
    return write(out, row, pieces) if pieces else None


def corpora(out, root, row):
    x = soundfile.read(Path(root) / row["file"], dtype="float32")[0]
    x = without_pauses(level(x))[: CAPS[row["corpus"]] * RATE]
    return write(out, {"corpus": row["corpus"], "speaker": row["speaker"]}, [x]) if len(x) >= 3 * RATE else None


def held_out(rows):  # as in corpus.py, which needs PyTorch
    drawn_from = ("librispeech", "speechocean762")
    able = sorted((r["corpus"], r["speaker"]) for r in rows if r["corpus"] in drawn_from and r["seconds"] > 12)
    return {able[i] for i in np.random.default_rng(762).permutation(len(able))[:40]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clones", required=True)
    parser.add_argument("--corpora", required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    rows, rng = [], np.random.default_rng(1)
    with ProcessPoolExecutor(args.workers) as pool:
        known = json.loads((Path(args.corpora) / "index.json").read_text())
        held = held_out(known)
        known = [r for r in known if (r["corpus"], r["speaker"]) not in held]
        rows += [r for r in pool.map(partial(corpora, args.out, args.corpora), known, chunksize=8) if r]
        print(len(rows), "speakers of the corpora", sum(r["seconds"] for r in rows) / 3600, "h", flush=True)
        for name, corpus, cap in SOURCES:
            repo = Path(args.clones) / name
            repo = str(repo / "repo" if (repo / "repo").exists() else repo)
            tasks = []
            for speaker, blobs in sorted(speakers(repo, corpus).items()):
                rng.shuffle(blobs)
                tasks.append((speaker, repo, blobs))
            done = [r for r in pool.map(partial(one, args.out, cap, corpus), tasks, chunksize=4) if r]
            print(corpus, len(tasks), "speakers,", len(done), "with enough,", sum(r["seconds"] for r in done) / 3600, "h", flush=True)
            rows += done
        # The clips of korliu/whisper of which no table tells the speaker, every second one: neighbors are often the same.
        repo = Path(args.clones) / "korliu+whisper"
        repo = str(repo / "repo" if (repo / "repo").exists() else repo)
        named = {blob for blobs in speakers(repo, "common_voice_13_en").values() for blob in blobs}
        others = [blob for path, blob in sorted(clips(repo).items()) if path.endswith(".mp3") and blob not in named][::2]
        tasks = [(f"{i:05d}", others[i : i + 16]) for i in range(0, len(others), 16)]
        done = [r for r in pool.map(partial(unlabeled, args.out, repo), tasks) if r]
        print("unlabeled", sum(len(r["clips"]) for r in done), "clips", sum(r["seconds"] for r in done) / 3600, "h", flush=True)
        rows += done
    (Path(args.out) / "index.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
