#!/usr/bin/env python3
"""Collect the public speech that ../README.md lists: from clones of its repositories to one Opus file per speaker.

    python3 public.py --clones CLONES --corpora DATA/corpora --out DATA/public

CLONES has one git directory per repository, named OWNER+NAME (or OWNER+NAME/repo). Speech without its pauses, 16 kHz,
at most so many seconds of each speaker (`SOURCES`), with an `index.json` like that of the corpora. The corpora's own
training speakers are written again in the same form; the held-out ones (`corpus.held_out`) are left out. Corpora that
are in the index already are not written again. `unlabeled.py` adds the clips of unknown speakers.
"""

import argparse
import csv
import io
import json
import re
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
LEAST = 2.0  # seconds of speech that a speaker needs
LONGEST_CLIP = 12  # seconds of a clip of an unknown speaker
# Corpus, seconds of each speaker, repositories, and which part of a path is the speaker. Without a pattern, the
# speaker is the `client_id` of Common Voice's tables.
SOURCES = [
    ("common_voice_6", 30, ["omnilingo+rsample-100-cv-corpus-6.1-2020-12-11"], None),
    ("common_voice_13_en", 30, ["korliu+whisper"], None),
    ("common_voice_fa", 30, ["yasaman999+SR"], None),
    ("common_voice_tw", 30, ["pryyyynz+audio-for-Twi-TTS"], None),
    ("common_voice_delta_en", 30, ["shubhra-cv+17", "shubhra-cv+18", "shubhra-cv+19"], None),
    ("common_voice_uz", 30, ["jamshid-ds+transcription_training"], None),
    ("common_voice_es", 30, ["7amashh+Common-voice-spanish"], None),
    ("librispeech_test_clean", 60, ["lalking52+compressor_project"], r"/test-clean/(\d+)/.*\.flac$"),
    ("librispeech_dev_clean", 60, ["felixbastian+Speaker_partition_module"], r"/dev-clean/(\d+)/.*\.(?:wav|flac)$"),
    ("an4", 30, ["cmusphinx+an4"], r"([^/]+)/[^/]+\.wav$"),
    ("alphanumeric", 30, ["Sakshee5+alphanumeric-audio-dataset"], r"([^/]+)\.wav$"),
    ("hindi_speech_corpus", 30, ["aashishyadavally+Hindi-Speech-Corpus"], r"corpus/data/(00\w)/"),
    (
        "speech_commands",
        16,
        ["thegtagamer+PICO-tinyML-benchmark", "vinsis+speech-commands-recognition"],
        r"([0-9a-f]{8})_nohash_\d+(?:\.wav)+$",
    ),
]
CAPS = {"librispeech": 60, "speechocean762": 30, "arabic_speech_commands": 30}


def git(repo, *args, **options):
    return subprocess.run(["git", "-C", repo, *args], check=True, capture_output=True, **options).stdout


def clone(root, name):
    repo = Path(root) / name
    repo = repo / "repo" if (repo / "repo").exists() else repo
    return str(repo / ".git" if (repo / ".git").exists() else repo)


def clips(repo):
    """Blobs by path."""
    lines = git(repo, "ls-tree", "-r", "-z", "HEAD").decode().split("\0")
    return {path: head.split()[2] for head, path in (line.split("\t", 1) for line in lines if line)}


def tables(repo, files):
    """Rows of the tables of Common Voice."""
    for path, blob in sorted(files.items()):
        if not path.endswith(".tsv"):
            continue
        try:
            text = git(repo, "cat-file", "blob", blob).decode("utf-8", "replace")
        except subprocess.CalledProcessError:  # a clone without its largest files
            continue
        yield from csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)


def speakers(root, repos, pattern):
    """Lists of (repository, blob) by the speaker's name, each recording once."""
    found, seen = defaultdict(list), set()

    def add(speaker, repo, blob):
        if blob not in seen:
            seen.add(blob)
            found[speaker].append((repo, blob))

    for repo in (clone(root, name) for name in repos):
        files = clips(repo)
        if pattern is None:
            by_name = {Path(p).stem: blob for p, blob in files.items() if p.endswith((".mp3", ".wav"))}
            for row in tables(repo, files):
                name = Path(row.get("path") or "").stem
                if row.get("client_id") and name in by_name:
                    add(row["client_id"][:24], repo, by_name[name])
            continue
        for path, blob in sorted(files.items()):
            match = re.search(pattern, path)
            if match:
                add("_".join(match.groups()), repo, blob)
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


def level(x):
    return x * (0.08 / max(1e-4, np.sqrt(np.mean(np.square(x)))))


def read(repo, blob, longest):
    """Speech of a recording, equally loud; nothing where it cannot be decoded."""
    try:
        data = io.BytesIO(git(repo, "cat-file", "blob", blob))
        with soundfile.SoundFile(data) as file:
            rate = file.samplerate
            x = file.read(int(4 * longest * rate), dtype="float32", always_2d=True).mean(1)
    except (soundfile.LibsndfileError, subprocess.CalledProcessError, ValueError):
        return np.zeros(0, np.float32)
    if not len(x) or not np.isfinite(x).all():
        return np.zeros(0, np.float32)
    return without_pauses(level(soxr.resample(x, rate, RATE).astype(np.float32) if rate != RATE else x))


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
    speaker, recordings = task
    pieces, have = [], 0.0
    for repo, blob in recordings:
        pieces.append(read(repo, blob, cap)[: int((cap - have) * RATE)])
        have += len(pieces[-1]) / RATE
        if have >= cap:
            break
    return write(out, {"corpus": corpus, "speaker": speaker}, pieces) if have >= LEAST else None


def corpora(out, root, row):
    x = soundfile.read(Path(root) / row["file"], dtype="float32")[0]
    x = without_pauses(level(x))[: CAPS[row["corpus"]] * RATE]
    return write(out, {"corpus": row["corpus"], "speaker": row["speaker"]}, [x]) if len(x) >= LEAST * RATE else None


def held_out(rows):  # as in corpus.py, which needs PyTorch
    drawn_from = ("librispeech", "speechocean762")
    able = sorted((r["corpus"], r["speaker"]) for r in rows if r["corpus"] in drawn_from and r["seconds"] > 12)
    return {able[i] for i in np.random.default_rng(762).permutation(len(able))[:40]}


def hours(rows):
    return f"{sum(r['seconds'] for r in rows) / 3600:.2f} h"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clones", required=True)
    parser.add_argument("--corpora", required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    index = Path(args.out) / "index.json"
    rows = json.loads(index.read_text()) if index.exists() else []
    there = {row["corpus"] for row in rows}
    Path(args.out).mkdir(parents=True, exist_ok=True)

    def keep(name, done, voices):
        rows.extend(done)
        index.write_text(json.dumps(rows))
        print(name, voices, "voices", hours(done), flush=True)

    with ProcessPoolExecutor(args.workers) as pool:
        known = json.loads((Path(args.corpora) / "index.json").read_text())
        held = held_out(known)
        known = [r for r in known if (r["corpus"], r["speaker"]) not in held and r["corpus"] not in there]
        done = [r for r in pool.map(partial(corpora, args.out, args.corpora), known, chunksize=8) if r]
        keep("the corpora", done, len(done))
        for corpus, cap, repos, pattern in SOURCES:
            if corpus in there:
                continue
            rng = np.random.default_rng(1)
            tasks = sorted(speakers(args.clones, repos, pattern).items())
            for _, recordings in tasks:
                rng.shuffle(recordings)
            done = [r for r in pool.map(partial(one, args.out, cap, corpus), tasks, chunksize=4) if r]
            keep(corpus, done, f"{len(done)} of {len(tasks)}")


if __name__ == "__main__":
    main()
