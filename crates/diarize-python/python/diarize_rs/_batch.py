"""Many recordings at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
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

    :param work: is called with a file and what cancels it
    """
    if is_recording(files) or not isinstance(files, Iterable):
        raise OptionError(f"files is {files!r:.100}, but must be a list or another iterable of recordings")
    return _mapped(work, iter(files), count_of("batch", batch))


def _mapped(
    work: Callable[[File, _native.Stop], Result], files: Iterator[File], batch: int
) -> Iterator[tuple[File, Result | Exception]]:
    stop = _native.Stop()
    pool = ThreadPoolExecutor(batch, thread_name_prefix="diarize-map")
    pending: dict[Future[Result], File] = {}
    ended: Exception | None = None

    def begin(count: int) -> Exception | None:
        """Begins with files, and returns what the iterable raises."""
        try:
            for file in islice(files, count):
                pending[pool.submit(work, file, stop)] = file
        except Exception as error:
            return error
        return None

    try:
        ended = begin(batch)
        while pending:
            done = next(iter(wait(pending, return_when=FIRST_COMPLETED).done))
            finished = pending.pop(done)
            ended = ended or begin(1)
            error = done.exception()
            if error is not None and not isinstance(error, Exception):
                raise error
            yield finished, done.result() if error is None else error
        if ended is not None:  # after the results of the files before it
            raise ended
    finally:
        stop.tell()
        pool.shutdown(wait=True, cancel_futures=True)
