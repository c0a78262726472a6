"""Every kind of recording gives the program's result."""

import io
import os
import sys

import numpy
import pytest
from conftest import SAMPLE, run, write_wav

import diarize_rs
from diarize_rs import AudioError, DiarizationWarning, OptionError


class WithArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


class WithDlpack:
    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Slow(io.RawIOBase):
    """A pipe, which cannot seek and returns little at once."""

    def __init__(self, content):
        self.content = io.BytesIO(content)

    def readable(self):
        return True

    def read(self, size=-1):
        return self.content.read(min(size, 1000))


def packed(samples, other, own):
    records = numpy.zeros(len(samples), [("other", other), ("own", own)])
    records["own"] = samples
    return records["own"]


KINDS = {
    "text": lambda samples: str(SAMPLE),
    "bytes": lambda samples: SAMPLE.read_bytes(),
    "memoryview": lambda samples: memoryview(SAMPLE.read_bytes()),
    "file object": lambda samples: io.BytesIO(SAMPLE.read_bytes()),
    "pipe": lambda samples: Slow(SAMPLE.read_bytes()),
    "audio": lambda samples: {"audio": SAMPLE},
    "int16": lambda samples: samples,
    "float32": lambda samples: (samples / 32768).astype(numpy.float32),
    "float64": lambda samples: samples / 32768,
    "one axis": lambda samples: samples[0],
    "big-endian": lambda samples: samples.astype(">i2"),
    "every other sample": lambda samples: numpy.repeat(samples, 2, axis=1)[:, ::2],
    "by samples first": lambda samples: numpy.asfortranarray(numpy.concatenate([samples, samples])),
    "field of packed records": lambda samples: packed(samples[0], "i1", "<i2"),
    "field of packed floats": lambda samples: packed((samples[0] / 32768).astype("f4"), "u1", "<f4"),
    "read-only": lambda samples: numpy.frombuffer(samples.tobytes(), numpy.int16),
    "__array__": lambda samples: WithArray(samples),
    "DLPack": lambda samples: WithDlpack(samples),
}


@pytest.mark.parametrize("kind", KINDS)
def test_results_are_those_of_the_program(pipeline, printed, samples, kind):
    file = KINDS[kind](samples)
    if not isinstance(file, (str, bytes, memoryview, dict, io.IOBase)):
        file = {"waveform": file, "sample_rate": numpy.int64(16_000)}
    file = {"uri": "conversation", **(file if isinstance(file, dict) else {"audio": file})}
    assert pipeline(file).to_rttm() == printed


@pytest.mark.parametrize("rate", [12_000, 22_050, 44_101])
def test_channels_and_other_sample_rates(pipeline, samples, tmp_path, rate):
    stereo = numpy.concatenate([samples, numpy.roll(samples, rate) // 3])
    write_wav(tmp_path / "two.wav", stereo, rate)
    of_file = pipeline(tmp_path / "two.wav")
    assert of_file.to_rttm() == run("--device", "cpu", tmp_path / "two.wav").stdout
    of_array = pipeline({"waveform": stereo, "sample_rate": rate, "uri": "two"})
    assert of_array == of_file
    second = pipeline({"audio": tmp_path / "two.wav", "channel": 1})
    assert second.to_rttm() == run("--device", "cpu", "--channel", "1", tmp_path / "two.wav").stdout
    assert not numpy.array_equal(second.speaker_embeddings, of_file.speaker_embeddings)
    of_array = pipeline({"waveform": stereo, "sample_rate": rate, "uri": "two", "channel": 1})
    assert of_array == second


def test_a_file_object_is_read_from_its_position_and_returned_to_it(pipeline, printed):
    file = io.BytesIO(b"12345" + SAMPLE.read_bytes())
    file.seek(5)
    for _ in range(2):
        assert pipeline({"audio": file, "uri": "conversation"}).to_rttm() == printed
        assert file.tell() == 5


def test_a_file_object_that_cannot_go_back_hides_nothing(pipeline, printed):
    class Forward(io.BytesIO):
        def seek(self, *place):
            raise OSError("no way back")

    assert pipeline({"audio": Forward(SAMPLE.read_bytes()), "uri": "conversation"}).to_rttm() == printed
    with pytest.raises(AudioError, match="not audio"):
        pipeline(Forward(b"not audio at all, whatever it says"))


@pytest.mark.parametrize("uri", [True, -1, b"2", numpy.int64(2), []], ids=repr)
def test_names_are_text(pipeline, uri):
    with pytest.raises(OptionError, match="uri is .*, but must be text"):
        pipeline({"audio": SAMPLE, "uri": uri})


def test_names_of_recordings(pipeline, tmp_path, samples):
    path = tmp_path / "my talk.1.wav"
    write_wav(path, samples[:, :160_000], 16_000)
    assert pipeline(path).uri == "my talk.1"
    assert pipeline(path).to_rttm() == run("--device", "cpu", path).stdout
    with open(path, "rb") as file:
        assert pipeline(file).uri == "my talk.1"
    assert pipeline({"waveform": samples[:, :16_000], "sample_rate": 16_000}).uri == "waveform"
    assert pipeline(io.BytesIO(path.read_bytes())).uri == "stream"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have names of Unicode alone")
def test_names_that_are_not_utf_8(pipeline, printed, tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9 \xff.wav")
    path.write_bytes(SAMPLE.read_bytes())
    expected = printed.replace(" conversation ", " caf\ufffd_\ufffd ")
    for file in (path, str(path), {"audio": path}):
        assert pipeline(file).to_rttm() == expected
    with open(path, "rb") as file:
        assert pipeline(file).to_rttm() == expected
    named = {"audio": SAMPLE, "uri": path.stem}
    assert [pipeline(named).to_rttm()] == [result.to_rttm() for _, result in pipeline.map([path])] == [expected]
    with pytest.raises(FileNotFoundError, match="caf\ufffd.wav: no such file"):
        pipeline(os.fsdecode(b"caf\xe9.wav"))
    with pytest.raises(AudioError, match="caf\ufffd.wav: its name cannot be one of a file"):
        pipeline("caf\ud800.wav")
    with pytest.raises(OptionError, match="checkpoint is .*, but must be a name in UTF-8"):
        diarize_rs.Pipeline.from_pretrained(path)


WRONG = {
    "": "the path is empty",
    "https://example.com/a.wav": "^https://example.com/a.wav is a URL: download",
    "/no/such/file.wav": "no such file",
    b"": "empty",
    b"not audio at all, whatever it says": "not audio",
    42: "int is not a recording: give a path",
    (SAMPLE, SAMPLE): r"tuple is not a recording: use map\(files\) for several recordings, or give a path",
}


@pytest.mark.parametrize("file", WRONG, ids=lambda file: type(file).__name__)
def test_what_cannot_be_read(pipeline, file):
    with pytest.raises(AudioError, match=WRONG[file]):
        pipeline(file)


@pytest.mark.parametrize("file", [{}, {"foo": 1}, {"sample_rate": 16_000, "uri": "talk"}], ids=str)
def test_a_dictionary_without_audio(pipeline, file):
    with pytest.raises(AudioError, match='^the dictionary has neither "audio" nor "waveform": give {"audio": file} with a path'):
        pipeline(file)


def test_missing_files_are_those_of_python(pipeline):
    with pytest.raises(FileNotFoundError, match="/no/such/file.wav: no such file: check the path"):
        pipeline("/no/such/file.wav")
    with pytest.raises(diarize_rs.AudioFileNotFoundError):
        diarize_rs.load_audio("/no/such/file.wav")


WAVEFORMS = {
    "transposed": (numpy.zeros((16_000, 2), "f4"), r"shape \[16000, 2\]"),
    "ragged": ([[0.0, 0.5], [0.5]], "the samples are no array"),
    "three axes": (numpy.zeros((1, 1, 16_000), "f4"), "shape"),
    "no samples": (numpy.zeros((1, 0), "f4"), "no audio samples"),
    "whole numbers": (numpy.zeros(16_000, "i4"), "dtype int32"),
    "complex": (numpy.zeros(16_000, "c8"), "dtype complex64"),
    "text": (numpy.array(["a"] * 10), "dtype"),
    "not a number": (numpy.full(16_000, numpy.nan, "f4"), "NaN"),
    "infinite": (numpy.full(16_000, numpy.inf), "inf"),
}


@pytest.mark.parametrize("kind", WAVEFORMS)
def test_waveforms_that_cannot_be_used(pipeline, kind):
    waveform, sentence = WAVEFORMS[kind]
    with pytest.raises(AudioError, match=sentence):
        pipeline({"waveform": waveform, "sample_rate": 16_000})


@pytest.mark.parametrize("rate", [None, 0, -1, 16_000.5, "16000", 10, 2**40])
def test_sample_rates_that_cannot_be_used(pipeline, rate):
    with pytest.raises(AudioError, match=f"sample_rate is {rate!r}, but must be"):
        pipeline({"waveform": numpy.zeros(16_000), "sample_rate": rate})


def test_a_channel_that_does_not_exist(pipeline):
    with pytest.raises(AudioError, match="no channel 1"):
        pipeline({"audio": SAMPLE, "channel": 1})
    for channel in (-1, 1.5, "left", True, 10**30):
        with pytest.raises(OptionError, match="channel is .*, but must be a whole number below 65536; the first channel is 0"):
            pipeline({"audio": SAMPLE, "channel": channel})
    with pytest.raises(AudioError, match="no channel 2"):
        pipeline({"waveform": numpy.zeros((2, 16_000)), "sample_rate": 16_000, "channel": 2})


def test_exceptions_of_a_file_object_are_raised(pipeline):
    class Broken(io.RawIOBase):
        def readable(self):
            return True

        def read(self, size=-1):
            raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        pipeline(Broken())


def test_file_objects_return_bytes(pipeline, tmp_path):
    (tmp_path / "talk.txt").write_text("text")
    with open(tmp_path / "talk.txt") as file, pytest.raises(AudioError, match='talk.txt is opened as text: open it with mode "rb"'):
        pipeline(file)
    with pytest.raises(AudioError, match="is opened as text"):
        pipeline(io.StringIO("text"))
    for content in ("text", None):

        class Strange:
            def read(self, size):
                return content

        with pytest.raises(AudioError, match=r"stream: read\(\) returned \w+, not bytes: open the file in binary mode"):
            pipeline(Strange())


def test_problems_with_the_audio_are_warnings(pipeline, samples):
    waveform = (samples / 32768).astype("f4")
    waveform[0, 5_000] = 100
    with pytest.warns(DiarizationWarning, match="waveform: 1 sample is far beyond full scale"):
        result = pipeline({"waveform": waveform, "sample_rate": 16_000})
    assert "far beyond full scale" in result.warnings[0]


def test_silence_has_no_turns(pipeline):
    with pytest.warns(DiarizationWarning, match="waveform: nobody speaks"):
        result = pipeline({"waveform": numpy.zeros(160_000), "sample_rate": 16_000})
    assert result.warnings == ("nobody speaks",) and len(result) == 0
    assert len(result.speaker_diarization) == 0 and result.labels() == [] and result.to_rttm() == ""
    assert result.speaker_embeddings.shape == (0, 256)
    assert result.duration == 10.0


def test_an_array_that_changes_meanwhile_is_an_error(pipeline, samples):
    waveform = numpy.tile((samples[0] / 32768).astype("f4"), 8).copy()
    with pytest.raises(AudioError, match="the array was changed while it was read: give a copy of it"):
        pipeline({"waveform": waveform, "sample_rate": 16_000}, hook=lambda *_, **__: waveform.resize(100, refcheck=False))
