"""What the tests share. They run against the installed package."""

import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy
import pytest

import diarize_rs
from diarize_rs import Pipeline

ROOT = Path(__file__).parents[3]
RECORDING = ROOT / "tests/data/conversation.flac"
"""45.6 s of three people, at 16 kHz and 16 bits."""
PROGRAM = Path(sys.executable).with_name("diarize")


def run(*arguments, **options):
    """Runs the program that the package installs."""
    words = [str(word) for word in (PROGRAM, *arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, **options)


def write_wav(path, samples, rate):
    """Writes int16 samples ``(channel, sample)``."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.T.astype("<i2").tobytes())


def first_seconds(seconds):
    """The first seconds of the recording as int16 ``(1, sample)``."""
    waveform, rate = diarize_rs.load_audio(RECORDING)
    assert rate == 16_000 and waveform.dtype == numpy.float32 and waveform.shape[0] == 1
    scaled = waveform[:, : seconds * rate] * 32768
    assert numpy.array_equal(scaled, numpy.rint(scaled))
    return scaled.astype(numpy.int16)


FOLDER = tempfile.TemporaryDirectory()
SAMPLE = Path(FOLDER.name) / "conversation.wav"
"""The first 15 s of the recording, in which all three people speak."""
write_wav(SAMPLE, first_seconds(15), 16_000)


@pytest.fixture(scope="session")
def pipeline():
    return Pipeline.from_pretrained("bundled", device="cpu")


@pytest.fixture(scope="session")
def result(pipeline):
    return pipeline(SAMPLE)


@pytest.fixture(scope="session")
def printed():
    """What the program prints for the sample."""
    done = run("--device", "cpu", SAMPLE)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def samples():
    """The sample as int16 ``(1, sample)``."""
    return first_seconds(15)
