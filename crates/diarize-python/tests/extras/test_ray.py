"""Corpora on Ray Data, with several workers."""

import importlib.util
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
from conftest import SAMPLE, write_wav

from diarize_rs import OptionError
from diarize_rs.ray import TURNS, Diarize

pytestmark = pytest.mark.filterwarnings("ignore")
EXAMPLE = Path(__file__).parents[2] / "examples/corpus.py"


@pytest.fixture(scope="module")
def corpus():
    spec = importlib.util.spec_from_file_location("corpus", EXAMPLE)
    module = sys.modules["corpus"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    ray.cloudpickle.register_pickle_by_value(module)
    return module


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def folder(samples, tmp_path_factory):
    """Twelve recordings in two folders, one of which is silent and one no audio."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "day").mkdir()
    for number in range(10):
        write_wav(folder / ("day" if number % 2 else "") / f"{number}.wav", samples[:, : (5 + number) * 16_000], 16_000)
    write_wav(folder / "silent.wav", numpy.zeros((1, 32_000)), 16_000)
    (folder / "broken.wav").write_bytes(b"RIFF, but no audio")
    return folder


def test_rows_without_ray(result):
    diarize = Diarize(device="cpu")
    table = diarize({"file": numpy.array([str(SAMPLE), "/no/such/file"])})
    assert table.schema == TURNS
    rows = {file: [row for row in table.to_pylist() if row["file"] == file] for file in (str(SAMPLE), "/no/such/file")}
    own = [{**record, "file": str(SAMPLE), "error": None} for record in result.speaker_diarization.records()]
    assert rows[str(SAMPLE)] == own
    (failed,) = rows["/no/such/file"]
    assert failed["error"].startswith("AudioFileNotFoundError: ") and failed["start"] is None
    contents = Diarize(device="cpu", file="path", content="bytes", num_speakers=2)
    table = contents(pa.table({"path": ["a.wav"], "bytes": [SAMPLE.read_bytes()]}))
    assert set(table["speaker"].to_pylist()) == {"SPEAKER_00", "SPEAKER_01"} and set(table["file"].to_pylist()) == {"a.wav"}
    with pytest.raises(OptionError, match="there is no column `file`; the columns are path"):
        diarize({"path": []})
    with pytest.raises(OptionError, match="num_speakers is 0"):
        Diarize(num_speakers=0)


def test_map_batches(cluster, printed):
    files = ray.data.from_items([{"file": str(SAMPLE)}, {"file": "/no/such/file"}, {"file": str(SAMPLE)}])
    rows = files.map_batches(Diarize, compute=ray.data.ActorPoolStrategy(size=2), num_cpus=1, batch_size=1).take_all()
    assert len([row for row in rows if row["file"] == str(SAMPLE)]) == 2 * len(printed.splitlines())
    assert [row["file"] for row in rows if row["error"]] == ["/no/such/file"]


def test_every_worker_gets_files(corpus, cluster, samples, tmp_path, monkeypatch):
    class Traced(corpus.Corpus):
        """Waits until every worker has a batch."""

        def __call__(self, batch):
            self.output.mkdir(exist_ok=True)
            with open(self.output / "workers", "a") as file:
                file.write(f"{os.getpid()} {len(batch['file'])}\n")
            deadline = time.monotonic() + 120
            while len((self.output / "workers").read_text().splitlines()) < int(self.output.name) and time.monotonic() < deadline:
                time.sleep(0.1)
            return super().__call__(batch)

    folder = tmp_path / "three"
    folder.mkdir()
    for number in range(3):
        write_wav(folder / f"{number}.wav", samples[:, :48_000], 16_000)
    monkeypatch.setattr(corpus, "Corpus", Traced)
    for workers, batches in ((1, [3]), (2, [1, 2])):
        assert corpus.main([str(folder), str(tmp_path / str(workers)), "--workers", str(workers)]) == 0
        lines = [line.split() for line in (tmp_path / str(workers) / "workers").read_text().splitlines()]
        assert sorted(int(files) for _, files in lines) == batches
        assert len({worker for worker, _ in lines}) == workers


@pytest.mark.parametrize("option", ["--workers", "--batch"])
def test_numbers_below_one_are_usage_errors(corpus, tmp_path, capsys, option):
    with pytest.raises(SystemExit):
        corpus.main([str(tmp_path), str(tmp_path / "out"), option, "0"])
    assert f"argument {option}: 0 must be at least 1" in capsys.readouterr().err


def test_names_of_recordings(corpus, cluster, samples, tmp_path, capsys):
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    write_wav(folder / "good.wav", samples[:, :64_000], 16_000)
    content = (folder / "good.wav").read_bytes()
    (folder / os.fsdecode(b"caf\xe9.wav")).write_bytes(content)
    for _ in range(2):
        assert corpus.main([str(folder), str(output)]) == 1
        assert "caf\\udce9.wav': its name is not UTF-8" in capsys.readouterr().err
    assert {row["file"] for row in tables(output)[0]} == {"good.wav"}
    # In a batch, a name of any kind becomes text.
    batch = {"file": [7, os.fsdecode(b"caf\xe9"), None], "content": [content] * 3}
    rows = Diarize(device="cpu", content="content")(batch).to_pylist()
    assert {row["file"] for row in rows} == {"7", "caf\ufffd", None} and not any(row["error"] for row in rows)
    rows = Diarize(device="cpu")({"file": [7, b"content", str(folder / "good.wav")]}).to_pylist()
    errors = {row["file"]: row["error"] for row in rows}
    assert [errors[name].split(":")[0] for name in ("7", "b'content'")] == ["AudioError"] * 2
    assert errors[str(folder / "good.wav")] is None and len(errors) == 3


def tables(output):
    """The rows of both tables and the RTTM files, in an order of their own."""
    turns, embeddings = (
        sorted(pq.read_table(output / name).to_pylist(), key=lambda row: [str(value) for value in row.values()])
        for name in ("turns", "embeddings")
    )
    rttm = {str(path.relative_to(output)): path.read_text() for path in output.rglob("*.rttm")}
    return turns, embeddings, rttm


@pytest.fixture(scope="module")
def undisturbed(corpus, cluster, folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("undisturbed")
    assert corpus.main([str(folder), str(output), "--workers", "2", "--batch", "2"]) == 1
    return tables(output)


def test_a_corpus(undisturbed, folder):
    turns, embeddings, rttm = undisturbed
    files = {str(path.relative_to(folder)) for path in folder.rglob("*.wav")}
    assert {row["file"] for row in turns} == files
    assert [row["file"] for row in turns if row["error"]] == ["broken.wav"]
    (silent,) = [row for row in turns if row["file"] == "silent.wav"]
    assert silent["start"] is None and silent["error"] is None
    assert len(rttm) == 11 and rttm["rttm/silent.wav.rttm"] == ""
    assert sum(len(text.splitlines()) for text in rttm.values()) == len([row for row in turns if row["start"] is not None])
    assert {len(row["embedding"]) for row in embeddings} == {256}
    assert len({(row["file"], row["speaker"]) for row in embeddings}) == len(embeddings)


def kill_a_worker(output, killed):
    """Kills a worker once a part of the results is there."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        workers = [process for process in psutil.process_iter(["cmdline"]) if "MapBatches(Corpus)" in " ".join(process.info["cmdline"] or [])]
        if workers and len(list((output / "turns").glob("*.parquet"))) >= 1:
            os.kill(workers[0].pid, signal.SIGKILL)
            killed.append(workers[0].pid)
            return
        time.sleep(0.02)


def test_a_killed_worker_loses_and_repeats_nothing(corpus, cluster, folder, tmp_path, undisturbed):
    killed = []
    killer = threading.Thread(target=kill_a_worker, args=(tmp_path, killed))
    killer.start()
    code = corpus.main([str(folder), str(tmp_path), "--workers", "2", "--batch", "2"])
    killer.join()
    assert code == 1 and len(killed) == 1
    assert tables(tmp_path) == undisturbed


def test_a_run_continues(corpus, cluster, folder, tmp_path, undisturbed, capsys):
    listed = tmp_path / "files.parquet"
    some = sorted(folder.rglob("*.wav"))[:5]
    pq.write_table(pa.table({"file": [str(path) for path in some]}), listed)
    output = tmp_path / "output"
    assert corpus.main([str(folder), str(output), "--workers", "2", "--batch", "3"]) == 1
    # An interruption after the embeddings of a batch, but before its turns.
    part = sorted((output / "turns").glob("*.parquet"))[0]
    lost = len(set(pq.read_table(part)["file"].to_pylist()))
    part.unlink()
    capsys.readouterr()
    assert corpus.main([str(folder), str(output), "--batch", "2"]) == 1
    left = int(capsys.readouterr().out.split(" files, ")[1].split()[0])
    assert 12 - lost - 1 <= left <= 12 - lost
    assert tables(output) == undisturbed
    # A list of absolute names
    assert corpus.main([str(listed), str(tmp_path / "listed"), "--workers", "1"]) in (0, 1)
    turns, _, _ = tables(tmp_path / "listed")
    assert {"/" + row["file"] for row in turns} == {str(path) for path in some}
