"""Hooks, which hear of the progress of a pipeline."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from time import perf_counter
from types import TracebackType
from typing import Any, TextIO

Hook = Callable[..., Any]
"""It is called as ``hook(step, artifact, file=..., total=..., completed=...)``, as in pyannote. ``step`` is
``segmentation``, ``speaker_counting``, ``embeddings`` or ``discrete_diarization``, and ``total`` and ``completed`` are numbers
of chunks. ``artifact`` is ``None``, except in the last call, where it is the :class:`Annotation`. An exception that a hook
raises cancels the pipeline."""

STEPS = {
    "segmentation": "segmentation",
    "speaker counting": "speaker_counting",
    "embeddings": "embeddings",
    "clustering": "discrete_diarization",
}


def listening(hook: Hook | None, file: Mapping[str, Any]) -> Callable[[str, int, int], None] | None:
    """What the native library calls for a hook."""
    if hook is None:
        return None

    def hear(stage: str, completed: int, total: int) -> None:
        hook(STEPS.get(stage, stage), None, file=file, total=total, completed=completed)

    return hear


class ProgressHook:
    """Shows the progress of a pipeline as bars in a terminal or a notebook::

        with ProgressHook() as hook:
            result = pipeline("meeting.mp3", hook=hook)

    Anywhere else, such as in a log, each step is one plain line once it is done.
    """

    def __init__(self, transient: bool = False, file: TextIO | None = None) -> None:
        """
        :param transient: removes the bars at the end; a log gets no lines
        :param file: where to write; by default the standard error
        """
        self._transient = transient
        self._file = file
        self._step = ""

    def __enter__(self) -> ProgressHook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._step and self._has_bars():
            self._write("\r\x1b[K" if self._transient else "\n")
        self._step = ""

    def __call__(
        self,
        step_name: str,
        step_artifact: Any,
        file: Mapping[str, Any] | None = None,
        total: int | None = None,
        completed: int | None = None,
    ) -> None:
        """Shows that ``completed`` of ``total`` chunks of a step are done."""
        share = 1.0 if not total or completed is None else min(1.0, completed / total)
        if self._has_bars():
            if self._step not in ("", step_name) and not self._transient:
                self._write("\n")
            self._step = step_name
            bar = "━" * round(30 * share)
            self._write(f"\r\x1b[K{step_name:<22}{bar:<30} {share:4.0%}")
        elif share < 1.0:
            self._step = ""
        elif self._step != step_name and not self._transient:
            # A step can report its end more than once.
            self._step = step_name
            self._write(f"{step_name}: done\n")

    def _has_bars(self) -> bool:
        file = self._file or sys.stderr
        # Loggers in place of the standard error often lack `isatty`. A notebook is not a terminal, but overwrites lines like one.
        is_terminal = hasattr(file, "isatty") and file.isatty()
        return is_terminal or type(file).__module__ == "ipykernel.iostream"

    def _write(self, text: str) -> None:
        file = self._file or sys.stderr
        file.write(text)
        file.flush()


class TimingHook:
    """Measures the seconds of each step, and in all: ``hook.seconds`` has them by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._begin = self._last = perf_counter()

    def __enter__(self) -> TimingHook:
        self.seconds = {}
        self._begin = self._last = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds["total"] = perf_counter() - self._begin

    def __call__(self, step_name: str, step_artifact: Any, **progress: Any) -> None:
        """Adds the time since the last call to a step."""
        now = perf_counter()
        self.seconds[step_name] = self.seconds.get(step_name, 0.0) + now - self._last
        self._last = now


class Hooks:
    """Several hooks at once: ``with Hooks(ProgressHook(), TimingHook()) as hook: ...``"""

    def __init__(self, *hooks: Any) -> None:
        self._hooks = hooks

    def __enter__(self) -> Hooks:
        for hook in self._hooks:
            if hasattr(hook, "__enter__"):
                hook.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hook in self._hooks:
            if hasattr(hook, "__exit__"):
                hook.__exit__(kind, error, trace)

    def __call__(self, step_name: str, step_artifact: Any, **progress: Any) -> None:
        """Calls every hook."""
        for hook in self._hooks:
            hook(step_name, step_artifact, **progress)
