"""Many recordings at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from ._errors import OptionError

File = TypeVar("File")
Result = TypeVar("Result")


def map_files(
    work: Callable[[File], Result], files: Iterable[File], batch: int
) -> Iterator[tuple[File, Result | Exception]]:
    """Yields each file with its result, or with its error, as they are done. Only ``batch`` files are open at a time."""
    if batch < 1:
        raise OptionError(f"batch is {batch}, but must be at least 1")
    return _mapped(work, iter(files), batch)


def _mapped(
    work: Callable[[File], Result], files: Iterator[File], batch: int
) -> Iterator[tuple[File, Result | Exception]]:
    pending: dict[Future[Result], File] = {}
    pool = ThreadPoolExecutor(batch, thread_name_prefix="diarize-map")
    try:
        while True:
            while len(pending) < batch:
                try:
                    file = next(files)
                except StopIteration:
                    break
                pending[pool.submit(work, file)] = file
            if not pending:
                return
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                file = pending.pop(future)
                error = future.exception()
                if error is not None and not isinstance(error, Exception):
                    raise error
                yield file, future.result() if error is None else error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
