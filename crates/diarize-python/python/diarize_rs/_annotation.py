"""Who speaks when, with the names of ``pyannote.core``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from . import _native
from ._errors import MissingPackageError

if TYPE_CHECKING:
    import pandas

# Methods of pyannote.core's annotations that those of this package do not have.
_OF_PYANNOTE = frozenset({
    "co_iter", "copy", "crop", "discretize", "empty", "extrude", "get_labels", "get_overlap", "get_timeline", "get_tracks",
    "has_track", "label_coverage", "label_support", "label_timeline", "new_track", "rename_tracks", "relabel_tracks", "subset",
    "support", "to_lab", "update",
})


class Segment(NamedTuple):
    """A span of time."""

    start: float
    """In seconds from the start of the recording."""
    end: float
    """In seconds from the start of the recording."""

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return max(0.0, self.end - self.start)

    @property
    def middle(self) -> float:
        """Middle in seconds."""
        return 0.5 * (self.start + self.end)

    def __str__(self) -> str:
        return f"[{_clock(self.start)} --> {_clock(self.end)}]"


class Turn(NamedTuple):
    """A span of time in which one speaker speaks."""

    start: float
    """In seconds from the start of the recording."""
    end: float
    """In seconds from the start of the recording."""
    speaker: str
    """Name of the speaker."""
    confidence: float | None = None
    """Estimated fraction of the turn actually spoken by this speaker, from 0 to 1."""

    @property
    def segment(self) -> Segment:
        """The span of time."""
        return Segment(self.start, self.end)


class Annotation:
    """The turns of one recording.

    It iterates over pairs of a :class:`Segment` and a speaker, as in pyannote 4, and :meth:`itertracks` is that of
    pyannote 3. :meth:`to_annotation` converts it to a real ``pyannote.core.Annotation``.
    """

    __slots__ = ("turns", "uri")

    turns: tuple[Turn, ...]
    """The turns, sorted by start, then by end."""
    uri: str
    """Name of the recording."""

    def __init__(self, turns: Iterable[Turn | tuple[float, float, str]] = (), uri: str = "recording") -> None:
        """:param turns: turns, or tuples of start and end in seconds and a speaker"""
        self.turns = tuple(sorted((Turn(*turn) for turn in turns), key=lambda turn: (turn.start, turn.end)))
        self.uri = uri

    def __iter__(self) -> Iterator[tuple[Segment, str]]:
        for turn in self.turns:
            yield turn.segment, turn.speaker

    def __len__(self) -> int:
        return len(self.turns)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Annotation) and self.turns == other.turns

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return "\n".join(
            f"{segment} {track} {speaker}" for segment, track, speaker in self.itertracks(yield_label=True)
        )

    def __repr__(self) -> str:
        return f"<Annotation of {self.uri}: {len(self)} turns of {len(self.labels())} speakers>"

    def _repr_png_(self) -> Any:
        """The picture that notebooks show; ``None`` without pyannote.core and Matplotlib, which draw it."""
        try:
            return self.to_annotation()._repr_png_()
        except ImportError:
            return None

    def itertracks(self, yield_label: bool = False) -> Iterator[Any]:
        """Iterates over the turns as pyannote 3 does.

        :param yield_label: yields ``(segment, track, speaker)`` instead of ``(segment, track)``
        """
        for turn, track in zip(self.turns, _tracks()):
            yield (turn.segment, track, turn.speaker) if yield_label else (turn.segment, track)

    def itersegments(self) -> Iterator[Segment]:
        """Iterates over the spans of the turns."""
        return (turn.segment for turn in self.turns)

    def labels(self) -> list[str]:
        """The speakers, in alphabetical order."""
        return sorted({turn.speaker for turn in self.turns})

    def label_duration(self, label: str) -> float:
        """Total length of a speaker's turns in seconds."""
        return sum(turn.end - turn.start for turn in self.turns if turn.speaker == label)

    def chart(self) -> list[tuple[str, float]]:
        """The speakers with their seconds, the one who speaks most first."""
        return sorted(((label, self.label_duration(label)) for label in self.labels()), key=lambda pair: -pair[1])

    def argmax(self) -> str | None:
        """The speaker who speaks most; ``None`` if nobody speaks."""
        return next((label for label, _ in self.chart()), None)

    def rename_labels(self, mapping: Mapping[str, str]) -> Annotation:
        """A copy with other names of speakers.

        :param mapping: new names by old ones; other speakers keep theirs
        """
        renamed = (turn._replace(speaker=mapping.get(turn.speaker, turn.speaker)) for turn in self.turns)
        return Annotation(renamed, self.uri)

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            raise missing(self, name)

    def to_rttm(self) -> str:
        """The turns as RTTM: one line for each, times in seconds. White space in names becomes ``_``."""
        return _native.rttm(self.uri, list(self.turns))

    def write_rttm(self, file: TextIO) -> None:
        """Writes the turns as RTTM to an open text file."""
        file.write(self.to_rttm())

    def to_dataframe(self) -> pandas.DataFrame:
        """The turns as a table with the columns of :meth:`records`. Needs pandas."""
        try:
            import pandas
        except ImportError as error:
            raise MissingPackageError("to_dataframe needs pandas: `pip install pandas`") from error
        return pandas.DataFrame(self.records(), columns=list(COLUMNS))

    def records(self) -> list[dict[str, Any]]:
        """A dictionary for each turn: ``file``, ``start``, ``end``, ``speaker``, ``confidence`` and ``overlap``, the seconds
        of the turn in which somebody else speaks too."""
        overlaps = _native.overlaps(list(self.turns))
        return [
            dict(zip(COLUMNS, (self.uri, *turn, overlap))) for turn, overlap in zip(self.turns, overlaps)
        ]

    def to_annotation(self) -> Any:
        """A real ``pyannote.core.Annotation``. Needs pyannote.core."""
        try:
            from pyannote.core import Annotation as PyannoteAnnotation
            from pyannote.core import Segment as PyannoteSegment
        except ImportError as error:
            raise MissingPackageError("to_annotation needs pyannote.core: `pip install pyannote.core`") from error
        annotation = PyannoteAnnotation(uri=self.uri)
        for segment, track, speaker in self.itertracks(yield_label=True):
            annotation[PyannoteSegment(segment.start, segment.end), track] = speaker
        return annotation


def missing(owner: object, name: str) -> AttributeError:
    """The error about an attribute that a result or an annotation does not have."""
    hint = f": use to_annotation().{name}, which is pyannote.core's" if name in _OF_PYANNOTE else ""
    return AttributeError(f"{type(owner).__name__} has no {name}{hint}", name=name, obj=owner)


COLUMNS = ("file", "start", "end", "speaker", "confidence", "overlap")


def load_rttm(path: str | os.PathLike[str]) -> dict[str, Annotation]:
    """Reads an RTTM file: the turns of each recording, by its name."""
    with open(path, encoding="utf-8-sig") as file:
        recordings = _native.parse_rttm(file.read())
    return {uri: Annotation((Turn(*turn) for turn in turns), uri) for uri, turns in recordings}


def _tracks() -> Iterator[str]:
    """A, B, …, Z, AA, AB, …"""
    for number in count():
        name = ""
        number += 1
        while number > 0:
            number, letter = divmod(number - 1, 26)
            name = chr(ord("A") + letter) + name
        yield name


def _clock(seconds: float) -> str:
    """Hours, minutes, seconds and milliseconds, which are cut off as in pyannote."""
    milliseconds = round(abs(seconds) * 1e6) // 1000
    minutes, rest = divmod(milliseconds, 60_000)
    sign = "-" if seconds < 0 else " "
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"
