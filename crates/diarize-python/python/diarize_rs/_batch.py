"""Many recordings at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import TypeVar

from . import _native
from ._audio import is_recording
from ._errors import OptionError, count_of

File = TypeVar("File")
Result = TypeVar("Result")


def map_files(
    work: Callable[[File, _native.Stop], Result], files: Iterable[File], batch: int
) -> Iterator[tuple[File, Result | Exception]]:
    """Yields each file with its result, or with its error, as they finish. ``batch`` files are at work at a time, also while
    the caller works on a result. If the caller stops early, the files at work are cancelled.

    :param work: is called with a file and an object that cancels it
    """
    if is_recording(files) or not isinstance(files, Iterable):
        raise OptionError(f"files is {files!r:.100}, but must be a list or another iterable of recordings")
    return _mapped(work, iter(files), count_of("batch", batch))


def _mapped(
    work: Callable[[File, _native.Stop], Result], files: Iterator[File], batch: int
) -> Iterator[tuple[File, Result | Exception]]:
    stop = _native.Stop()
    finished: SimpleQueue[tuple[Thread, File, Result | BaseException]] = SimpleQueue()
    running: set[Thread] = set()
    is_exiting = sys.is_finalizing  # bound here, because Python clears modules when it exits

    def run(file: File) -> None:
        result: Result | BaseException
        try:
            result = work(file, stop)
        except BaseException as error:
            result = error
        finished.put((current_thread(), file, result))

    def begin(count: int) -> Exception | None:
        """Begins with files, and returns what the iterable raises."""
        try:
            for file in islice(files, count):
                # At exit, Python first waits for all threads that are not daemons, and then cancels calls.
                thread = Thread(target=run, args=(file,), name="diarize-map", daemon=True)
                thread.start()
                running.add(thread)
        except Exception as error:
            return error
        return None

    try:
        ended = begin(batch)
        while running:
            thread, file, result = finished.get()
            running.discard(thread)
            ended = ended or begin(1)
            if isinstance(result, BaseException) and not isinstance(result, Exception):
                raise result
            yield file, result
        if ended is not None:  # after the results of the files before it
            raise ended
    finally:
        stop.tell()
        for thread in () if is_exiting() else running:
            thread.join()
