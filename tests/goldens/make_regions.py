"""Speech and overlap that pyannote.audio 3.3.2 finds with deterministic weights: det5/regions.json.

    python3 make_regions.py --helpers FOLDER

FOLDER holds detweights.py and make_ckpt.py, which make the weights (seed 5) without any file. Stock code of
pyannote.audio does everything else.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
parser = argparse.ArgumentParser()
parser.add_argument("--helpers", required=True)
sys.path.insert(0, parser.parse_args().helpers)

import torch
from detweights import fill
from make_ckpt import new_segmentation
from pyannote.audio import __version__
from pyannote.audio.pipelines import OverlappedSpeechDetection, VoiceActivityDetection

here = Path(__file__).parent
torch.set_num_threads(1)
model = fill(new_segmentation(0), 5)
cases = []
for kind, pipeline in (("speech", VoiceActivityDetection), ("overlap", OverlappedSpeechDetection)):
    pipeline = pipeline(segmentation=model)
    for on, off in ((0.0, 0.0), (0.3, 0.2), (1.0, 0.0), (0.0, 0.7)):
        pipeline.instantiate({"min_duration_on": on, "min_duration_off": off})
        for wav in ("tiny8", "exact13", "short30"):
            regions = pipeline(str(here / "audio" / f"{wav}.wav")).get_timeline().support()
            cases.append({"kind": kind, "recording": wav, "min_duration_on": on, "min_duration_off": off,
                          "regions": [[s.start, s.end] for s in regions]})
            print(kind, on, off, wav, len(cases[-1]["regions"]))
text = ",\n".join(json.dumps(case) for case in cases)
(here / "det5/regions.json").write_text(f'{{"pyannote.audio": "{__version__}", "cases": [\n{text}\n]}}\n')
