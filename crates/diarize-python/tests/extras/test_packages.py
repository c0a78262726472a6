"""Together with pyannote.core, pyannote.metrics, PyTorch, pandas and mypy."""

import operator
import subprocess
import sys
from pathlib import Path

import pandas
import pyannote.core
import pyannote.database.util
import pytest
import torch
from conftest import RECORDING, SAMPLE
from pyannote.metrics.diarization import DiarizationErrorRate

from diarize_rs import Annotation, ModelError, Pipeline, Segment, load_audio, score

PACKAGE = Path(__file__).parents[2]
REFERENCE = RECORDING.with_suffix(".rttm")


def test_tensors(pipeline, printed, samples):
    kinds = {
        "float32": torch.from_numpy(samples / 32768).float(),
        "float64": torch.from_numpy(samples / 32768),
        "int16": torch.from_numpy(samples),
        "a gradient": torch.from_numpy(samples / 32768).float().requires_grad_(),
        "every other sample": torch.from_numpy(samples).repeat_interleave(2, dim=1)[:, ::2],
    }
    for kind, waveform in kinds.items():
        file = {"waveform": waveform, "sample_rate": 16_000, "uri": "conversation"}
        assert pipeline(file).to_rttm() == printed, kind
    half = torch.from_numpy(samples / 32768).to(torch.bfloat16)
    assert len(pipeline({"waveform": half, "sample_rate": 16_000}).labels()) == 3


def test_devices_of_torch():
    pipeline = Pipeline.from_pretrained(device=torch.device("cpu"))
    assert pipeline.to(torch.device("cpu")).device == "cpu"


def test_a_real_annotation(result):
    annotation = result.to_annotation()
    assert isinstance(annotation, pyannote.core.Annotation) and annotation.uri == "conversation"
    assert annotation.to_rttm() == result.to_rttm()
    assert annotation.labels() == result.labels()
    assert dict(annotation.chart()) == pytest.approx(dict(result.chart()))
    own = [(segment.start, segment.end, track, label) for segment, track, label in result.itertracks(yield_label=True)]
    theirs = annotation.itertracks(yield_label=True)
    assert own == [(segment.start, segment.end, track, label) for segment, track, label in theirs]
    assert [str(segment) for segment in result.speaker_diarization.itersegments()] == [
        str(segment) for segment in annotation.itersegments()
    ]


def test_segments_are_those_of_pyannote_core():
    times = [0.0, 1.0, 1.0 + 5e-7, 1.5, 2.0, 3.0]
    pairs = [(start, end) for start in times for end in times]
    for first in pairs:
        own, theirs = Segment(*first), pyannote.core.Segment(*first)
        assert (bool(own), own.duration, str(own)) == (bool(theirs), theirs.duration, str(theirs)), first
        assert [own.overlaps(time) for time in times] == [theirs.overlaps(time) for time in times], first
        for second in pairs:
            other, its = Segment(*second), pyannote.core.Segment(*second)
            assert (other in own) == (its in theirs) == (its in own), (first, second)
            assert own.intersects(other) == theirs.intersects(its), (first, second)
            for combine in (operator.and_, operator.or_):
                assert tuple(combine(own, other)) == tuple(combine(theirs, its)), (first, second)
            if own and other:
                assert tuple(own ^ other) == tuple(theirs ^ its), (first, second)


def test_scores_are_those_of_pyannote_metrics(result):
    reference = pyannote.database.util.load_rttm(REFERENCE)["conversation"]
    for collar, skip_overlap in ((0.0, False), (0.5, True)):
        metric = DiarizationErrorRate(collar=collar, skip_overlap=skip_overlap)
        with pytest.warns(UserWarning, match="uem"):
            details = metric(reference, result.to_annotation(), detailed=True)
        own = score(reference, result, collar=collar, skip_overlap=skip_overlap)
        assert own.diarization_error_rate == pytest.approx(details["diarization error rate"], abs=1e-9)
        for name in ("total", "confusion", "correct"):
            assert getattr(own, name) == pytest.approx(details[name])
        assert own.missed_detection == pytest.approx(details["missed detection"])
        assert own.false_alarm == pytest.approx(details["false alarm"])


def test_a_data_frame(result):
    frame = result.to_dataframe()
    assert list(frame.columns) == ["file", "start", "end", "speaker", "confidence", "overlap"]
    assert len(frame) == len(result.speaker_diarization) and set(frame.file) == {"conversation"}
    seconds = (frame.end - frame.start).groupby(frame.speaker).sum()
    assert seconds.to_dict() == pytest.approx(dict(result.chart()))
    assert isinstance(frame, pandas.DataFrame) and frame.overlap.dtype == float
    empty = Annotation([], "silence").to_dataframe()
    assert len(empty) == 0 and pandas.concat([frame, empty]).dtypes.to_dict() == frame.dtypes.to_dict()


def test_the_steps_of_pyannotes_tutorial(tmp_path):
    """The calls with which pyannote's tutorial applies a pretrained pipeline, with another import."""
    pipeline = Pipeline.from_pretrained("bundled", token=True)
    pipeline.to(torch.device("cpu"))
    found = pipeline(str(SAMPLE))
    for segment, track, speaker in found.itertracks(yield_label=True):
        assert f"{segment.start:4.1f} {segment.end:4.1f} {speaker}" == " 0.6  3.7 SPEAKER_02" and track == "A"
        break

    pyannote.core.notebook.crop = pyannote.core.Segment(0, 30)
    png = found._repr_png_()  # what a notebook shows for `found`
    assert png.startswith(b"\x89PNG") and png == found.to_annotation()._repr_png_()

    reference = pyannote.database.util.load_rttm(REFERENCE)["conversation"]
    named, names = pipeline.optimal_mapping(reference, found, return_mapping=True)
    theirs = DiarizationErrorRate().optimal_mapping(reference, found.to_annotation())
    assert names == theirs and named.to_annotation() == found.to_annotation().rename_labels(theirs)
    assert set(named.labels()) == set(reference.labels())
    assert pipeline.optimal_mapping(found, reference).labels() == found.labels()

    waveform, sample_rate = load_audio(SAMPLE)
    in_memory = {"waveform": torch.from_numpy(waveform), "sample_rate": sample_rate}
    assert pipeline(in_memory).speaker_diarization == found.speaker_diarization
    config = tmp_path / "config.yaml"
    config.write_text("pipeline: {name: pyannote.audio.pipelines.VoiceActivityDetection}\n")
    with pytest.raises(ModelError, match="VoiceActivityDetection, but .* `vad`"):
        Pipeline.from_pretrained(config)


def test_types(tmp_path):
    """The package, and a program that uses it, pass mypy's strict checks."""
    for target in ([], [str(Path(__file__).with_name("typed.py"))]):
        command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), *target]
        done = subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE, check=False)
        assert done.returncode == 0, done.stdout
