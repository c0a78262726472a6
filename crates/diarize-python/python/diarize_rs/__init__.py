"""Speaker diarization, who speaks when, with the names of ``pyannote.audio`` and without torch::

    from diarize_rs import Pipeline

    pipeline = Pipeline.from_pretrained("bundled")
    result = pipeline("meeting.mp3")
    for turn, speaker in result.speaker_diarization:
        print(f"{turn.start:.1f} s to {turn.end:.1f} s: {speaker}")

- :class:`Pipeline` diarizes recordings, :class:`Listener` those that arrive in blocks.
- :class:`DiarizeOutput` is a result; its turns are an :class:`Annotation`.
- :class:`Voices` has known speakers, :func:`score` compares a result with a reference.
- :class:`ProgressHook` shows progress. Wrong input and failures are an :class:`Error`.
"""

import atexit

from . import _errors, _native
from ._annotation import Annotation, Segment, Turn, load_rttm
from ._audio import AudioFile, load_audio
from ._errors import (
    AudioError,
    AudioFileNotFoundError,
    CancelledError,
    ComputationError,
    DeviceError,
    DeviceMemoryError,
    DiarizationWarning,
    Error,
    FormatError,
    ListenerEndedError,
    MissingPackageError,
    ModelError,
    OptionError,
    RttmNotFoundError,
    VoicesError,
    VoicesNotFoundError,
)
from ._hooks import Hook, Hooks, ProgressHook, TimingHook
from ._listener import Listener
from ._pipeline import Pipeline
from ._result import DiarizeOutput, Speaker
from ._scoring import Score, score
from ._voices import Voice, Voices

__version__: str = _native.VERSION

_errors.refuse_subinterpreters()
# Ends the calls of daemon threads, which would crash after the interpreter has ended.
atexit.register(_native.end_calls)

__all__ = [
    "Annotation",
    "AudioError",
    "AudioFile",
    "AudioFileNotFoundError",
    "CancelledError",
    "ComputationError",
    "DeviceError",
    "DeviceMemoryError",
    "DiarizationWarning",
    "DiarizeOutput",
    "Error",
    "FormatError",
    "Hook",
    "Hooks",
    "Listener",
    "ListenerEndedError",
    "MissingPackageError",
    "ModelError",
    "OptionError",
    "Pipeline",
    "ProgressHook",
    "RttmNotFoundError",
    "Score",
    "Segment",
    "Speaker",
    "TimingHook",
    "Turn",
    "Voice",
    "Voices",
    "VoicesError",
    "VoicesNotFoundError",
    "devices",
    "load_audio",
    "load_rttm",
    "score",
]


def devices() -> list[str]:
    """Every device that this build and this machine support: ``cpu`` first, then GPUs such as ``cuda:0``."""
    return _native.devices()
