"""Known speakers."""

import pickle

import numpy
import pytest
from conftest import ROOT, SAMPLE, run, write_wav

from diarize_rs import OptionError, Pipeline, Voices, VoicesError


@pytest.fixture(scope="module")
def clips(samples, result, tmp_path_factory):
    """Two recordings in which one person speaks."""
    folder, clips = tmp_path_factory.mktemp("clips"), {}
    for name, label in (("Ann", "SPEAKER_00"), ("Bob", "SPEAKER_01")):
        turns = [turn for turn in result.exclusive_speaker_diarization.turns if turn.speaker == label]
        parts = [samples[:, round(turn.start * 16_000) : round(turn.end * 16_000)] for turn in turns]
        clips[name] = folder / f"{name}.wav"
        write_wav(clips[name], numpy.concatenate(parts, axis=1), 16_000)
    return clips


@pytest.fixture(scope="module")
def voices(pipeline, clips):
    voices = Voices(pipeline)
    for name, clip in clips.items():
        assert voices.enroll(name, pipeline, clip) > 1
    return voices


def test_voices_are_those_of_the_program(voices, clips, tmp_path):
    own, theirs = tmp_path / "own.safetensors", tmp_path / "theirs.safetensors"
    voices.save(own)
    for name, clip in clips.items():
        done = run("enroll", "--device", "cpu", "--db", theirs, name, clip)
        assert done.returncode == 0, done.stderr
    assert own.read_bytes() == theirs.read_bytes()
    assert dict(zip(Voices.load(theirs), ("Ann", "Bob"))) == {"Ann": "Ann", "Bob": "Bob"}


def test_known_speakers_get_their_names(pipeline, voices, result, tmp_path):
    voices.save(tmp_path / "voices")
    named = pipeline(SAMPLE, voices=voices)
    assert named.labels() == ["Ann", "Bob", "SPEAKER_02"]
    assert [round(speaker.similarity, 1) > 0.6 for speaker in named.speakers[:2]] == [True, True]
    assert named.speakers[2].similarity is None
    assert named.to_rttm() == run("--device", "cpu", "--identify", tmp_path / "voices", SAMPLE).stdout
    assert pipeline(SAMPLE, voices=voices, identify_threshold=1.0).labels() == result.labels()
    with pytest.raises(OptionError, match="identify_threshold is NaN"):
        pipeline(SAMPLE, voices=voices, identify_threshold=float("nan"))


def test_a_single_requested_speaker_is_recognized(voices, clips, tmp_path):
    pipeline = Pipeline.from_pretrained(device="cpu", clustering="agglomerative")
    voices.save(tmp_path / "voices")
    named = pipeline(clips["Bob"], num_speakers=1, voices=voices)
    command = ("--device", "cpu", "--clustering", "agglomerative", "--num-speakers", "1")
    assert named.to_rttm() == run(*command, "--identify", tmp_path / "voices", clips["Bob"]).stdout
    assert named.labels() == ["Bob"]


def test_people(voices):
    assert list(voices) == ["Ann", "Bob"] and len(voices) == 2 and "Ann" in voices and "Eve" not in voices
    assert voices["Ann"].embedding.shape == (256,) and voices["Ann"].recordings == 1
    other = pickle.loads(pickle.dumps(voices))
    other.remove("Ann")
    assert list(other) == ["Bob"] and "Ann" in voices
    with pytest.raises(KeyError):
        other.remove("Ann")
    with pytest.raises(KeyError):
        other["Ann"]


def test_what_cannot_be_enrolled(pipeline, voices, samples):
    before = pickle.dumps(voices)
    with pytest.raises(VoicesError, match=r"several people speak in it \(SPEAKER_0"):
        voices.enroll("All", pipeline, SAMPLE)
    with pytest.raises(VoicesError, match="too little speech"):
        voices.enroll("Nobody", pipeline, {"waveform": samples[:, :3200] * 0, "sample_rate": 16_000})
    with pytest.raises(OptionError, match="cannot be a person's name"):
        voices.enroll("", pipeline, SAMPLE)
    assert pickle.dumps(voices) == before
    everybody = pickle.loads(before)
    assert everybody.enroll("All", pipeline, SAMPLE, anyway=True) > 8


def test_files_that_are_no_voices(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file: check the path"):
        Voices.load(tmp_path / "nothing")
    with pytest.raises(VoicesError, match="README.md: not a complete safetensors file"):
        Voices.load(ROOT / "README.md")
