"""Diarizes a corpus with Ray Data: a folder, or a Parquet list, becomes tables of turns and of embeddings, and RTTM by file.

    python corpus.py recordings/ results/ --workers 4 --cpus 4
    python corpus.py files.parquet results/ --workers 2 --gpus 1 --cpus 8 --batch 16

- ``results/turns/*.parquet``: the rows of ``diarize_rs.ray.TURNS``; each file has at least one
- ``results/embeddings/*.parquet``: file, speaker, duration, embedding
- ``results/rttm/FILE.rttm``

It can be stopped at any time: the next run with the same folder continues, and tries files that failed again. A worker that dies is
replaced by Ray. Files are written under the name of their batch, and the table of turns last, so nothing is lost or there twice.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray

from diarize_rs import DiarizeOutput
from diarize_rs.ray import Diarize, embeddings_table, turns_table

AUDIO = {".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".aac", ".webm", ".mkv", ".aiff", ".caf", ".au"}


class Corpus(Diarize):
    """Diarizes the files of a batch and writes the results. Returns a row for each file."""

    def __init__(self, root: str, output: str, **options: Any) -> None:
        super().__init__(**options)
        self.root, self.output = Path(root), Path(output)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        results = sorted(self.results({"file": [str(self.root / name) for name in batch["file"]]}), key=lambda pair: pair[0])
        named = [(os.path.relpath(file, self.root), result) for file, result in results]
        key = hashlib.sha256("\n".join(name for name, _ in named).encode()).hexdigest()[:16]
        for name, result in named:
            if isinstance(result, DiarizeOutput):
                write(self.output / "rttm" / f"{name}.rttm", result.to_rttm().encode())
        write_table(self.output / "embeddings" / f"{key}.parquet", embeddings_table(named, self.pipeline.embedding_dimension))
        write_table(self.output / "turns" / f"{key}.parquet", turns_table(named))
        errors = [str(result) if isinstance(result, Exception) else "" for _, result in named]
        seconds = [result.duration if isinstance(result, DiarizeOutput) else 0.0 for _, result in named]
        return {"file": [name for name, _ in named], "seconds": seconds, "error": errors}


def write(path: Path, content: bytes) -> None:
    """Writes a file in one step, so that nobody ever sees a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)


def write_table(path: Path, table: pa.Table) -> None:
    """Writes a table in one step."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write(path, sink.getvalue().to_pybytes())


def names_in(source: Path) -> tuple[Path, list[str]]:
    """The folder that names are relative to, and the names: audio files in a folder, or the column ``file`` of a table."""
    if source.is_dir():
        found: Iterator[Path] = (path for path in source.rglob("*") if path.suffix.lower() in AUDIO)
        return source, sorted(str(path.relative_to(source)) for path in found)
    names = pq.read_table(source, columns=["file"])["file"].to_pylist()
    return Path("/"), sorted({os.path.relpath(os.path.abspath(name), "/") for name in names})


def is_text(name: str) -> bool:
    """Whether the name of a file is UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def done_in(output: Path) -> set[str]:
    """The files that an earlier run has finished. What it left unfinished is removed, and so are the rows of files that failed."""
    done: set[str] = set()
    for path in (output / "turns").glob("*.parquet"):
        table = pq.read_table(path)
        rows = [row for row in table.to_pylist() if row["error"] is None]
        if len(rows) < len(table):
            write_table(path, pa.Table.from_pylist(rows, schema=table.schema))
        done.update(row["file"] for row in rows)
    for path in (output / "embeddings").glob("*.parquet"):
        if not (output / "turns" / path.name).exists():
            path.unlink()
    return done


def count(text: str) -> int:
    """A whole number of at least 1, from the command line."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} must be at least 1")
    return value


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns the exit code: 1 if a file failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder with recordings, or Parquet table with a column `file`")
    parser.add_argument("output", type=Path, help="folder for the results")
    parser.add_argument("--model", default="bundled", help="as in Pipeline.from_pretrained")
    parser.add_argument("--workers", type=count, default=1, help="number of actors; each loads the model")
    parser.add_argument("--cpus", type=float, default=1, help="processor threads of each actor")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs of each actor; 0.5 lets two share one")
    parser.add_argument("--batch", type=count, default=8, help="most files that are written together")
    given = parser.parse_args(arguments)
    root, names = names_in(given.source)
    output = given.output.absolute()
    done = done_in(output)
    unwritable = [name for name in names if not is_text(name)]
    for name in unwritable:
        print(f"{name!r}: its name is not UTF-8, which a table needs: rename it", file=sys.stderr)
    left = [name for name in names if name not in done and is_text(name)]
    print(f"{len(names)} files, {len(names) - len(left) - len(unwritable)} already done")
    if not left:
        return 1 if unwritable else 0
    # Each block is one batch. If there are enough files, every worker gets a block, and no block waits for a busy worker.
    blocks = max(-(-len(left) // given.batch), min(given.workers, len(left)))
    rows = ray.data.from_items([{"file": name} for name in left], override_num_blocks=blocks).map_batches(
        Corpus,
        fn_constructor_kwargs={"root": str(root.absolute()), "output": str(output), "model": given.model},
        compute=ray.data.ActorPoolStrategy(size=given.workers, max_tasks_in_flight_per_actor=1),
        num_cpus=given.cpus,
        num_gpus=given.gpus or None,
        batch_size=None,
    )
    hours, failed = 0.0, len(unwritable)
    for row in rows.iter_rows():
        hours += row["seconds"] / 3600
        if row["error"]:
            failed += 1
            print(f"{row['file']}: {row['error']}", file=sys.stderr)
    print(f"{len(left) + len(unwritable) - failed} files, {hours:.2f} hours of audio; {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
