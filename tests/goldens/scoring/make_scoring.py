"""Scores of pyannote.metrics: of random timelines, and of the systems in shared/eval/rttm.

    pip install 'pyannote.metrics==3.2.1' 'pyannote.core==5.0.0' 'pyannote.database==5.1.3'
    python make_scoring.py ../../../../shared/eval/rttm

writes random.json (timelines and scores) and systems.json (scores) beside this file.
"""

import json
import random
import sys
import warnings
from pathlib import Path

from pyannote.core import Annotation, Segment, Timeline
from pyannote.database.util import load_rttm, load_uem
from pyannote.metrics.diarization import DiarizationErrorRate, JaccardErrorRate

warnings.filterwarnings("ignore")
HERE = Path(__file__).parent
RULES = [(0.0, False), (0.5, False), (0.0, True), (0.25, True)]


def annotation(turns):
    result = Annotation()
    for track, (start, end, speaker) in enumerate(turns):
        result[Segment(start, end), track] = speaker
    return result


def score(reference, hypothesis, uem, collar, skip_overlap):
    """Speech, correct, missed, false alarm, confused; Jaccard error, speakers; both rates."""
    rules = {"collar": collar, "skip_overlap": skip_overlap}
    der = DiarizationErrorRate(**rules)(reference, hypothesis, uem=uem, detailed=True)
    jer = JaccardErrorRate(**rules).compute_components(reference, hypothesis, uem=uem)
    count = jer["speaker count"]
    names = ["total", "correct", "missed detection", "false alarm", "confusion"]
    numbers = [der[name] for name in names] + [jer["speaker error"], count, der["diarization error rate"]]
    return [round(number, 9) for number in numbers]


def random_turns(rng, speakers, count, length):
    turns = []
    for _ in range(count):
        start = rng.uniform(0, length)
        turns.append((round(start, 3), round(start + rng.expovariate(0.4), 3), rng.choice(speakers)))
    return turns


def random_cases():
    rng = random.Random(7)
    for case in range(60):
        length = rng.uniform(5, 60)
        speakers = [f"s{index}" for index in range(rng.randint(1, 12 if case % 5 == 0 else 5))]
        others = [f"h{index}" for index in range(rng.randint(1, 12 if case % 7 == 0 else 5))]
        reference = random_turns(rng, speakers, rng.randint(1, 20), length)
        if case % 3 == 0:
            found = random_turns(rng, others, rng.randint(0, 20), length)
        else:  # the reference, moved a little and with some speakers confused
            found = [(round(max(0, start + rng.gauss(0, 0.3)), 3), round(end + rng.gauss(0, 0.3), 3),
                      others[hash_of(speaker) % len(others)] if rng.random() < 0.8 else rng.choice(others))
                     for start, end, speaker in reference]
            found = [turn for turn in found if turn[0] < turn[1]]
        spans = None
        if case % 2:
            bounds = sorted(round(rng.uniform(-1, length + 3), 3) for _ in range(2 * rng.randint(1, 3)))
            spans = list(zip(bounds[::2], bounds[1::2]))
        uem = spans and Timeline([Segment(*span) for span in spans])
        for collar, skip_overlap in [RULES[case % 4], RULES[(case + 1) % 4]]:
            yield {"reference": reference, "found": found, "uem": spans, "collar": collar,
                   "skip_overlap": skip_overlap,
                   "score": score(annotation(reference), annotation(found), uem, collar, skip_overlap)}


def hash_of(name):
    return int(name[1:])


def system_cases(folder):
    pairs = [(f"ami-test/{name}.rttm", "ami-test/reference.rttm", uem)
             for name in ["system-vbx", "system-vbx-overlap", "system-online-5s"]
             for uem in ["ami-test/reference.uem", None]]
    pairs.append(("dscore/sys.rttm", "dscore/ref.rttm", None))
    for found, reference, uem in pairs:
        references, hypotheses = load_rttm(folder / reference), load_rttm(folder / found)
        uems = load_uem(folder / uem) if uem else {}
        for collar, skip_overlap in RULES[1:] if uem else RULES[:1]:
            scores = {uri: score(references[uri], hypotheses[uri], uems.get(uri), collar, skip_overlap)
                      for uri in sorted(references) if uri in hypotheses}
            yield {"reference": reference, "found": found, "uem": uem, "collar": collar,
                   "skip_overlap": skip_overlap, "scores": scores}


def write(name, cases):
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    (HERE / name).write_text(f"[\n{lines}\n]\n")


write("random.json", random_cases())
write("systems.json", system_cases(Path(sys.argv[1])))
