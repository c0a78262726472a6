"""Options, hooks and models."""

import io
import pickle

import numpy
import pytest
from conftest import ROOT, SAMPLE, run

from diarize_rs import DeviceError, DiarizationWarning, Hooks, ModelError, OptionError, Pipeline, ProgressHook, TimingHook, devices


def test_the_number_of_speakers(pipeline):
    assert len(pipeline(SAMPLE, num_speakers=2).labels()) == 2
    assert len(pipeline(SAMPLE, max_speakers=2).labels()) == 2
    assert pipeline(SAMPLE, 2).to_rttm() == run("--device", "cpu", "--num-speakers", "2", SAMPLE).stdout
    with pytest.warns(DiarizationWarning, match="conversation: requested 40 speakers, found"):
        pipeline(SAMPLE, min_speakers=40)


@pytest.mark.parametrize("options", [{"num_speakers": 0}, {"max_speakers": -1}, {"min_speakers": 1.5}, {"num_speakers": True}, {"num_speakers": "2"}])
def test_numbers_of_speakers_that_make_no_sense(pipeline, options):
    ((option, value),) = options.items()
    sentence = f"^{option} is {value!r}, but must be a whole number of at least 1$"
    for call in (pipeline, lambda file, **options: pipeline.map([file], **options)):
        with pytest.raises(OptionError, match=sentence):
            call(SAMPLE, **options)
        with pytest.raises(ValueError, match="^min_speakers is 3 with max_speakers 2, but must be at most max_speakers$"):
            call(SAMPLE, min_speakers=3, max_speakers=2)
    with pytest.raises(OptionError, match="^min_speakers is 3 with max_speakers 2"):
        pipeline.listen(min_speakers=3, max_speakers=2)


def test_hooks_hear_every_step(pipeline, result):
    calls = []

    def hook(step, artifact, file=None, total=None, completed=None):
        calls.append((step, artifact, completed, total))
        assert file == {"audio": str(SAMPLE), "uri": "conversation"}

    assert pipeline(str(SAMPLE), hook=hook) == result
    steps = list(dict.fromkeys(step for step, *_ in calls))
    assert sorted(steps) == ["discrete_diarization", "embeddings", "segmentation", "speaker_counting"]
    for step in steps:
        numbers = [(completed, total) for name, _, completed, total in calls if name == step and total is not None]
        assert numbers[-1][0] == numbers[-1][1] > 0, step
        assert numbers == sorted(numbers)
    assert calls[-1] == ("discrete_diarization", result.speaker_diarization, None, None)
    assert all(artifact is None for _, artifact, _, _ in calls[:-1])


def test_an_exception_of_a_hook_cancels(pipeline, printed):
    def hook(step, artifact, **progress):
        raise LookupError(step)

    with pytest.raises(LookupError, match="segmentation"):
        pipeline(SAMPLE, hook=hook)
    assert pipeline(SAMPLE).to_rttm() == printed


def test_the_hooks_of_the_package(pipeline, capsys):
    with Hooks(ProgressHook(), TimingHook()) as hook:
        pipeline(SAMPLE, hook=hook)
    shown = capsys.readouterr().err
    assert sorted(shown.splitlines()) == [f"{step}: done" for step in ("discrete_diarization", "embeddings", "segmentation", "speaker_counting")]
    timing = hook._hooks[1].seconds
    assert timing["embeddings"] > 0 and timing["total"] > sum(timing.values()) / 3


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown_by(file, **options):
    """What a progress hook writes into ``file`` for two steps, the second of which stops early."""
    with ProgressHook(file=file, **options) as hook:
        for completed in (0, 1, 4, 4):
            hook("segmentation", None, total=4, completed=completed)
        hook("embeddings", None, total=4, completed=3)
    return file.getvalue()


def test_progress_in_a_terminal_or_a_notebook():
    notebook = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})
    for file in (Terminal, notebook):
        shown = shown_by(file())
        assert shown.count("\r\x1b[K") == 5 and shown.count("\n") == 2
        assert "25%" in shown and "100%\n" in shown and shown.endswith(" 75%\n")
        shown = shown_by(file(), transient=True)
        assert shown.endswith(" 75%\r\x1b[K") and "\n" not in shown


def test_progress_in_a_log(pipeline):
    class Logger:
        def __init__(self):
            self.lines = []
            self.write, self.flush = self.lines.append, lambda: None

        def getvalue(self):
            return "".join(self.lines)

    for file in (io.StringIO, Logger):
        assert shown_by(file()) == "segmentation: done\n"
        assert shown_by(file(), transient=True) == ""
    file = io.StringIO()
    with ProgressHook(file=file) as hook:
        for _ in range(2):
            pipeline.embed(SAMPLE, [(0.0, 3.0)], hook=hook)
        assert file.getvalue() == "embeddings: done\n" * 2


def test_hyper_parameters(pipeline, printed):
    other = Pipeline.from_pretrained("bundled", device="cpu")
    parameters = other.parameters(instantiated=True)
    assert parameters["segmentation"] == {"min_duration_on": 0.0, "min_duration_off": 0.0}
    other.instantiate(parameters)
    assert other.parameters() == parameters
    filled = other.instantiate({"segmentation": {"min_duration_off": 2.0}, "clustering": {"Fa": numpy.float64(0.1), "threshold": numpy.float32(0.6)}})
    filled.instantiate({"clustering": {"threshold": 0.6}})
    assert filled is other
    assert filled.parameters()["clustering"]["fa"] == 0.1
    command = ("--device", "cpu", "--min-duration-off", "2", "--set", "fa=0.1", "--set", "threshold=0.6", SAMPLE)
    assert filled(SAMPLE).to_rttm() == run(*command).stdout != printed
    by_chunk = filled.instantiate({"embedding_trunk": "chunk"}).parameters()
    assert (by_chunk["embedding_trunk"], by_chunk["reconstruction"]) == ("chunk", "votes")


def test_clustering_methods_and_compatibility(pipeline):
    for name, method in (("AgglomerativeClustering", "agglomerative"), ("spectral", "spectral")):
        other = Pipeline.from_pretrained(device="cpu", clustering=name)
        assert other(SAMPLE).to_rttm() == run("--device", "cpu", "--clustering", method, SAMPLE).stdout
    other.instantiate({"clustering": {"neighbors": {"share": 0.2}, "kmeans": {"seed": 7}}})
    assert other.parameters()["clustering"]["kmeans"]["seed"] == 7
    exact = Pipeline.from_pretrained(device="cpu", compat="pyannote-4.0")
    with pytest.warns(DiarizationWarning, match="pyannote does not have fb_exponent and merge_distance"):
        turns = exact(SAMPLE).to_rttm()
    assert turns == run("--device", "cpu", "--compat", "pyannote-4.0", SAMPLE).stdout
    kmeans = Pipeline.from_pretrained(device="cpu", clustering="kmeans")
    for call in (kmeans, lambda file: kmeans.map([file])):
        with pytest.raises(OptionError, match="^num_speakers is not given, but k-means clustering needs it, or min_speakers"):
            call(SAMPLE)
    assert len(kmeans(SAMPLE, num_speakers=3).labels()) == 3


WRONG = [
    ({"clustering": {"nothing": 1}}, "^nothing=1: vbx has no such parameter; its parameters are "),
    (
        {"clustering": {"method": "centroid", "min_cluster_size": 12, "threshold": 0.7}},
        '^clustering has no parameter method with the method vbx: load the pipeline with clustering="agglomerative"$',
    ),
    ({"clustering": {"threshold": 0.6, "min_cluster_size": 12}}, "no parameter min_cluster_size with the method vbx: load"),
    ({"clustering": {"Fa": "much"}}, "^Fa=much: it must be a number$"),
    ({"clustering": {"threshold": -1}}, "^threshold is -1"),
    ({"clustering": {"threshold": {1}}}, "is not the value of a parameter"),
    ({"clustering": 0.7}, "^clustering is 0.7, but must be a dictionary$"),
    ("params.yaml", "^parameters is 'params.yaml', but must be a dictionary$"),
    ({"segmentation": {"threshold": 0.5}}, "segmentation has no parameter threshold"),
    ({"segmentation": {"min_duration_off": "long"}}, "^min_duration_off is 'long', but must be a number$"),
    ({"segmentation": {"min_duration_off": 10**400}}, "^min_duration_off is 10+, but must be a number$"),
    ({"segmentation": {"min_duration_off": -1}}, "^min_duration_off is -1"),
    ({"nothing": 1}, "nothing"),
    ({"compat": "pyannote-3.3"}, "^compat is not a hyper-parameter: give it to from_pretrained$"),
    ({"num_speakers": 2}, "^num_speakers is not a hyper-parameter: give it to the call of the pipeline$"),
    ({"embedding_trunk": "whole"}, "^embedding_trunk is whole"),
    ({"clustering": {"fa": 0.2}, "decoding": "best"}, "decoding"),
]


@pytest.mark.parametrize(("parameters", "sentence"), WRONG, ids=lambda value: str(value))
def test_wrong_hyper_parameters_change_nothing(pipeline, parameters, sentence):
    before = pipeline.parameters()
    with pytest.raises(OptionError, match=sentence):
        pipeline.instantiate(parameters)
    assert pipeline.parameters() == before


def test_parameters_of_pyannote_3(pipeline):
    other = Pipeline.from_pretrained(device="cpu", clustering="AgglomerativeClustering")
    other.instantiate({"clustering": {"method": "centroid", "min_cluster_size": 12, "threshold": 0.7}})
    assert other.parameters()["clustering"]["linkage"] == "centroid"


SETTERS = {
    "embedding_exclude_overlap": r"use instantiate\({'embedding_exclude_overlap': ...}\)",
    "segmentation_step": r"use instantiate\({'segmentation_step': ...}\)",
    "min_duration_off": r"use instantiate\({'segmentation': {'min_duration_off': ...}}\)",
    "threshold": r"use instantiate\({'clustering': {'threshold': ...}}\)",
    "device": r"use to\(device\)",
    "num_speakers": r"use instantiate\(\) for parameters, and the options of from_pretrained or of a call",
}


@pytest.mark.parametrize("name", SETTERS)
def test_attributes_that_cannot_be_set(pipeline, name):
    with pytest.raises(AttributeError, match=f"{name} cannot be set: {SETTERS[name]}"):
        setattr(pipeline, name, 0.5)


def test_habits_of_pyannotes_pipelines(pipeline, result, tmp_path):
    assert pipeline(SAMPLE, preload=True) == result
    assert pipeline.apply({"audio": SAMPLE, "uri": "conversation"}, preload=False) == result
    with pytest.raises(OptionError, match=r"device is cpu, but must be a GPU of NVIDIA: use to\('cpu'\)"):
        pipeline.cuda("cpu")
    for device in (None, 0, "cuda:0"):
        with pytest.raises(DeviceError, match="cuda"):
            pipeline.cuda(device)
    for option in ("revision", "subfolder"):
        with pytest.raises(OptionError, match=f"{option} is not supported: `hf download .*from_pretrained takes the directory"):
            Pipeline.from_pretrained("pyannote/speaker-diarization-3.1", **{option: "main"})
    with pytest.raises(OptionError, match="checkpoint is {'pipeline': 1}, but must be text or a path"):
        Pipeline.from_pretrained({"pipeline": 1})
    for name, instead in (("freeze", r"use instantiate\(\)"), ("default_parameters", r"use parameters\(\)")):
        with pytest.raises(AttributeError, match=f"Pipeline has no {name}: {instead}"):
            getattr(pipeline, name)
    with pytest.raises(AttributeError, match="Pipeline has no nonsense$"):
        pipeline.nonsense


@pytest.mark.parametrize("files", ["a.wav", SAMPLE, b"RIFF", {"audio": "a.wav"}, io.BytesIO(b"RIFF"), 5], ids=lambda files: type(files).__name__)
def test_map_takes_several_recordings(pipeline, files):
    with pytest.raises(OptionError, match="files is .*, but must be a list or another iterable of recordings"):
        pipeline.map(files)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_map_yields_what_came_before_an_exception_of_the_iterable(pipeline, batch):
    def files():
        yield "missing.wav"
        yield SAMPLE
        raise RuntimeError("no more")

    found = []
    with pytest.raises(RuntimeError, match="no more"):
        for file, _ in pipeline.map(files(), batch=batch):
            found.append(file)
    assert sorted(map(str, found)) == sorted(["missing.wav", str(SAMPLE)])


def test_sizes_of_batches(pipeline):
    for batch in (0, "2", 1.5):
        with pytest.raises(OptionError, match=f"batch is {batch!r}, but must be a whole number of at least 1"):
            pipeline.map([SAMPLE], batch=batch)


def test_models(printed):
    other = Pipeline.from_pretrained(ROOT / "weights/default", device="cpu")
    assert other(SAMPLE).to_rttm() == printed
    for name in ("/no/such/model", str(SAMPLE.parent)):
        with pytest.raises(ModelError, match=name):
            Pipeline.from_pretrained(name)


def test_models_of_the_hub_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="pyannote/speaker-diarization-3.1.*HF_HUB_OFFLINE"):
        Pipeline.from_pretrained("pyannote/speaker-diarization-3.1", cache_dir=tmp_path, use_auth_token=True)


def test_models_of_the_catalogue_are_downloaded_first(monkeypatch, tmp_path):
    monkeypatch.setenv("DIARIZE_MODELS", str(tmp_path))
    with pytest.raises(ModelError, match="`diarize model download community-1`"):
        Pipeline.from_pretrained("community-1")


def test_devices():
    assert devices()[0] == "cpu"
    pipeline = Pipeline.from_pretrained(device="cpu")
    assert pipeline.to("cpu") is pipeline and pipeline.device == "cpu"
    with pytest.raises(DeviceError, match="cannot use device cuda:77"):
        pipeline.to("cuda:77")
    with pytest.raises(DeviceError, match="metal:3"):
        pipeline.to("mps:3")
    with pytest.raises(OptionError, match="^device is tpu"):
        pipeline.to("tpu")
    with pytest.raises(OptionError, match="^device is cuda:1,1, but must be a list in which each GPU appears once"):
        pipeline.to("cuda:1,1")
    with pytest.raises(DeviceError, match="cannot use device cuda:77"):
        pipeline.to("cuda:77,78")
    with pytest.raises(OptionError, match="^precision is f16, but must be f32 on the CPU; only NVIDIA GPUs support f16"):
        Pipeline.from_pretrained(device="cpu", precision="f16")
    with pytest.raises(OptionError, match="^precision is tf32, but must be f32 or f16"):
        Pipeline.from_pretrained(device="cpu", precision="tf32")
    assert pipeline.device == "cpu"


def test_threads_change_no_result(printed):
    pipeline = Pipeline.from_pretrained(device="cpu", threads=1)
    assert pipeline.threads == 1 and pipeline(SAMPLE).to_rttm() == printed
    for wrong in (0, -1, 1.5):
        with pytest.raises(OptionError, match="threads"):
            pipeline.threads = wrong
    pipeline.threads = 3
    assert pipeline(SAMPLE).to_rttm() == printed


def test_batch_sizes():
    pipeline = Pipeline.from_pretrained(device="cpu")
    assert pipeline.segmentation_batch_size is None
    pipeline.segmentation_batch_size = 16
    pipeline.embedding_batch_size = 8
    assert (pipeline.segmentation_batch_size, pipeline.embedding_batch_size) == (16, 8)
    for wrong in (0, "8", 2.5):
        with pytest.raises(OptionError, match=f"embedding_batch_size is {wrong!r}, but must be a whole number of at least 1"):
            pipeline.embedding_batch_size = wrong


def test_speech_and_overlap(pipeline):
    for kind, find in (("vad", pipeline.vad), ("overlap", pipeline.overlap)):
        rttm = run(kind, "--device", "cpu", "--format", "rttm", SAMPLE).stdout.splitlines()
        spans = find(SAMPLE)
        assert [f"{span.start:.3f} {span.duration:.3f}" for span in spans] == [
            " ".join(line.split()[3:5]) for line in rttm
        ]
        assert len(spans) > 0


def test_embeddings_of_spans(pipeline, result, tmp_path):
    spans = [(0.0, 3.0), (10, 12.5), (500, 501)]
    rows = pipeline.embed(SAMPLE, spans)
    assert rows.shape == (3, 256) and rows.dtype == numpy.float32
    assert numpy.isfinite(rows[:2]).all() and numpy.isnan(rows[2]).all()
    out = tmp_path / "rows.npy"
    done = run("embed", "--device", "cpu", "--start", "0", "--end", "3", "-o", out, SAMPLE)
    assert done.returncode == 0, done.stderr
    assert numpy.array_equal(numpy.load(out)[0], rows[0])
    assert len(pipeline.embed(SAMPLE, result.speaker_diarization)) == len(result.speaker_diarization)
    of_turns = pipeline.embed(SAMPLE, result.speaker_diarization)
    assert numpy.array_equal(pipeline.embed(SAMPLE, result), of_turns, equal_nan=True)
    for wrong in ([5], 5, (0, 3), [("a", "b")], [(0, 1, 2)]):
        with pytest.raises(OptionError, match="spans is .*, but must be a list of segments, or of start and end in seconds"):
            pipeline.embed(SAMPLE, wrong)
    with pytest.raises(OptionError, match="span is NaN"):
        pipeline.embed(SAMPLE, [(0, float("nan"))])


def test_a_pipeline_is_pickled_as_its_configuration(printed):
    pipeline = Pipeline.from_pretrained(device="cpu", threads=2, compat="pyannote-4.0", token="hf_secret")
    pipeline.instantiate({"clustering": {"threshold": 0.5}})
    content = pickle.dumps(pipeline)
    assert len(content) < 10_000 and b"hf_secret" not in content
    other = pickle.loads(content)
    assert other.parameters() == pipeline.parameters() and other.threads == 2
    with pytest.warns(DiarizationWarning, match="pyannote does not have"):
        assert other(SAMPLE).to_rttm() == pipeline(SAMPLE).to_rttm()


@pytest.mark.parametrize("threads", [0, 513, 10**30, True, 1.5])
def test_numbers_of_threads_that_make_no_sense(threads):
    with pytest.raises(OptionError, match="threads is .*, but must be"):
        Pipeline.from_pretrained(device="cpu", threads=threads)
