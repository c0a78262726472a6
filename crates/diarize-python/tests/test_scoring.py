"""Scores against a reference."""

import json

import pytest
from conftest import RECORDING, run

from diarize_rs import Annotation, FormatError, OptionError, load_rttm, score

REFERENCE = RECORDING.with_suffix(".rttm")


def test_scores_are_those_of_the_program(result, tmp_path):
    found = tmp_path / "conversation.rttm"
    found.write_text(result.to_rttm())
    for rules, options in ((), {}), (("--collar", "0.5", "--skip-overlap"), {"collar": 0.5, "skip_overlap": True}):
        printed = run("score", "--format", "json", *rules, REFERENCE, found)
        assert printed.returncode == 0, printed.stderr
        theirs = json.loads(printed.stdout)
        own = score(REFERENCE, found, **options)
        total = theirs["total"] if "total" in theirs else theirs
        assert own.diarization_error_rate == pytest.approx(total["diarization_error_rate"], abs=1e-6)
        assert own.jaccard_error_rate == pytest.approx(total["jaccard_error_rate"], abs=1e-6)


def test_all_kinds_of_turns(result):
    turns = load_rttm(REFERENCE)["conversation"]
    turns = Annotation((turn for turn in turns.turns if turn.end < 15), "conversation")
    exact = score(turns, result)
    assert 0 < exact.diarization_error_rate < 0.3
    assert exact.diarization_error_rate * exact.total == pytest.approx(
        exact.missed_detection + exact.false_alarm + exact.confusion
    )
    assert score([tuple(turn) for turn in turns.turns], result.speaker_diarization) == exact
    assert sorted(exact.mapping.values()) == result.labels()
    assert score(turns, turns).diarization_error_rate == 0.0
    assert score(turns, result, uem=[(0, 10)]).total < exact.total


def test_speakers_get_the_names_of_a_reference(pipeline, result):
    turns = load_rttm(REFERENCE)["conversation"]
    named, names = pipeline.optimal_mapping(turns, result, return_mapping=True)
    assert named == result.speaker_diarization.rename_labels(names) and named.uri == "conversation"
    assert names == {found: name for name, found in score(turns, result).mapping.items()}
    assert pipeline.optimal_mapping(turns, result) == named
    assert pipeline.optimal_mapping(result, named) == result.speaker_diarization


def test_wrong_arguments(tmp_path, result):
    two = tmp_path / "two.rttm"
    two.write_text("SPEAKER a 1 0 1 <NA> <NA> x <NA> <NA>\nSPEAKER b 1 0 1 <NA> <NA> x <NA> <NA>\n")
    with pytest.raises(FormatError, match="two.rttm: 2 recordings are given: choose one of load_rttm, such as 'a'"):
        score(two, result)
    for nothing in ({}, tmp_path / "nothing.rttm"):
        if nothing:
            nothing.write_text("")
        with pytest.raises(FormatError, match="0 recordings are given: there must be one"):
            score(nothing, result)
    for collar in (-1, float("nan")):
        with pytest.raises(OptionError, match="collar is"):
            score([], [], collar=collar)
    with pytest.raises(OptionError, match="collar is '0.5', but must be a number"):
        score([], [], collar="0.5")
    for uem in (5, [5], [(0, 1, 2)], "talk.uem", (0, 10)):
        with pytest.raises(OptionError, match="uem is .*, but must be a list of segments"):
            score([], [], uem=uem)
    for uem in ([(5, 1)], [(2, 2)], [(float("nan"), 9)]):
        with pytest.raises(OptionError, match="but a span must end after its start"):
            score([(0, 5, "A")], [], uem=uem)
    for nothing in (None, 5):
        with pytest.raises(FormatError, match="has no turns: give a result, an annotation, the path of an RTTM file"):
            score(result, nothing)


def test_what_load_rttm_returns_is_one_recording():
    recordings = load_rttm(REFERENCE)
    assert score(recordings, REFERENCE).diarization_error_rate == 0
    with pytest.raises(FormatError, match="2 recordings are given: choose one of load_rttm, such as 'conversation'"):
        score({**recordings, "other": recordings["conversation"]}, REFERENCE)
