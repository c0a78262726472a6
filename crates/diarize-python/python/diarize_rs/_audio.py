"""Recordings as callers name them."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from contextlib import contextmanager, suppress
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Union

from . import _native
from ._errors import AudioError, DiarizationWarning, OptionError, expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy
    from numpy.typing import NDArray

AudioFile = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, BinaryIO, Mapping[str, Any]]
"""A path, the content of a file, a file object, or a dictionary. The dictionary has either ``audio``, which is one of the
others, or ``waveform`` and ``sample_rate``; optionally, it has ``uri`` (a name), ``channel`` (only this one, from 0) and
``keep_damaged`` (accepts a file of which more than 5 % cannot be decoded)."""


_URL = re.compile("[a-z]+://", re.IGNORECASE)


class Recording(NamedTuple):
    """A recording that can be read."""

    source: _native.Source
    uri: str
    """Name of the recording."""
    file: dict[str, Any]
    """The recording for hooks."""


@contextmanager
def opened(file: AudioFile, twice: bool = False) -> Iterator[Recording]:
    """The recording. A file object that can seek is back at its position afterwards. If the recording is needed ``twice``, what a
    file object returns is kept."""
    settings = dict(file) if isinstance(file, Mapping) else {"audio": file}
    audio: Any = settings.get("audio")
    position = audio.tell() if _is_seekable(audio) else None
    try:
        yield _recording(settings, twice)
    finally:
        if position is not None:
            with suppress(Exception):  # a failure here must not hide a result or an error
                audio.seek(position)


def warn(uri: str, sentences: Iterable[str], stacklevel: int) -> None:
    """Warns about a recording."""
    for sentence in sentences:
        warnings.warn(f"{uri}: {sentence}", DiarizationWarning, stacklevel=stacklevel + 1)


def load_audio(file: AudioFile) -> tuple[NDArray[numpy.float32], int]:
    """Reads a whole recording as the pipeline hears it, like pyannote's ``Audio(sample_rate=16000, mono="downmix")``.

    :param file: as in a call of a pipeline
    :returns: samples ``(1, sample)`` with full scale at ±1, and their rate, 16000 Hz
    :raises AudioError: if the audio cannot be read
    """
    with opened(file) as recording:
        samples, problems = recording.source.decode_all()
        warn(recording.uri, problems, 2)
    return samples, 16_000


def array_of(waveform: Any) -> NDArray[Any]:
    """The samples as an array of NumPy, without a copy if possible."""
    import numpy

    if isinstance(waveform, (bytes, bytearray)):
        raise AudioError("the samples are bytes, but must be an array: use numpy.frombuffer(content, dtype)")

    if hasattr(waveform, "detach"):  # a tensor of PyTorch
        waveform = waveform.detach().cpu()
        waveform = (waveform.float() if waveform.dtype.itemsize < 4 and waveform.is_floating_point() else waveform).numpy()
    elif hasattr(waveform, "__dlpack__") and not hasattr(waveform, "__array__"):
        waveform = numpy.from_dlpack(waveform)
    try:
        array = numpy.asarray(waveform)
    except ValueError as error:
        raise AudioError(f"the samples are no array (channel, sample) or (sample,): {error}") from error
    if array.dtype == numpy.float16:
        array = array.astype(numpy.float32)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def rate_of(sample_rate: Any) -> int:
    """A sample rate in hertz."""
    try:
        rate = index(sample_rate)
    except TypeError:
        rate = 0
    if not 1000 <= rate <= 768_000:
        raise AudioError(f"sample_rate is {sample_rate!r:.100}, but must be a whole number of hertz from 1000 to 768000")
    return rate


def is_recording(file: object) -> bool:
    """Whether it is one recording, not several."""
    return isinstance(file, (str, os.PathLike, bytes, bytearray, memoryview, Mapping)) or hasattr(file, "read")


def printable(name: str) -> str:
    """The name with ``�`` in place of each byte that is not UTF-8, which Python represents as a lone surrogate."""
    return name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _channel(channel: Any) -> int | None:
    if channel is not None and (isinstance(channel, bool) or not hasattr(channel, "__index__") or not 0 <= channel < 2**16):
        raise OptionError(f"channel is {channel!r:.100}, but must be a whole number below 65536; the first channel is 0")
    return None if channel is None else index(channel)


def _recording(settings: dict[str, Any], twice: bool) -> Recording:
    channel, uri = _channel(settings.get("channel")), settings.get("uri")
    if uri is not None:
        expect("uri", uri, str, "text")
        uri = printable(uri)
    keep_damaged = bool(settings.get("keep_damaged", False))
    if "waveform" in settings:
        rate = rate_of(settings.get("sample_rate"))
        array, uri = array_of(settings["waveform"]), uri or "waveform"
        source = _native.Source.samples(array, rate, uri, channel)
        return Recording(source, uri, {**settings, "uri": uri})
    if "audio" not in settings:
        raise AudioError(
            'the dictionary has neither "audio" nor "waveform": give {"audio": file} with a path, bytes or a binary file object, '
            'or {"waveform": array, "sample_rate": hertz}'
        )
    audio: Any = settings["audio"]
    if isinstance(audio, (str, os.PathLike)):
        if audio == "":
            raise AudioError("the path is empty: give the path of a recording")
        if isinstance(audio, str) and _URL.match(audio):
            raise AudioError(f"{printable(audio)} is a URL: download the recording first")
        path = Path(audio)
        try:
            source = _native.Source.path(path, printable(str(path)), channel, keep_damaged)
        except UnicodeEncodeError:
            raise AudioError(f"{printable(str(path))}: its name cannot be one of a file: check the path") from None
        uri = uri or printable(path.stem)
    elif isinstance(audio, (bytes, bytearray, memoryview)):
        uri = uri or "audio"
        source = _native.Source.bytes(bytes(audio), uri, channel, keep_damaged)
    elif isinstance(audio, io.TextIOBase):
        raise AudioError(f"{getattr(audio, 'name', 'the file object')} is opened as text: open it with mode \"rb\"")
    elif hasattr(audio, "read"):
        name = getattr(audio, "name", None)
        uri = uri or (printable(Path(name).stem) if isinstance(name, str) else "stream")
        source = _native.Source.file(audio, uri, channel, keep_damaged, twice)
    else:
        several = isinstance(audio, Iterable) and not hasattr(audio, "__array__")
        instead = "use map(files) for several recordings, or " if several else ""
        raise AudioError(
            f"{type(audio).__name__} is not a recording: {instead}give a path, bytes, a binary file object, or a dictionary "
            '{"waveform": array, "sample_rate": hertz}'
        )
    return Recording(source, uri, {**settings, "uri": uri})


def _is_seekable(audio: Any) -> bool:
    has_position = all(hasattr(audio, name) for name in ("read", "seek", "seekable", "tell"))
    return has_position and not isinstance(audio, type) and audio.seekable()
