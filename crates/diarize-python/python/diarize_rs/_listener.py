"""Recordings that arrive in blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _native
from ._audio import array_of, printable, rate_of, warn
from ._errors import expect
from ._hooks import Hook, listening
from ._result import DiarizeOutput
from ._voices import model_of

if TYPE_CHECKING:
    from ._pipeline import Pipeline


class Listener:
    """Diarizes a recording as it arrives::

        listener = Listener(pipeline, sample_rate=48_000)
        for block in microphone:
            listener.push(block)
            print(listener.provisional())
        result = listener.finish()

    The result is bit-identical however the samples are split into blocks. A call runs the networks when enough samples wait, and
    takes longer then; fewer ``threads`` of the pipeline shorten the wait. After an error, a listener has ended.
    """

    __slots__ = ("_dimension", "_hear", "_native", "_uri")

    def __init__(
        self,
        pipeline: Pipeline,
        sample_rate: int = 16_000,
        num_speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        *,
        uri: str = "stream",
        hook: Hook | None = None,
    ) -> None:
        """
        :param sample_rate: of the blocks, in hertz
        :param num_speakers: the number of speakers, if known
        :param min_speakers: the minimum number of speakers
        :param max_speakers: the maximum number of speakers
        :param uri: name of the recording
        :param hook: as in a call of a pipeline
        """
        model = model_of(pipeline)
        options = pipeline._options_for(num_speakers, min_speakers, max_speakers)
        expect("uri", uri, str, "text")
        self._hear = listening(hook, {"uri": uri})
        self._native = _native.Listener(model, options, rate_of(sample_rate))
        self._dimension = model.dimension
        self._uri = printable(uri)

    def push(self, samples: Any) -> None:
        """Takes the next samples ``(channel, sample)`` or ``(sample,)``, of any length: float32 or float64 with full scale at ±1,
        or int16."""
        self._native.push(array_of(samples), self._hear)

    @property
    def seconds(self) -> float:
        """Seconds of audio received."""
        return self._native.seconds

    def provisional(self) -> DiarizeOutput:
        """The result as if the recording ended here. All of it may still change, including the number of speakers and their labels.

        Each call runs the networks on all samples that still wait and clusters all embeddings again, so it takes longer as the
        recording grows.
        """
        return DiarizeOutput(self._native.provisional(self._hear), self._uri, self._dimension)

    def finish(self) -> DiarizeOutput:
        """Ends the recording and returns the result."""
        result = DiarizeOutput(self._native.finish(self._hear), self._uri, self._dimension)
        warn(self._uri, result.warnings, 2)
        return result
