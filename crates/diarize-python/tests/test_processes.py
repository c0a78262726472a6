"""Threads, processes, signals and memory."""

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy
import pytest
from conftest import SAMPLE, run, write_wav

from diarize_rs import DiarizeOutput, Error, Pipeline, Voices


def rttm_of(pipeline):
    return pipeline(SAMPLE).to_rttm()


def test_eight_threads_call_one_pipeline(pipeline, printed):
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(rttm_of, [pipeline] * 8)) == {printed}


def test_other_threads_run_meanwhile(pipeline):
    ticks, done = [], threading.Event()

    def tick():
        while not done.wait(0.01):
            ticks.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    begin = time.perf_counter()
    pipeline(SAMPLE)
    elapsed = time.perf_counter() - begin
    done.set()
    thread.join()
    assert len(ticks) > elapsed / 0.01 / 4


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_processes_take_the_pipeline_along(pipeline, printed, method):
    assert rttm_of(pipeline) == printed  # before the fork, all threads have been started
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        assert set(pool.map(rttm_of, [pipeline] * 2, timeout=120)) == {printed}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_uses_the_loaded_pipeline(pipeline, printed):
    assert rttm_of(pipeline) == printed
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, rttm_of(pipeline).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        assert file.read() == printed
    os.waitpid(child, 0)


def interrupted(code, after):
    """Sends Ctrl-C to a process some seconds after it says `ready`. Returns how long it went on, and what it wrote."""
    # Where the tests run in the background of a shell, their processes ignore Ctrl-C.
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", heeding + textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(after)
    begin = time.perf_counter()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return time.perf_counter() - begin, out, err


LONG = """
    import numpy
    from diarize_rs import Pipeline, load_audio
    pipeline = Pipeline.from_pretrained(device="cpu")
    samples, rate = load_audio({sample!r})
    samples = numpy.tile(samples, 240)  # an hour
    file = {{"waveform": samples, "sample_rate": rate}}
    print("ready", flush=True)
    try:
        {call}
    except KeyboardInterrupt:
        print("interrupted")
        print(len(pipeline({{"waveform": samples[:, :160_000], "sample_rate": rate}}).labels()))
"""


@pytest.mark.parametrize("call", ["pipeline(file)", "list(pipeline.map([file] * 4, batch=2))"])
def test_ctrl_c_cancels(call):
    seconds, out, err = interrupted(LONG.format(sample=str(SAMPLE), call=call), 1.0)
    assert out.splitlines()[0] == "interrupted" and int(out.splitlines()[1]) > 0, (out, err)
    assert seconds < 20


class Slow(io.RawIOBase):
    """A file that is read slowly, as from a network."""

    def __init__(self, content):
        self.content = io.BytesIO(content)

    def read(self, size=-1):
        time.sleep(0.2)
        return self.content.read(min(size, 1000))


@pytest.mark.parametrize("known", [False, True])
def test_many_slow_files_are_cancelled_at_once(pipeline, samples, known):
    files = [{"waveform": samples[:, :32_000], "sample_rate": 16_000}, *(Slow(SAMPLE.read_bytes()) for _ in range(3))]
    found = pipeline.map(files, batch=4, voices=Voices(pipeline) if known else None)
    next(found)
    begin = time.perf_counter()
    found.close()
    assert time.perf_counter() - begin < 5


# What daemon threads do while the interpreter exits.
BUSY = {
    "recordings": "pipeline(file)",
    "many recordings": "list(pipeline.map([file] * 4, batch=2))",
    "file objects": "pipeline(Slow())",
    "pipelines": "Pipeline.from_pretrained()",
    "listeners": "pipeline.listen().push(samples)",
    "voices": "Voices(pipeline).enroll('Ann', pipeline, file)",
}


@pytest.mark.parametrize("call", BUSY.values(), ids=BUSY)
def test_the_interpreter_may_exit_meanwhile(call):
    code = f"""
        import io, sys, threading, time
        from diarize_rs import CancelledError, Pipeline, Voices, load_audio
        pipeline = Pipeline.from_pretrained(device="cpu")
        samples, rate = load_audio({str(SAMPLE)!r})
        file = {{"waveform": samples.repeat(60, 1), "sample_rate": rate}}
        class Slow(io.RawIOBase):
            def read(self, size=-1):
                time.sleep(0.05)
                return b""
        begun = threading.Barrier(5)
        def work():
            begun.wait()
            while True:
                try:
                    {call}
                except Exception:
                    pass
        for _ in range(4):
            threading.Thread(target=work, daemon=True).start()
        begun.wait()
        time.sleep(0.3)
    """
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")


def test_an_open_loop_does_not_delay_the_exit():
    code = f"""
        from diarize_rs import Pipeline, load_audio
        pipeline = Pipeline.from_pretrained(device="cpu")
        samples, rate = load_audio({str(SAMPLE)!r})
        hour = {{"waveform": samples.repeat(240, 1), "sample_rate": rate}}
        found = pipeline.map([{{"waveform": samples[:, :32_000], "sample_rate": rate}}, hour, hour], batch=3)
        next(found)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=40)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_cannot_use_the_listener_of_another_process(pipeline, samples):
    listener = pipeline.listen()
    listener.push(samples)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        for call in (listener.finish, lambda: listener.seconds):
            try:
                call()
            except Error as error:
                os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        assert file.read().count("start another listener in it") == 2
    os.waitpid(child, 0)
    assert len(listener.finish().labels()) == 3


def test_a_call_that_waits_for_another_is_cancelled():
    code = f"""
        import threading, time
        from diarize_rs import Pipeline, load_audio
        pipeline = Pipeline.from_pretrained(device="cpu")
        samples, rate = load_audio({str(SAMPLE)!r})
        begun = threading.Event()
        def hook(*_, **__):
            begun.set()
            time.sleep(3)
        listener = pipeline.listen(hook=hook)
        listener.push(samples)
        threading.Thread(target=listener.provisional, daemon=True).start()
        begun.wait()
        print("ready", flush=True)
        begin = time.perf_counter()
        try:
            listener.push(samples)
        except KeyboardInterrupt:
            print(time.perf_counter() - begin)
    """
    _, out, err = interrupted(code, 0.5)
    assert float(out) < 1.5, err


def test_a_subinterpreter_is_refused():
    code = """
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        interpreter = interpreters.create()
        done = interpreters.run_string(interpreter, "import sys; sys.path = %r; import diarize_rs" % __import__("sys").path)
        print(getattr(done, "msg", ""))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert "subinterpreter" in done.stdout + done.stderr


def test_work_may_end_when_the_interpreter_exits(printed):
    code = f"""
        import atexit
        def last():
            print(pipeline({str(SAMPLE)!r}).to_rttm(), end="")
        atexit.register(last)
        from diarize_rs import Pipeline
        pipeline = Pipeline.from_pretrained(device="cpu")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, printed), done.stderr


def test_many_recordings_leak_nothing(pipeline, samples):
    file = {"waveform": samples[:, 16_000:48_000], "sample_rate": 16_000}

    def resident():
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    for _ in range(20):
        pipeline(file)
    before = resident()
    for _ in range(100):
        pipeline(file)
    assert resident() - before < 8 << 20


def test_the_import_is_quick_and_needs_no_numpy():
    code = (
        "import sys, time; begin = time.process_time(); import diarize_rs;"
        "print(time.process_time() - begin, 'numpy' in sys.modules)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(5)
    ]
    assert {loaded for _, loaded in runs} == {"False"}
    assert min(float(seconds) for seconds, _ in runs) < 0.05


def test_one_bad_file_does_not_stop_the_others(pipeline, printed, samples):
    short = {"waveform": samples[:, :64_000], "sample_rate": 16_000}
    files = [SAMPLE, "/no/such/file", short, SAMPLE, {"waveform": numpy.zeros(0), "sample_rate": 16_000}]
    for batch in (None, 1, 3):
        found = list(pipeline.map(files, batch=batch))
        assert len(found) == 5
        whole = [result for file, result in found if file is SAMPLE]
        assert [result.to_rttm() for result in whole] == [printed] * 2
        errors = [type(result).__name__ for _, result in found if isinstance(result, Exception)]
        assert sorted(errors) == ["AudioError", "AudioFileNotFoundError"]


class Watched(io.BytesIO):
    """A file that calls a function when it is first read."""

    def __init__(self, content, begin):
        super().__init__(content)
        self.begin, self.has_begun = begin, False

    def read(self, size=-1):
        if not self.has_begun:
            self.has_begun = True
            self.begin()
        return super().read(size)


def test_several_files_are_at_work_also_while_the_caller_is(pipeline, samples, tmp_path):
    write_wav(tmp_path / "short.wav", samples[:, :32_000], 16_000)
    content = (tmp_path / "short.wav").read_bytes()
    three, next_one = threading.Barrier(3), threading.Event()
    files = [Watched(content, lambda: three.wait(60)) for _ in range(3)] + [Watched(content, next_one.set)]
    found = pipeline.map(files, batch=3)
    file, result = next(found)
    assert file in files and isinstance(result, DiarizeOutput)
    assert next_one.wait(60)
    assert len(list(found)) == 3


def test_files_are_taken_as_they_are_done(pipeline, samples):
    taken = []

    def endless():
        while True:
            taken.append({"waveform": samples[:, :32_000], "sample_rate": 16_000})
            yield taken[-1]

    found = pipeline.map(endless(), batch=2)
    for count in range(5):
        next(found)
        assert len(taken) <= count + 3
    # Leaving the loop cancels what is at work.
    hour = {"waveform": numpy.tile(samples, 240), "sample_rate": 16_000}
    found.close()
    found = pipeline.map([{"waveform": samples[:, :32_000], "sample_rate": 16_000}, hour, hour], batch=2)
    next(found)
    begin = time.perf_counter()
    found.close()
    assert time.perf_counter() - begin < 20
    with pytest.raises(ValueError, match="batch is -1"):
        pipeline.map([], batch=-1)


def test_the_program():
    assert run("--version").stdout.startswith("diarize ")
    wrong = run("--no-such-option")
    assert wrong.returncode == 2 and "no-such-option" in wrong.stderr
    missing = run("/no/such/file.wav")
    assert missing.returncode == 1 and "no such file" in missing.stderr
    done = subprocess.run([sys.executable, "-m", "diarize_rs", "--help"], capture_output=True, text=True, check=True)
    assert "Find out who spoke when" in done.stdout
