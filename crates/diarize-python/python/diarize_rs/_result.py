"""The result of a pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from ._annotation import Annotation, Hints, Segment, Turn, counted

if TYPE_CHECKING:
    import numpy
    import pandas
    from numpy.typing import NDArray

    from ._native import Found


class Speaker(NamedTuple):
    """One speaker of a recording.

    - ``label``: the name in the turns.
    - ``duration``: total length of this speaker's turns in seconds.
    - ``confidence``: estimated fraction of that time actually spoken by this speaker, from 0 to 1.
    - ``similarity``: cosine similarity to the known voice that gave the name.
    """

    label: str
    duration: float
    confidence: float | None
    similarity: float | None


class DiarizeOutput(Hints):
    """Who speaks when in one recording. The names are those of pyannote 4; those of pyannote 3's ``Annotation`` that
    are used most work here, too.

    - ``speaker_diarization``: the turns. Turns of different speakers may overlap.
    - ``exclusive_speaker_diarization``: the turns if only one speaker may speak at a time, for words of a transcript.
    - ``speakers``: the speakers, in the order of ``speaker_embeddings``.
    - ``duration``: length of the recording in seconds.
    - ``warnings``: problems with the audio, and ways in which the result differs from what was requested.
    """

    speaker_diarization: Annotation
    exclusive_speaker_diarization: Annotation
    speakers: tuple[Speaker, ...]
    duration: float
    warnings: tuple[str, ...]

    def __init__(self, found: Found, uri: str, dimension: int) -> None:
        self.speaker_diarization = Annotation((Turn(*turn) for turn in found["turns"]), uri)
        self.exclusive_speaker_diarization = Annotation((Turn(*turn) for turn in found["exclusive"]), uri)
        similarities = found["similarities"]
        self.speakers = tuple(
            Speaker(label, duration, confidence, similarities.get(label))
            for label, duration, confidence, _ in found["speakers"]
        )
        self.duration = found["duration"]
        self.warnings = tuple(found["warnings"])
        self._embeddings = [embedding for _, _, _, embedding in found["speakers"]]
        self._dimension = dimension

    @property
    def uri(self) -> str:
        """Name of the recording."""
        return self.speaker_diarization.uri

    @uri.setter
    def uri(self, uri: str) -> None:
        self.speaker_diarization.uri = self.exclusive_speaker_diarization.uri = uri

    @property
    def speaker_embeddings(self) -> NDArray[numpy.float32] | None:
        """``(speaker, dimension)``: the mean embedding of each speaker, not normalized, in the order of ``speakers``. Zeros
        for a speaker who has none. ``None`` if no embeddings were needed, because one speaker was requested."""
        import numpy

        if self._embeddings and not any(self._embeddings):
            return None
        zeros = bytes(4 * self._dimension)
        content = b"".join(embedding or zeros for embedding in self._embeddings)
        return numpy.frombuffer(bytearray(content), numpy.float32).reshape(-1, self._dimension)

    def __len__(self) -> int:
        return len(self.speaker_diarization)

    def __repr__(self) -> str:
        turns = counted(self.speaker_diarization.turns, self.speakers)
        return f"<DiarizeOutput of {self.uri}: {turns} in {self.duration:.1f} s>"

    def __str__(self) -> str:
        return str(self.speaker_diarization)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DiarizeOutput) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def _repr_png_(self) -> Any:
        return self.speaker_diarization._repr_png_()

    def itertracks(self, yield_label: bool = False) -> Iterator[Any]:
        """As :meth:`Annotation.itertracks`."""
        return self.speaker_diarization.itertracks(yield_label)

    def itersegments(self) -> Iterator[Segment]:
        """As :meth:`Annotation.itersegments`."""
        return self.speaker_diarization.itersegments()

    def labels(self) -> list[str]:
        """As :meth:`Annotation.labels`."""
        return self.speaker_diarization.labels()

    def label_duration(self, label: str) -> float:
        """As :meth:`Annotation.label_duration`."""
        return self.speaker_diarization.label_duration(label)

    def chart(self) -> list[tuple[str, float]]:
        """As :meth:`Annotation.chart`."""
        return self.speaker_diarization.chart()

    def argmax(self) -> str | None:
        """As :meth:`Annotation.argmax`."""
        return self.speaker_diarization.argmax()

    def rename_labels(self, mapping: Mapping[str, str]) -> Annotation:
        """As :meth:`Annotation.rename_labels`: a copy of the turns."""
        return self.speaker_diarization.rename_labels(mapping)

    def to_rttm(self) -> str:
        """As :meth:`Annotation.to_rttm`. It is what ``diarize RECORDING`` prints."""
        return self.speaker_diarization.to_rttm()

    def write_rttm(self, file: TextIO) -> None:
        """As :meth:`Annotation.write_rttm`."""
        self.speaker_diarization.write_rttm(file)

    def to_dataframe(self) -> pandas.DataFrame:
        """As :meth:`Annotation.to_dataframe`."""
        return self.speaker_diarization.to_dataframe()

    def to_annotation(self) -> Any:
        """As :meth:`Annotation.to_annotation`."""
        return self.speaker_diarization.to_annotation()

    def serialize(self) -> dict[str, list[dict[str, Any]]]:
        """Both annotations as plain data, times in seconds rounded to milliseconds."""

        def rounded(annotation: Annotation) -> list[dict[str, Any]]:
            return [
                {"start": round(turn.start, 3), "end": round(turn.end, 3), "speaker": turn.speaker}
                for turn in annotation.turns
            ]

        return {
            "diarization": rounded(self.speaker_diarization),
            "exclusive_diarization": rounded(self.exclusive_speaker_diarization),
        }
