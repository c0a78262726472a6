"""The exceptions of the package. Each message is a sentence that says what is wrong and what to do."""

from collections.abc import Iterable
from importlib import import_module
from operator import index
from typing import Any


class Error(Exception):
    """Any error of this package."""


class AudioError(Error):
    """The audio of a recording cannot be read."""


class AudioFileNotFoundError(AudioError, FileNotFoundError):
    """There is no such recording."""


class ModelError(Error):
    """A model cannot be found, downloaded or loaded."""


class OptionError(Error, ValueError):
    """An option or a parameter has a wrong value."""


class FormatError(Error, ValueError):
    """Text is not valid RTTM or UEM, or a name cannot be written in it."""


class RttmNotFoundError(FormatError, FileNotFoundError):
    """There is no such RTTM file."""


class DeviceError(Error, RuntimeError):
    """The device is not available, or failed."""


class DeviceMemoryError(DeviceError, MemoryError):
    """The device has too little memory."""


class ComputationError(Error, RuntimeError):
    """The computation failed."""


class CancelledError(Error):
    """The computation was cancelled."""


class ListenerEndedError(Error, RuntimeError):
    """The recording of a listener has ended."""


class VoicesError(Error):
    """Voices cannot be read, written, added or compared."""


class VoicesNotFoundError(VoicesError, FileNotFoundError):
    """There is no such file of voices."""


class MissingPackageError(Error, ImportError):
    """A function needs a package that is not installed."""


class DiarizationWarning(UserWarning):
    """The result, or how it is computed, differs from what was requested."""


def refuse_subinterpreters() -> None:
    """Raises ImportError in a subinterpreter, because its end would be taken for the end of the process."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # since and until Python 3.13
        try:
            interpreters = import_module(name)
        except ImportError:
            continue
        if interpreters.get_current() != interpreters.get_main():
            raise ImportError("diarize_rs cannot be imported in a subinterpreter: import it in the main interpreter")
        break


def count_of(option: str, value: Any, most: int = 2**32) -> int:
    """A whole number of at least 1."""
    try:
        count = None if isinstance(value, bool) else index(value)
    except TypeError:
        count = None
    if count is None or count < 1:
        raise OptionError(f"{option} is {value!r:.100}, but must be a whole number of at least 1")
    if count > most:
        raise OptionError(f"{option} is {value!r:.100}, but must be at most {most}")
    return count


def number_of(option: str, value: Any) -> float:
    """A number."""
    try:
        return float(value + 0)
    except (OverflowError, TypeError, ValueError):
        raise OptionError(f"{option} is {value!r:.100}, but must be a number") from None


def spans_of(option: str, spans: Iterable[Any]) -> list[tuple[float, float]]:
    """Start and end in seconds of segments or tuples."""
    try:
        return [(float(start), float(end)) for start, end in spans]
    except (OverflowError, TypeError, ValueError):
        raise OptionError(f"{option} is {spans!r:.100}, but must be a list of segments, or of start and end in seconds") from None


def expect(option: str, value: object, kind: type | tuple[type, ...], instead: str) -> None:
    """Fails if a value is not of a kind."""
    if not isinstance(value, kind):
        raise OptionError(f"{option} is {value!r:.100}, but must be {instead}")
