"""Who speaks when, with the names of ``pyannote.core``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sized
from itertools import count
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from . import _native
from ._errors import FormatError, MissingPackageError, OptionError

if TYPE_CHECKING:
    import pandas

# Methods of pyannote.core's annotations that those of this package do not have.
_OF_PYANNOTE = frozenset({
    "co_iter", "copy", "crop", "discretize", "empty", "extrude", "get_labels", "get_overlap", "get_timeline", "get_tracks",
    "has_track", "label_coverage", "label_support", "label_timeline", "new_track", "rename_tracks", "relabel_tracks", "subset",
    "support", "to_lab", "update",
})


# Seconds: spans that are not longer are empty, as in pyannote.core.
_PRECISION = 1e-6


class Segment(NamedTuple):
    """A span of time. Operators are those of pyannote.core's segments: ``in``, ``&`` (what both have), ``|`` (from the first
    start to the last end), ``^`` (the gap between two). A span of at most 1 µs is empty, that is false. Functions
    of pyannote.core need its own class: ``pyannote.core.Segment(*segment)``.

    - ``start`` and ``end``: in seconds from the start of the recording.
    """

    start: float = 0.0
    end: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.end - self.start > _PRECISION)

    def __contains__(self, other: object) -> bool:
        """Whether another segment lies within this one."""
        start, end = _span(other)
        return self.start <= start and end <= self.end

    # With an `__eq__` of its own, mypy accepts a segment before `in` and not only numbers.
    def __eq__(self, other: object) -> bool:
        return tuple.__eq__(self, other)

    def __hash__(self) -> int:
        return tuple.__hash__(self)

    def __and__(self, other: Segment) -> Segment:
        start, end = _span(other)
        return Segment(max(self.start, start), min(self.end, end))

    def __or__(self, other: Segment) -> Segment:
        other = Segment(*_span(other))
        if not (self and other):
            return self or other
        return Segment(min(self.start, other.start), max(self.end, other.end))

    def __xor__(self, other: Segment) -> Segment:
        other = Segment(*_span(other))
        if not (self and other):
            raise OptionError("an empty segment has no gap to another one: leave it out")
        return Segment(min(self.end, other.end), max(self.start, other.start))

    def intersects(self, other: Segment) -> bool:
        """Whether both have the same start, or the later one starts more than 1 µs before the earlier one ends."""
        first, second = sorted([_span(self), _span(other)])
        return first[0] == second[0] or second[0] < first[1] - _PRECISION

    def overlaps(self, t: float) -> bool:
        """Whether a time in seconds lies within it."""
        return self.start <= t <= self.end

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start if self else 0.0

    @property
    def middle(self) -> float:
        """Middle in seconds."""
        return 0.5 * (self.start + self.end)

    def __str__(self) -> str:
        return f"[{_clock(self.start)} --> {_clock(self.end)}]" if self else "[]"


class Turn(NamedTuple):
    """A span of time in which one speaker speaks.

    - ``start``: in seconds from the start of the recording.
    - ``end``: in seconds from the start of the recording.
    - ``speaker``: name of the speaker.
    - ``confidence``: estimated fraction of the turn actually spoken by this speaker, from 0 to 1.
    """

    start: float
    end: float
    speaker: str
    confidence: float | None = None

    @property
    def segment(self) -> Segment:
        """The span of time."""
        return Segment(self.start, self.end)


class Hints:
    """Errors that say what to use instead of what only pyannote.core's annotations have."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            hint = f": use to_annotation().{name}, which is pyannote.core's" if name in _OF_PYANNOTE else ""
            raise AttributeError(f"{type(self).__name__} has no {name}{hint}", name=name, obj=self)

        def __getitem__(self, *_):
            kind = type(self).__name__
            raise TypeError(f"{kind} has no items: use itertracks() for the turns, or to_annotation(), which is pyannote.core's")

        __setitem__ = __delitem__ = __getitem__


class Annotation(Hints):
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
        self.turns = tuple(sorted(map(turn_of, turns), key=lambda turn: (turn.start, turn.end)))
        self.uri = uri

    def __iter__(self) -> Iterator[tuple[Segment, str]]:
        for turn in self.turns:
            yield turn.segment, turn.speaker

    def __len__(self) -> int:
        return len(self.turns)

    def __contains__(self, segment: object) -> bool:
        """Whether a turn has exactly this span, as in pyannote; or whether there is this pair of a span and a speaker."""
        return any(segment in (turn.segment, (turn.segment, turn.speaker)) for turn in self.turns)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Annotation) and self.turns == other.turns

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return "\n".join(
            f"{segment} {track} {speaker}" for segment, track, speaker in self.itertracks(yield_label=True)
        )

    def __repr__(self) -> str:
        return f"<Annotation of {self.uri}: {counted(self.turns, self.labels())}>"

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

    def to_rttm(self) -> str:
        """The turns as RTTM: one line for each, times in seconds. White space in names becomes ``_``."""
        return _native.rttm(self.uri, list(self.turns))

    def write_rttm(self, file: TextIO) -> None:
        """Writes the turns as RTTM to an open text file."""
        if not hasattr(file, "write"):
            raise FormatError(f"{file!r:.100} is not an open text file: use open(path, \"w\")")
        file.write(self.to_rttm())

    def to_dataframe(self) -> pandas.DataFrame:
        """The turns as a table with the columns of :meth:`records`, where ``file`` is the name of the recording. Needs pandas."""
        try:
            import pandas
        except ImportError as error:
            raise MissingPackageError("to_dataframe needs pandas: `pip install pandas`") from error
        table = pandas.DataFrame(self.records(), columns=list(COLUMNS))
        # Without turns, pandas would give these columns the type `object`.
        return table.astype(dict.fromkeys(("start", "end", "confidence", "overlap"), "float64"))

    def records(self) -> list[dict[str, Any]]:
        """A dictionary for each turn: ``file``, ``start``, ``end``, ``speaker``, ``confidence`` and ``overlap``, the seconds
        of the turn in which somebody else speaks too. ``file`` is ``uri``, as in RTTM: the name without folder and extension.
        In this column, the program's CSV and Parquet have the path; to get it here too, pass ``{"audio": path, "uri": path}``."""
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


def counted(turns: Sized, speakers: Sized) -> str:
    """For example ``1 turn of 1 speaker``."""
    words = (f"{len(each)} {name}{'' if len(each) == 1 else 's'}" for each, name in ((turns, "turn"), (speakers, "speaker")))
    return " of ".join(words)


def turn_of(turn: Any) -> Turn:
    """A turn from a turn, or from a tuple of start and end in seconds, a speaker and perhaps a confidence."""
    try:
        start, end, speaker, *rest = turn
        start, end = float(start), float(end)
        rest = [None if confidence is None else float(confidence) for confidence in rest]
        right = isfinite(start) and isfinite(end) and start <= end and isinstance(speaker, (str, int)) and len(rest) <= 1
    except (OverflowError, TypeError, ValueError):
        right = False
    if not right:
        instead = "give start and end in seconds, a speaker, and perhaps a confidence"
        raise FormatError(f"{turn!r:.100} is not a turn: {instead}")
    return Turn(start, end, str(speaker), *rest)


COLUMNS = ("file", "start", "end", "speaker", "confidence", "overlap")


def load_rttm(path: str | os.PathLike[str]) -> dict[str, Annotation]:
    """Reads an RTTM file: the turns of each recording, by its name.

    :raises RttmNotFoundError: if there is no such file
    :raises FormatError: if it cannot be read or is not RTTM
    """
    name = os.fspath(path)
    if "\n" in name:
        raise FormatError("RTTM itself is given instead of the path of a file: save it first, or use the result")
    recordings = _native.read_rttm(name)
    return {uri: Annotation((Turn(*turn) for turn in turns), uri) for uri, turns in recordings}


def _span(segment: Any) -> tuple[float, float]:
    """Start and end of a segment of this package or of pyannote.core."""
    try:
        return segment.start, segment.end
    except AttributeError:
        raise OptionError(f"{segment!r} is not a Segment; for a time, use overlaps(seconds)") from None


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
