"""Known speakers."""

import pickle
import warnings

import numpy
import pytest
from conftest import ROOT, SAMPLE, run, write_wav

from diarize_rs import AudioError, DiarizationWarning, Listener, OptionError, Pipeline, Voices, VoicesError


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
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            seconds = voices.enroll(name, pipeline, clip)
        few = [f"{name}: only {seconds:.1f} s of speech: use ten seconds or more for reliable recognition"]
        assert seconds > 1 and [str(each.message) for each in caught] == few * (seconds < 5)
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
    with open(clips["Bob"], "rb") as file:
        again = pipeline({"audio": file, "uri": named.uri}, num_speakers=1, voices=voices)
    assert again.to_rttm() == named.to_rttm()


def test_file_objects_can_be_enrolled(pipeline, voices, clips):
    known = Voices(pipeline)
    for name, clip in clips.items():
        with open(clip, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are few seconds of speech
            known.enroll(name, pipeline, file)
            assert file.tell() == 0
    for name in clips:
        assert (known[name].embedding == voices[name].embedding).all()
    with pytest.raises(AudioError, match="returned str, not bytes: open the file in binary mode"):
        known.enroll("Ann", pipeline, _Text())


class _Text:
    def read(self, size):
        return "text"


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
    with pytest.warns(DiarizationWarning, match=r"conversation: sounds like Bob \(similarity 0"):
        assert everybody.enroll("All", pipeline, SAMPLE, anyway=True) > 8
    for make in (Voices, Listener, lambda pipeline: voices.enroll("Ann", pipeline, SAMPLE)):
        with pytest.raises(OptionError, match="pipeline is 'bundled', but must be a Pipeline"):
            make("bundled")


def test_doubtful_voices_are_warnings_as_in_the_program(pipeline, voices, clips, tmp_path):
    for name, clip, doubt in (
        ("Carl", clips["Ann"], "Ann: sounds like Ann (similarity 1.00)"),
        ("Ann", clips["Bob"], "Bob: does not sound like the stored voice of Ann"),
    ):
        stored = pickle.loads(pickle.dumps(voices))
        stored.save(tmp_path / "voices")
        with pytest.warns(DiarizationWarning) as caught:
            stored.enroll(name, pipeline, clip)
        said = [str(warning.message) for warning in caught]
        assert said[0].startswith(doubt) and {warning.filename for warning in caught} == {__file__}
        theirs = run("enroll", "--device", "cpu", "--db", tmp_path / "voices", name, clip).stderr
        for sentence in said:
            assert sentence.split(": ", 1)[1].split(":")[0] in theirs
        assert len(said) == theirs.count("warning: "), theirs


def test_a_warning_that_is_an_error_adds_nobody(pipeline, voices, clips):
    stored = pickle.loads(pickle.dumps(voices))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DiarizationWarning, match="sounds like Ann"):
            stored.enroll("Carl", pipeline, clips["Ann"])
    assert pickle.dumps(stored) == pickle.dumps(voices)


def test_problems_with_the_audio_of_a_voice_are_warnings(pipeline, voices, samples):
    waveform = (samples / 32768).astype("f4")
    waveform[0, 5_000] = 100
    with pytest.warns(DiarizationWarning, match="waveform: 1 sample is far beyond full scale"):
        Voices(pipeline).enroll("All", pipeline, {"waveform": waveform, "sample_rate": 16_000}, anyway=True)


def test_many_recordings_with_known_voices(pipeline, voices, result):
    ((file, named),) = pipeline.map([SAMPLE], voices=voices)
    assert file == SAMPLE and named == pipeline(SAMPLE, voices=voices) != result
    ((_, strict),) = pipeline.map([SAMPLE], voices=voices, identify_threshold=1.0)
    assert strict.labels() == result.labels()
    for call in (lambda **options: pipeline.map([SAMPLE], **options), lambda **options: pipeline(SAMPLE, **options)):
        with pytest.raises(OptionError, match=r"voices is 'a.safetensors', but must be Voices; Voices.load\('a.safetensors'\)"):
            call(voices="a.safetensors")
        with pytest.raises(OptionError, match="identify_margin is '0', but must be a number"):
            call(voices=voices, identify_margin="0")
        with pytest.raises(OptionError, match="identify_threshold is NaN"):
            call(voices=voices, identify_threshold=float("nan"))


def test_files_that_are_no_voices(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file: check the path"):
        Voices.load(tmp_path / "nothing")
    with pytest.raises(VoicesError, match="README.md: not a complete safetensors file"):
        Voices.load(ROOT / "README.md")
