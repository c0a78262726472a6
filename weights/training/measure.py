#!/usr/bin/env python3
"""Print what the README says of the networks by themselves, from a model directory.

    python3 measure.py --corpora DATA/corpora --noise DATA/noise/esc10 --excerpts DATA/eval/ami DATA/eval/pyannote-sample \\
        --teacher DATA/segmentation-3.0.safetensors --model ../default

Local error of both segmentation networks on the excerpts, with both ways to choose a set of speakers, and the
embedding's equal error rates on the forty speakers that it never heard (`corpus.held_out`), those in noisy rooms for
each of several draws of rooms and noise. Then equal error rates on pieces of the excerpts in which one person talks
alone (`pieces.py`), of pairs within one recording and of all pairs; with `--campplus`, CAM++'s beside them. Without
`--teacher` the segmentation is left out.
"""

import argparse
from pathlib import Path

import torch

import corpus
from campplus import CAMPPlus, Features
from embedding import Trials, equal_error
from networks import Fbank, PyanNet, ResNet34, least_error, most_probable
from pieces import alone
from rooms import Acoustics, room_bank
from segmentation import excerpts, local_error


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", required=True)
    parser.add_argument("--noise", required=True)
    parser.add_argument("--excerpts", required=True, nargs="+", help="folders of WAV and RTTM files")
    parser.add_argument("--teacher", help="pyannote's segmentation-3.0")
    parser.add_argument("--campplus", help="CAM++'s state dict")
    parser.add_argument("--model", required=True)
    parser.add_argument("--rooms", type=int, default=256)
    parser.add_argument("--draws", type=int, default=3)
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = Path(args.model)

    recordings = excerpts(args.excerpts)
    networks = {"teacher": args.teacher, "segmentation": model / "segmentation.safetensors"} if args.teacher else {}
    for name, path in networks.items():
        for decode in (most_probable, least_error):
            error, *parts = local_error(PyanNet().read(path).to(device).eval(), recordings, device, decode)
            print(f"{name}, {decode.__name__}: local error {error} %, missed, false, confused {parts}", flush=True)

    network = ResNet34().read(model / "embedding.safetensors").to(device)
    for args.seed in range(1, args.draws + 1):
        bank = room_bank(args.rooms, 2, device, torch.Generator(device).manual_seed(args.seed))
        trials = Trials(args, device, Acoustics(bank, corpus.noises(args.noise, device)))
        if args.seed > 1:
            trials.sets = {name: trial for name, trial in trials.sets.items() if "noisy" in name}
        print(f"embedding, draw {args.seed}: EER %, threshold, pairs", trials(network), flush=True)

    network.eval()
    fbank, features = Fbank(device), Features(device)

    def ours(x):
        energies = fbank(x)
        return network(energies, torch.ones(len(x), 1, energies.shape[1], device=device))[:, 0]

    embedders = {"embedding": ours}
    if args.campplus:
        campplus = CAMPPlus.load(args.campplus).to(device)
        embedders["CAM++"] = lambda x: campplus(features(x))
    for seconds in (1.0, 1.5):
        rows = alone(args.excerpts, seconds)
        waves, names, numbers = torch.stack([r[0] for r in rows]).to(device), [r[1] for r in rows], [r[2] for r in rows]
        for name, embed in embedders.items():
            with torch.no_grad():
                embeddings = torch.cat([embed(x) for x in waves.split(64)])
            print(f"{name}, {seconds} s pieces: EER % within a recording", equal_error(embeddings, names, numbers), "over all", equal_error(embeddings, names, [0] * len(names)), flush=True)


if __name__ == "__main__":
    main()
