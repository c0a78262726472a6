"""The exceptions of the package. Each message is a sentence that says what is wrong and what to do."""


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
