"""What a result offers."""

import copy
import io
import json
import operator
import pickle

import numpy
import pytest
from conftest import SAMPLE, run

from diarize_rs import (
    Annotation,
    FormatError,
    MissingPackageError,
    OptionError,
    Pipeline,
    RttmNotFoundError,
    Segment,
    Turn,
    load_rttm,
    score,
)


def test_turns_as_in_pyannote_4_and_3(result):
    pairs = list(result.speaker_diarization)
    assert len(pairs) == len(result.speaker_diarization) > 5
    turn, speaker = pairs[0]
    assert 0 <= turn.start < turn.end and turn.duration == turn.end - turn.start and speaker == "SPEAKER_02"
    tracks = list(result.itertracks(yield_label=True))
    assert [(segment, label) for segment, _, label in tracks] == pairs
    assert [track for _, track in result.itertracks()] == [track for _, track, _ in tracks]
    assert len({track for _, track, _ in tracks}) == len(tracks)
    assert list(result.speaker_diarization.itersegments()) == [segment for segment, _ in pairs]
    start, end = turn
    assert (start, end) == (turn.start, turn.end)


def test_speakers(result):
    assert result.labels() == ["SPEAKER_00", "SPEAKER_01", "SPEAKER_02"]
    assert [speaker.label for speaker in result.speakers] == result.labels()
    assert all(0 < speaker.confidence <= 1 and speaker.similarity is None for speaker in result.speakers)
    for label, seconds in result.chart():
        assert seconds == pytest.approx(result.label_duration(label))
        assert {speaker.label: speaker.duration for speaker in result.speakers}[label] == pytest.approx(seconds)
    assert result.speaker_diarization.argmax() == result.chart()[0][0]
    embeddings = result.speaker_embeddings
    assert embeddings.shape == (3, 256) and embeddings.dtype == numpy.float32 and embeddings.flags.writeable
    assert (numpy.linalg.norm(embeddings, axis=1) > 0).all()


def test_the_numbers_are_those_of_the_program(result):
    document = json.loads(run("--device", "cpu", "--format", "json", "--embeddings", SAMPLE).stdout)
    for theirs, own in zip(document["turns"], result.speaker_diarization.turns, strict=True):
        assert (theirs["start"], theirs["end"], theirs["speaker"]) == (own.start, own.end, own.speaker)
        assert theirs["confidence"] == round(own.confidence, 3)
    embeddings = [speaker["embedding"] for speaker in document["speakers"]]
    assert numpy.array_equal(numpy.array(embeddings, numpy.float32), result.speaker_embeddings)
    exclusive = run("--device", "cpu", "--exclusive", SAMPLE).stdout
    assert result.exclusive_speaker_diarization.to_rttm() == exclusive


def test_nobody_overlaps_in_the_exclusive_diarization(result):
    turns = result.exclusive_speaker_diarization.turns
    assert all(before.end <= after.start for before, after in zip(turns, turns[1:]))
    assert any(record["overlap"] > 0 for record in result.speaker_diarization.records())
    assert all(record["overlap"] == 0 for record in result.exclusive_speaker_diarization.records())


def test_overlap_is_measured_in_seconds():
    turns = [(0, 10, "a"), (1, 2, "b"), (1.5, 3, "c"), (9, 12, "b"), (9.5, 9.75, "b"), (20, 21, "a")]
    records = Annotation(turns).records()
    assert [record["overlap"] for record in records] == [3.0, 1.0, 1.5, 1.0, 0.25, 0.0]


def test_rttm_is_written_and_read(result, tmp_path):
    file = io.StringIO()
    result.write_rttm(file)
    assert file.getvalue() == result.to_rttm()
    path = tmp_path / "talk.rttm"
    path.write_text(file.getvalue())
    read = load_rttm(path)["conversation"]
    assert [turn.speaker for turn in read.turns] == [turn.speaker for turn in result.speaker_diarization.turns]
    assert read.turns[0].start == round(result.speaker_diarization.turns[0].start, 3)
    path.write_text("SPEAKER talk 1 0 nothing")
    with pytest.raises(FormatError, match="talk.rttm: line 1 is not valid RTTM"):
        load_rttm(path)
    path.write_bytes("\ufeffSPEAKER talk 1 0 1 <NA> <NA> Zoë <NA> <NA>".encode("utf-16-le"))
    assert load_rttm(path)["talk"].labels() == ["Zoë"]


def test_files_that_are_not_rttm(tmp_path, result):
    (tmp_path / "latin.rttm").write_bytes("SPEAKER talk 1 0 1 <NA> <NA> Zoë <NA> <NA>".encode("latin-1"))
    wrong = {
        SAMPLE: "is a recording, not RTTM: name another file",
        tmp_path: "is a directory, not RTTM: name a file",
        tmp_path / "latin.rttm": "line 1 is not UTF-8: if the file is text, save it as UTF-8",
        result.to_rttm(): "RTTM itself is given instead of the path of a file",
    }
    for path, sentence in wrong.items():
        for read in (load_rttm, lambda path: score(path, result), lambda path: score(result, path)):
            with pytest.raises(FormatError, match=sentence):
                read(path)
    for read in (load_rttm, lambda path: score(path, result)):
        with pytest.raises(RttmNotFoundError, match="cannot read .*nothing.rttm: no such file or directory: check the path"):
            read(tmp_path / "nothing.rttm")
    assert issubclass(RttmNotFoundError, FileNotFoundError)


def test_rttm_is_written_to_an_open_file(result, tmp_path):
    with pytest.raises(FormatError, match="is not an open text file: use open"):
        result.write_rttm(tmp_path / "a.rttm")


def test_names_in_rttm_have_no_white_space():
    rttm = Annotation([(0, 1, "Ann Lee"), (1, 2, "Ann_Lee")], "my talk").to_rttm().splitlines()
    assert [line.split()[1] for line in rttm] == ["my_talk", "my_talk"]
    assert [line.split()[7] for line in rttm] == ["Ann_Lee_2", "Ann_Lee"]


def test_plain_data(result):
    plain = json.loads(json.dumps(result.serialize()))
    assert plain["diarization"][0]["speaker"] == "SPEAKER_02"
    assert plain["exclusive_diarization"][0]["start"] == round(result.exclusive_speaker_diarization.turns[0].start, 3)


def test_results_are_pickled_and_copied(result):
    for other in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
        assert other == result and numpy.array_equal(other.speaker_embeddings, result.speaker_embeddings)


def test_text(result):
    assert str(result).splitlines()[0] == "[ 00:00:00.604 -->  00:00:03.692] A SPEAKER_02"
    assert str(Segment(3725.5, 3726)) == "[ 01:02:05.500 -->  01:02:06.000]"
    assert repr(result).startswith("<DiarizeOutput of conversation: 7 turns of 3 speakers in 15.0 s")
    assert Segment(1, 3).middle == 2.0
    assert repr(Annotation([(0, 1, "a")])) == "<Annotation of recording: 1 turn of 1 speaker>"
    assert repr(Annotation()) == "<Annotation of recording: 0 turns of 0 speakers>"


def test_segments_answer_as_those_of_pyannote():
    whole, part = Segment(0, 3), Segment(1, 2)
    assert part in whole and whole in whole and whole not in part
    assert Turn(1, 2, "a") in whole and Segment(2, 4) not in whole
    assert whole and not Segment(3, 3) and not Segment(5, 3) and not Segment()
    assert whole & Segment(2, 5) == Segment(2, 3) and not part & Segment(2, 3)
    assert part | Segment(4, 5) == Segment(1, 5) and part | Segment(9, 9) == part and Segment(9, 9) | part == part
    assert part ^ Segment(4, 5) == Segment(2, 4) == Segment(4, 5) ^ part
    assert whole.intersects(part) and part.intersects(Segment(1, 1)) and whole.intersects(Segment(2, 2)) and not part.intersects(Segment(2, 3))
    assert part.overlaps(1) and part.overlaps(2) and not part.overlaps(2.1)
    assert Segment(5, 3).duration == 0 and str(Segment(5, 3)) == "[]"
    with pytest.raises(ValueError, match="an empty segment has no gap"):
        part ^ Segment()
    with pytest.raises(OptionError, match=r"1.5 is not a Segment; for a time, use overlaps\(seconds\)"):
        1.5 in whole


def test_spans_are_found_in_annotations():
    annotation = Annotation([(0, 1, "a"), (2, 3, "b")])
    assert Segment(0, 1) in annotation and (Segment(2, 3), "b") in annotation
    assert Segment(0, 3) not in annotation and (Segment(2, 3), "a") not in annotation


@pytest.mark.parametrize(
    "turn", [(0, 1), 5, None, "Ann", (0, "late", "Ann"), (0, float("nan"), "Ann"), (1, 0, "Ann"), (0, 1, None), (0, 1, "Ann", 1, 2), (0, 1, "Ann", "x"), (0, 10**400, "Ann")]
)
def test_what_is_no_turn(turn):
    for make in (Annotation, lambda turns: score(turns, [(0, 1, "Ann")])):
        with pytest.raises(FormatError, match="is not a turn: give start and end in seconds, a speaker"):
            make([turn])


def test_names_may_be_numbers():
    assert Annotation([(numpy.float32(0), 1, 5)]).turns == (Turn(0.0, 1.0, "5"),)


def test_a_result_gets_another_name(result):
    other = copy.deepcopy(result)
    other.uri = "talk"
    assert other.to_rttm() == result.to_rttm().replace("conversation", "talk") != result.to_rttm()
    assert other.exclusive_speaker_diarization.uri == other.speaker_diarization.records()[0]["file"] == "talk"


def test_annotations_are_renamed_and_sorted():
    annotation = Annotation([Turn(2, 3, "a"), Turn(0, 1, "b", 0.5)])
    assert [turn.start for turn in annotation.turns] == [0, 2]
    renamed = annotation.rename_labels({"a": "Ann"})
    assert renamed.labels() == ["Ann", "b"] and renamed.turns[0].confidence == 0.5 and annotation.labels() == ["a", "b"]
    tracks = [track for _, track in Annotation([(second, second + 1, "a") for second in range(28)]).itertracks()]
    assert tracks[0] == "A" and tracks[25:] == ["Z", "AA", "AB"]


def test_what_needs_other_packages_says_so(result, monkeypatch):
    for package, call in (("pandas", result.to_dataframe), ("pyannote.core", result.to_annotation)):
        monkeypatch.setitem(__import__("sys").modules, package, None)
        with pytest.raises(MissingPackageError, match=f"pip install {package}"):
            call()


def test_habits_of_pyannote_are_answered(pipeline, result):
    for owner in (result, result.speaker_diarization):
        for name in ("crop", "get_timeline", "support"):
            with pytest.raises(AttributeError, match=rf"has no {name}: use to_annotation\(\).{name}"):
                getattr(owner, name)
        with pytest.raises(AttributeError, match="has no nonsense$"):
            owner.nonsense
        assert not hasattr(owner, "crop")
        assert owner.argmax() == "SPEAKER_01"
        assert owner.rename_labels({"SPEAKER_02": "Ann"}).labels() == ["Ann", "SPEAKER_00", "SPEAKER_01"]
        for use in (operator.getitem, operator.delitem, lambda owner, key: operator.setitem(owner, key, "Ann")):
            with pytest.raises(TypeError, match=r"has no items: use itertracks\(\) for the turns, or to_annotation\(\)"):
                use(owner, Segment(0, 1))
    with pytest.raises(OptionError, match="use result.speaker_embeddings"):
        pipeline(SAMPLE, return_embeddings=True)
    assert pipeline(SAMPLE, return_embeddings=False) == result


def test_no_embeddings_of_a_single_requested_speaker():
    pipeline = Pipeline.from_pretrained("bundled", device="cpu", clustering="agglomerative")
    result = pipeline(SAMPLE, num_speakers=1)
    assert result.labels() == ["SPEAKER_00"] and result.speaker_embeddings is None
