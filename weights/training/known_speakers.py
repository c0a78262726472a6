#!/usr/bin/env python3
"""How sure speakers are known by their voices: what `diarize --identify` finds in conversations, by threshold.

    python3 meetings.py --corpora DATA/corpora --noise DATA/noise/esc10 --part test --enroll 10 --out known
    python3 known_speakers.py --diarize ../../target/release/diarize --folder known

Every second speaker is enrolled with ten seconds of clean speech; the others are strangers. A speaker found in a
conversation is the one of the reference whom `diarize score` maps to it. Needs numpy, scipy and safetensors.
"""

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from scipy.optimize import linear_sum_assignment


def run(*arguments):
    return subprocess.run([str(a) for a in arguments], check=True, capture_output=True, text=True).stdout


def cosine(a, b):
    return a @ b.T / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)


def outcomes(similarities, truths, names, threshold, margin):
    """right, wrong name, known but not named, stranger named, stranger left alone."""
    counts = np.zeros(5, int)
    rows, columns = linear_sum_assignment(np.maximum(similarities - threshold, 0), maximize=True)
    person = dict(zip(rows, columns))
    for row, truth in enumerate(truths):
        named = None
        if row in person:
            own = similarities[row, person[row]]
            others = np.delete(similarities[row], person[row])
            if own >= threshold and own - others.max(initial=-1) >= margin:
                named = names[person[row]]
        if truth in names:
            counts[0 if named == truth else 2 if named is None else 1] += 1
        elif truth is not None:
            counts[4 if named is None else 3] += 1
    return counts


def linked(recordings, threshold, margin):
    """Pairs of speakers of different recordings: same person and same label, same person and different labels,
    different people and same label, different people and labels; as `--link-speakers` labels them."""
    gallery, seconds, heard = [], [], []
    for embeddings, durations, truths in recordings:
        units = embeddings / np.linalg.norm(embeddings, axis=1)[:, None]
        similarities = cosine(units, np.array(gallery)) if gallery else np.zeros((len(units), 0))
        labels = [None] * len(units)
        for row, person in zip(*linear_sum_assignment(np.maximum(similarities - threshold, 0), maximize=True)):
            own, others = similarities[row, person], np.delete(similarities[row], person)
            if own >= threshold and own - others.max(initial=-1) >= margin:
                labels[row] = person
        for row, (unit, duration) in enumerate(zip(units, durations)):
            if labels[row] is None:
                labels[row] = len(gallery)
                gallery.append(unit)
                seconds.append(duration)
            else:
                label = labels[row]
                share = duration / (seconds[label] + duration)
                gallery[label] = (1 - share) * gallery[label] + share * unit
                seconds[label] += duration
        heard.append([(label, truth) for label, truth in zip(labels, truths) if truth is not None])
    counts = np.zeros(4, int)
    for index, here in enumerate(heard):
        for before in heard[:index]:
            for label, truth in here:
                for other_label, other in before:
                    counts[2 * (truth != other) + (label != other_label)] += 1
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--diarize", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args()
    clips = sorted((args.folder / "enroll").glob("*.wav"))
    database = args.folder / "known.safetensors"
    database.unlink(missing_ok=True)
    for clip in clips[::2]:
        run(args.diarize, "enroll", "-q", "--anyway", clip.stem, clip, "--db", database)
    known = load_file(database)
    names = sorted(known)
    known = np.stack([known[name] for name in names])

    found = args.folder / "found"
    run(args.diarize, "-q", "-f", "json,rttm", "--embeddings", "--embedding-trunk", "shared", "--skip-existing", "-o", found, *sorted(args.folder.glob("*.wav")))
    recordings, same, different, whole = [], [], [], []
    for rttm in sorted(args.folder.glob("*.rttm")):
        result = json.loads((found / f"{rttm.stem}.json").read_text())
        score = json.loads(run(args.diarize, "score", "-f", "json", rttm, found / rttm.name))
        truth_of = {hypothesis: truth for truth, hypothesis in score["recordings"][0]["mapping"].items()}
        speakers = [s for s in result["speakers"] if s["embedding"]]
        similarities = cosine(np.array([s["embedding"] for s in speakers]), known)
        truths = [truth_of.get(s["label"]) for s in speakers]
        recordings.append((similarities, truths))
        whole.append((np.array([s["embedding"] for s in speakers]), [s["duration"] for s in speakers], truths))
        for row, truth in zip(similarities, truths):
            same += [x for x, name in zip(row, names) if truth == name]
            different += [x for x, name in zip(row, names) if truth is not None and truth != name]
    print(f"{len(recordings)} conversations, {len(clips)} speakers, {len(names)} of them known")
    for label, values in (("same", same), ("different", different)):
        print(f"{label:9} {len(values):4} pairs: " + "  ".join(f"{q} % {np.percentile(values, q):.2f}" for q in (1, 5, 25, 50, 75, 95, 99)))
    print("threshold  margin    right  wrong name  not named   stranger named  left alone")
    for margin in (0.0, 0.05, 0.1):
        for threshold in np.arange(0.3, 0.81, 0.05):
            total = sum(outcomes(s, t, names, threshold, margin) for s, t in recordings)
            print(f"{threshold:9.2f} {margin:7.2f} {total[0]:8} {total[1]:11} {total[2]:10} {total[3]:16} {total[4]:11}")
    print("linked, margin 0.05: same person, same label; other label; other person, same label; other label")
    for threshold in np.arange(0.4, 0.81, 0.05):
        print(f"{threshold:9.2f}", *linked(whole, threshold, 0.05))


if __name__ == "__main__":
    main()
