"""Scores against a reference."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Union

from . import _native
from ._annotation import Annotation, Turn, load_rttm, turn_of
from ._errors import FormatError, OptionError, expect, number_of, spans_of
from ._result import DiarizeOutput

Turns = Union[DiarizeOutput, Annotation, str, "os.PathLike[str]", Iterable[Any], Any]
"""A result, an annotation of this package or of ``pyannote.core``, the path of an RTTM file with one recording, what ``load_rttm``
returns for such a file, or tuples of start and end in seconds and a speaker."""


class Score(NamedTuple):
    """The score of one recording. Times are in seconds.

    - ``diarization_error_rate``: ``(missed_detection + false_alarm + confusion) / total``.
    - ``jaccard_error_rate``: the mean Jaccard error of the reference speakers.
    - ``total``: speech in the reference, summed over its speakers.
    - ``correct``: speech attributed to the right speaker.
    - ``missed_detection``: missed speech.
    - ``false_alarm``: speech found beyond what the reference has.
    - ``confusion``: speech attributed to the wrong speaker.
    - ``mapping``: maps each name in the reference to the matching name in the result.
    """

    diarization_error_rate: float
    jaccard_error_rate: float
    total: float
    correct: float
    missed_detection: float
    false_alarm: float
    confusion: float
    mapping: dict[str, str]


def score(
    reference: Turns,
    hypothesis: Turns,
    *,
    uem: Iterable[tuple[float, float]] | None = None,
    collar: float = 0.0,
    skip_overlap: bool = False,
) -> Score:
    """Compares a result with a reference. The numbers are those of ``pyannote.metrics``.

    :param reference: who really speaks when, see :data:`Turns`
    :param hypothesis: the result
    :param uem: the spans to be scored, in seconds; by default the whole recording
    :param collar: width in seconds of the unscored collar around each start and end of a reference turn, half on either side
    :param skip_overlap: does not score where reference turns overlap
    """
    collar = number_of("collar", collar)
    if not 0.0 <= collar < float("inf"):
        raise OptionError(f"collar is {collar}, but must be a non-negative number of seconds")
    expect("skip_overlap", skip_overlap, bool, "True or False")
    spans = None if uem is None else spans_of("uem", uem)
    for start, end in spans or ():
        if not start < end:  # also not a number
            raise OptionError(f"uem contains {start} to {end}, but a span must end after its start")
    return Score(**_native.score(_turns(reference), _turns(hypothesis), spans, collar, skip_overlap))


def mapped(reference: Turns, hypothesis: Turns) -> tuple[Annotation, dict[str, str]]:
    """The hypothesis with the names of the reference, and the name in the reference by that in the hypothesis."""
    names = {found: name for name, found in score(reference, hypothesis).mapping.items()}
    uri = getattr(hypothesis, "uri", None)
    return Annotation(_turns(hypothesis), uri or "recording").rename_labels(names), names


def _turns(turns: Turns) -> list[Turn]:
    if isinstance(turns, DiarizeOutput):
        turns = turns.speaker_diarization
    where = ""
    if isinstance(turns, (str, os.PathLike)):
        where, turns = f"{os.fspath(turns)}: ", load_rttm(turns)
    if isinstance(turns, Mapping):
        if len(turns) != 1:
            hint = f"choose one of load_rttm, such as {next(iter(turns))!r}" if turns else "there must be one"
            raise FormatError(f"{where}{len(turns)} recordings are given: {hint}")
        (turns,) = turns.values()
    if isinstance(turns, Annotation):
        return list(turns.turns)
    if hasattr(turns, "itertracks"):
        tracks = turns.itertracks(yield_label=True)
        return [Turn(segment.start, segment.end, str(speaker)) for segment, _, speaker in tracks]
    if not isinstance(turns, Iterable):
        kind = type(turns).__name__
        raise FormatError(f"{kind} has no turns: give a result, an annotation, the path of an RTTM file, or a list of turns")
    return [turn_of(turn) for turn in turns]
