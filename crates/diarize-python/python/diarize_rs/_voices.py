"""Known speakers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _native
from ._audio import AudioFile, opened, warn
from ._errors import expect

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    from ._pipeline import Pipeline


class Voice(NamedTuple):
    """A stored voice.

    - ``embedding``: ``(dimension,)``: mean of the normalized embeddings.
    - ``seconds``: seconds of speech that it is based on.
    - ``recordings``: number of recordings that it is based on.
    """

    embedding: NDArray[numpy.float32]
    seconds: float
    recordings: int


class Voices:
    """Named voices. The file is that of ``diarize enroll``::

        voices = Voices(pipeline)
        voices.enroll("Ann", pipeline, "ann.wav")
        voices.save("speakers.safetensors")
        result = pipeline("meeting.mp3", voices=voices)
    """

    __slots__ = ("_native",)

    def __init__(self, pipeline: Pipeline) -> None:
        """No voices yet, of the pipeline's model. Voices of different models cannot be compared."""
        self._native = _native.Voices.empty(model_of(pipeline))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Voices:
        """Reads a file that :meth:`save` or ``diarize enroll`` has written."""
        return cls._of(_native.Voices.load(os.fspath(path)))

    @classmethod
    def _of(cls, native: _native.Voices) -> Voices:
        voices = cls.__new__(cls)
        voices._native = native
        return voices

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a file. If that fails, the old file is unchanged."""
        self._native.save(os.fspath(path))

    def enroll(self, name: str, pipeline: Pipeline, file: AudioFile, *, anyway: bool = False) -> float:
        """Adds the voice in a recording to what is known of a person. Ten seconds or more of a single voice work best.

        :param name: the person's name, as it should appear in results
        :param pipeline: computes the embedding; its model must be that of the voices
        :param file: as in a call of a pipeline
        :param anyway: accepts a recording in which several people seem to speak
        :returns: seconds of speech; there is a warning if they are few, or if the voice sounds like that of somebody else
        :raises VoicesError: if several people speak, or hardly anybody
        """
        expect("name", name, str, "text")
        model = model_of(pipeline)
        with opened(file, twice=True) as recording:
            embedding, seconds, warnings = self._native.hear(name, model, recording.source, pipeline._options, anyway)
            warn(recording.uri, warnings, 2)  # before the voice is added, because a filter can raise it
            self._native.add(name, embedding, seconds)
        return seconds

    def remove(self, name: str) -> None:
        """Removes a person.

        :raises KeyError: if nobody is called so
        """
        if not self._native.remove(name):
            raise KeyError(name)

    @property
    def model(self) -> str:
        """The name of the model."""
        return self._native.model

    def __getitem__(self, name: str) -> Voice:
        import numpy

        embedding, seconds, recordings = self._native.people()[name]
        return Voice(numpy.frombuffer(embedding, numpy.float32), seconds, recordings)

    def __iter__(self) -> Iterator[str]:
        return iter(self._native.people())

    def __len__(self) -> int:
        return len(self._native.people())

    def __contains__(self, name: object) -> bool:
        return name in self._native.people()

    def __repr__(self) -> str:
        return f"<Voices of the model {self.model}: {', '.join(self) or 'nobody'}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._native.content(),)


def model_of(pipeline: Pipeline) -> _native.Model:
    """The model of a pipeline."""
    from ._pipeline import Pipeline

    expect("pipeline", pipeline, Pipeline, "a Pipeline")
    return pipeline._model


def _restored(content: bytes) -> Voices:
    return Voices._of(_native.Voices.from_bytes(content, "pickled voices"))
