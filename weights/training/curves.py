#!/usr/bin/env python3
"""Draw what the runs printed: `python3 curves.py` makes ../curves.png from curves.csv (needs matplotlib)."""

import csv
import re
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

PANELS = [
    ("segmentation", ("local error",), "Segmentation: local error on real excerpts, %"),
    ("segmentation", ("divergence",), "Segmentation: divergence from the teacher, nats"),
    ("embedding", ("EER 5 s", "EER 2 s"), "Embedding: equal error rate, %"),
]
COLORS = {"0": "C0", "1": "C1", "2": "C3", "3": "C2", "4": "C4", "5": "C5", "6": "C6", "8": "C8", "9": "C9", "13": "C7"}


def main():
    here = Path(__file__).parent
    lines = defaultdict(list)
    for row in csv.DictReader((here / "curves.csv").open()):
        lines[row["network"], row["measure"], row["run"]].append((int(row["step"]), float(row["value"])))
    figure, panels = plt.subplots(1, 3, figsize=(13, 4), constrained_layout=True)
    for panel, (network, measures, title) in zip(panels, PANELS):
        for (of, measure, run), points in lines.items():
            if of == network and measure in measures:
                name = f"run {run}, {measure}" if len(measures) > 1 else f"run {run}"
                style = "--" if measure == measures[-1] and len(measures) > 1 else "-"
                panel.plot(*zip(*points), style, marker=".", color=COLORS[re.match(r"\d+", run)[0]], label=name)
        panel.set(title=title, xlabel="step", ylim=(0, None))
        panel.title.set_size(10)
        panel.grid(alpha=0.3)
    panels[0].axhline(29.1, color="gray", linestyle="--", label="pyannote segmentation-3.0")
    for panel in panels:
        panel.legend(fontsize=7, ncols=2)
    figure.savefig(here.parent / "curves.png", dpi=90)


if __name__ == "__main__":
    main()
