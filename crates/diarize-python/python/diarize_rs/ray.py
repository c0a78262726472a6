"""Corpora on Ray Data. Importing this module needs PyArrow, and using it in :func:`ray.data.Dataset.map_batches` needs Ray::

    import ray
    from diarize_rs.ray import Diarize

    files = ray.data.from_items([{"file": path} for path in paths])
    actors = ray.data.ActorPoolStrategy(size=2)
    turns = files.map_batches(Diarize, compute=actors, num_cpus=4, batch_size=8)
    turns.write_parquet("turns")
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from ._annotation import COLUMNS
from ._audio import printable
from ._errors import OptionError
from ._pipeline import Pipeline
from ._result import DiarizeOutput

_FIELDS: list[Any] = [
    pa.field("file", pa.string()),
    pa.field("start", pa.float64()),
    pa.field("end", pa.float64()),
    pa.field("speaker", pa.string()),
    pa.field("confidence", pa.float64()),
    pa.field("overlap", pa.float64()),
    pa.field("error", pa.string()),
]

TURNS = pa.schema(_FIELDS)
"""A row for each turn: times in seconds, and ``overlap`` as the seconds in which somebody else speaks too. A file that failed has one
row with its ``error`` alone, and a file in which nobody speaks has one row with nothing but its name."""


class Diarize:
    """A callable class for :func:`ray.data.Dataset.map_batches`. Each actor loads the model once.

    It takes a column of paths, or a column of the contents of files (as :func:`ray.data.read_binary_files` returns them), and returns
    the rows of :data:`TURNS`. A file that cannot be diarized is never an exception, but a row with its ``error``.
    """

    def __init__(
        self,
        model: str = "bundled",
        *,
        file: str = "file",
        content: str | None = None,
        device: str = "auto",
        threads: int | None = None,
        batch: int | None = None,
        num_speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        **options: Any,
    ) -> None:
        """
        :param model: as in :meth:`Pipeline.from_pretrained`, which also takes ``options``
        :param file: the column with paths or names
        :param content: the column with the contents of files; by default, files are read from their paths
        :param device: with ``num_gpus=1``, ``auto`` is the GPU that Ray gives to the actor
        :param threads: processor threads; by default those that Ray gives to the actor (``num_cpus``)
        :param batch: files at a time, as in :meth:`Pipeline.map`
        :param num_speakers: the number of speakers of each file, if known
        :param min_speakers: the minimum number of speakers
        :param max_speakers: the maximum number of speakers
        """
        threads = threads if threads is not None else assigned_threads()
        self.pipeline = Pipeline.from_pretrained(model, device=device, threads=threads, **options)
        self._columns = (file, content)
        self._batch = batch
        self._speakers: dict[str, Any] = {
            "num_speakers": num_speakers,
            "min_speakers": min_speakers,
            "max_speakers": max_speakers,
        }
        self.pipeline._model.check(self.pipeline._options_for(**self._speakers), None)

    def __call__(self, batch: Mapping[str, Any] | pa.Table) -> pa.Table:
        """The turns of the files of a batch."""
        return turns_table(self.results(batch))

    def results(self, batch: Mapping[str, Any] | pa.Table) -> Iterable[tuple[str, DiarizeOutput | Exception]]:
        """Each file of a batch with its result, or with the error that it failed with, as they finish."""
        file, content = self._columns
        names = _values(batch, file)
        audio = names if content is None else _values(batch, content)
        # The column `file` of the result is text.
        shown = [None if name is None else printable(name if isinstance(name, str) else f"{name!s:.100}") for name in names]
        recordings = [{"audio": each, "name": name} for each, name in zip(audio, shown)]
        for recording, result in self.pipeline.map(recordings, batch=self._batch, **self._speakers):
            yield recording["name"], result  # type: ignore[call-overload, index]


def turns_table(results: Iterable[tuple[str, DiarizeOutput | Exception]]) -> pa.Table:
    """The rows of :data:`TURNS` for files and their results."""
    rows: list[dict[str, Any]] = []
    for file, result in results:
        if isinstance(result, Exception):
            rows.append({"file": file, "error": f"{type(result).__name__}: {result}"})
        else:
            records = result.speaker_diarization.records() or [dict.fromkeys(COLUMNS)]
            rows.extend({**record, "file": file} for record in records)
    return pa.Table.from_pylist(rows, schema=TURNS)


def embeddings_table(results: Iterable[tuple[str, DiarizeOutput | Exception]], dimension: int) -> pa.Table:
    """A row for each speaker who has an embedding: ``file``, ``speaker``, ``duration`` in seconds and ``embedding``, a list of
    ``dimension`` float32."""
    rows: list[dict[str, Any]] = []
    for file, result in results:
        if isinstance(result, Exception):
            continue
        for speaker, embedding in zip(result.speakers, result._embeddings):
            if embedding is not None:
                values = memoryview(embedding).cast("f").tolist()
                rows.append(
                    {"file": file, "speaker": speaker.label, "duration": speaker.duration, "embedding": values}
                )
    fields: list[Any] = [
        pa.field("file", pa.string()),
        pa.field("speaker", pa.string()),
        pa.field("duration", pa.float64()),
        pa.field("embedding", pa.list_(pa.float32(), dimension)),
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def assigned_threads() -> int | None:
    """The processor threads that Ray gives to this worker; ``None`` outside of a worker."""
    try:
        import ray
    except ImportError:
        return None
    if not ray.is_initialized():
        return None
    context: Any = ray.get_runtime_context()
    if context.worker.mode != ray.WORKER_MODE:  # the program that uses Ray
        return None
    assigned = context.get_assigned_resources().get("CPU")
    return None if assigned is None else max(1, min(int(assigned), os.cpu_count() or 1))


def _values(batch: Mapping[str, Any] | pa.Table, column: str) -> list[Any]:
    names = batch.column_names if isinstance(batch, pa.Table) else list(batch)
    if column not in names:
        raise OptionError(f"there is no column `{column}`; the columns are {', '.join(names)}")
    return batch[column].to_pylist() if isinstance(batch, pa.Table) else list(batch[column])
