"""The pipeline, with the names of ``pyannote.audio``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from . import _native, _parameters
from ._annotation import Annotation, Segment
from ._audio import AudioFile, opened, printable, warn
from ._errors import OptionError, count_of, expect, number_of, spans_of
from ._hooks import Hook, listening
from ._result import DiarizeOutput
from ._scoring import Turns, mapped

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    from ._listener import Listener
    from ._voices import Voices

# pyannote's names of what this package calls otherwise.
_METHODS = {
    "AgglomerativeClustering": "agglomerative",
    "KMeansClustering": "kmeans",
    "VBxClustering": "vbx",
}
# What to use instead of attributes that only pyannote's pipelines have.
_INSTEAD = {
    "classes": "call the pipeline, and use result.labels()",
    "default_parameters": "use parameters()",
    "freeze": "use instantiate()",
    "get_metric": "use score()",
    "load_params": "use instantiate(), or a config.yaml",
}


class Pipeline:
    """Finds out who speaks when::

        pipeline = Pipeline.from_pretrained("bundled")
        result = pipeline("meeting.mp3", num_speakers=3)
        for turn, speaker in result.speaker_diarization:
            print(turn.start, turn.end, speaker)

    Several threads may call one pipeline. It can be pickled: the other process loads the model again.
    """

    __slots__ = (
        "__weakref__", "_allow_cpu_fallback", "_cache_dir", "_model", "_model_name", "_options", "_precision", "_threads",
    )

    def __init__(
        self,
        model: str | os.PathLike[str] = "bundled",
        *,
        device: Any = "auto",
        precision: str = "f32",
        threads: int | None = None,
        clustering: str | None = None,
        compat: str | None = None,
        allow_cpu_fallback: bool = False,
        token: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        """As :meth:`from_pretrained`."""
        expect("checkpoint", model, (str, os.PathLike), "text or a path; write a configuration to a config.yaml")
        self._model_name = _checked(os.fspath(model))
        expect("precision", precision, str, "text")
        expect("allow_cpu_fallback", allow_cpu_fallback, bool, "True or False")
        for option, text in (("clustering", clustering), ("compat", compat), ("token", token)):
            if text is not None:
                expect(option, text, str, "text")
        if cache_dir is not None:
            expect("cache_dir", cache_dir, (str, os.PathLike), "a path")
        self._cache_dir = None if cache_dir is None else os.fspath(cache_dir)
        self._allow_cpu_fallback = allow_cpu_fallback
        self._precision = precision
        self._threads: int | None = None
        self._model = self._load(_device_name(device), token)
        self._options = _native.Options(self._model)
        self._options.set_cpu_fallback(allow_cpu_fallback)
        self.threads = threads
        if clustering is not None:
            self._options.set_clustering(_METHODS.get(clustering, clustering))
        if compat is not None:
            self._options.reproduce(compat)

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | os.PathLike[str] = "bundled",
        *,
        token: str | bool | None = None,
        use_auth_token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        device: Any = "auto",
        precision: str = "f32",
        threads: int | None = None,
        clustering: str | None = None,
        compat: str | None = None,
        allow_cpu_fallback: bool = False,
        revision: str | None = None,
        subfolder: str | None = None,
    ) -> Pipeline:
        """Loads a pipeline.

        :param checkpoint: ``bundled`` for the model in this package; the directory of a converted model; the ``config.yaml`` of a
            pyannote pipeline or its directory; a model that ``diarize model download`` has downloaded, such as ``community-1`` or
            ``3.1``; or a hub repository such as ``pyannote/speaker-diarization-3.1``. A path takes precedence.
        :param token: the hub's access token; by default the one of ``huggingface_hub`` (``HF_TOKEN`` or its file)
        :param use_auth_token: the name of ``token`` in pyannote 3
        :param cache_dir: the hub's cache; by default that of ``huggingface_hub``
        :param device: ``auto`` for the first GPU that this build and the machine support, else the CPU; or as in :meth:`to`.
            Several GPUs, ``cuda:0,1`` or ``cuda:all``, share the recordings of :meth:`map` and of threads: each recording takes the
            one with the fewest.
        :param precision: ``f32``, or on NVIDIA GPUs ``f16``, which is faster, with slightly different results
        :param threads: processor threads of each recording; by default, all recordings share one for each core. The result does not
            depend on it.
        :param clustering: ``agglomerative``, ``vbx``, ``kmeans``, ``spectral`` or ``online``, or pyannote's name of the class; by
            default the model's
        :param compat: ``pyannote-3.3`` or ``pyannote-4.0`` to behave exactly as this version
        :param allow_cpu_fallback: lets the CPU continue, with a warning, if the device fails
        :param revision: not supported, unlike in pyannote 4: download the revision, and give its directory
        :param subfolder: not supported, unlike in pyannote 4: download the repository, and give the path of the directory in it
        :raises ModelError: if the model cannot be found, downloaded or loaded
        :raises DeviceError: if the device is not available
        """
        for option, value in (("revision", revision), ("subfolder", subfolder)):
            if value is not None:
                download = "`hf download REPOSITORY --revision REVISION --local-dir DIR`"
                raise OptionError(f"{option} is not supported: {download} gets the files, and from_pretrained takes the directory")
        given = token if token is not None else use_auth_token
        if given is not None:
            expect("token", given, (str, bool), "text, or True for the saved one")
        return cls(
            checkpoint,
            device=device,
            precision=precision,
            threads=threads,
            clustering=clustering,
            compat=compat,
            allow_cpu_fallback=allow_cpu_fallback,
            token=given if isinstance(given, str) else None,
            cache_dir=cache_dir,
        )

    def __call__(
        self,
        file: AudioFile,
        num_speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        hook: Hook | None = None,
        *,
        voices: Voices | None = None,
        identify_threshold: float = 0.6,
        identify_margin: float = 0.05,
        preload: bool = False,
        return_embeddings: bool = False,
    ) -> DiarizeOutput:
        """Diarizes a recording.

        :param file: a path, bytes, a binary file object, or a dictionary as in pyannote: ``{"waveform": samples, "sample_rate":
            hertz}`` or ``{"audio": file}``, with ``uri`` and ``channel`` if needed. Samples are ``(channel, sample)`` or
            ``(sample,)`` of float32 or float64 with full scale at ±1, or of int16: an array of NumPy, a tensor of PyTorch, or
            anything with ``__array__`` or DLPack.
        :param num_speakers: the number of speakers, if known
        :param min_speakers: the minimum number of speakers
        :param max_speakers: the maximum number of speakers
        :param hook: is called during the work, see :data:`Hook`
        :param voices: known speakers, who get their names
        :param identify_threshold: minimum cosine similarity for recognizing a known voice
        :param identify_margin: minimum lead over the next most similar known voice
        :param preload: has no effect; pyannote's callers may give it. A recording is read once, block by block.
        :param return_embeddings: not supported, unlike in pyannote 3: ``True`` is an error, as the result always has
            ``speaker_embeddings``
        :raises AudioError: if the audio cannot be read
        :raises OptionError: if an option has a wrong value
        """
        if return_embeddings:
            raise OptionError("return_embeddings is of pyannote 3: leave it out and use result.speaker_embeddings")
        options = self._options_for(num_speakers, min_speakers, max_speakers)
        known = _known(voices, identify_threshold, identify_margin)
        return self._diarize(file, options, known, hook, None, 3)

    apply = __call__

    def map(
        self,
        files: Iterable[AudioFile],
        *,
        batch: int | None = None,
        num_speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        voices: Voices | None = None,
        identify_threshold: float = 0.6,
        identify_margin: float = 0.05,
    ) -> Iterator[tuple[AudioFile, DiarizeOutput | Exception]]:
        """Diarizes many recordings and yields each with its result, or with the error that it failed with, as they finish.

        Only ``batch`` recordings are open at a time, and ``files`` is read as they finish, so it may be endless. The next ones
        go on while the caller works on a result. Leaving the loop, or Ctrl-C, cancels them.

        :param files: recordings, as in a call
        :param batch: recordings at a time; by default 1 on the CPU and 4 for each GPU, fewer if its memory is small. While some are
            decoded and clustered on the processor, a GPU runs the networks of others. Several GPUs share the recordings.

        Other parameters are those of a call.

        :raises OptionError: at once, if an option has a wrong value
        """
        from ._batch import map_files

        options = self._options_for(num_speakers, min_speakers, max_speakers)
        known = _known(voices, identify_threshold, identify_margin)
        self._model.check(options, known)

        def diarize(file: AudioFile, stop: _native.Stop) -> DiarizeOutput:
            return self._diarize(file, options, known, None, stop, 2)

        return map_files(diarize, files, self._model.recordings_at_once if batch is None else batch)

    def vad(self, file: AudioFile, *, hook: Hook | None = None) -> list[Segment]:
        """The spans in which somebody speaks. Only the segmentation network runs.

        :param file: as in a call
        """
        return self._activity(file, 1, hook)

    def overlap(self, file: AudioFile, *, hook: Hook | None = None) -> list[Segment]:
        """The spans in which several people speak at once. Only the segmentation network runs.

        :param file: as in a call
        """
        return self._activity(file, 2, hook)

    def embed(
        self, file: AudioFile, spans: Iterable[tuple[float, float]] | Annotation | DiarizeOutput, *, hook: Hook | None = None
    ) -> NDArray[numpy.float32]:
        """The embedding of each span from all the audio in it, as pyannote's ``Inference(..., window="whole").crop``.

        :param file: as in a call
        :param spans: segments, or tuples of start and end in seconds; or the turns of an annotation or a result
        :returns: ``(span, dimension)``, not normalized; NaN for a span of which less than 25 ms is within the recording
        """
        import numpy

        pairs = spans_of("spans", spans.itersegments() if hasattr(spans, "itersegments") else spans)
        with opened(file) as recording:
            hear = listening(hook, recording.file)
            embedded = self._model.embed(recording.source, pairs, self._options, hear)
            warn(recording.uri, embedded["warnings"], 2)
        rows = numpy.full((len(pairs), self._model.dimension), numpy.nan, numpy.float32)
        for row, embedding in zip(rows, embedded["embeddings"]):
            if embedding is not None:
                row[:] = numpy.frombuffer(embedding, numpy.float32)
        return rows

    def listen(
        self,
        sample_rate: int = 16_000,
        num_speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        *,
        uri: str = "stream",
        hook: Hook | None = None,
    ) -> Listener:
        """Starts diarizing a recording that arrives in blocks; see :class:`Listener`."""
        from ._listener import Listener

        return Listener(self, sample_rate, num_speakers, min_speakers, max_speakers, uri=uri, hook=hook)

    @staticmethod
    def optimal_mapping(reference: Turns, hypothesis: Turns, return_mapping: bool = False) -> Any:
        """Gives the speakers of a hypothesis the names of the speakers of a reference with whom they share most time.

        :param reference: who really speaks when: an annotation or a result, also of ``pyannote.core``
        :param hypothesis: the result
        :param return_mapping: returns the names in the reference by those in the hypothesis, too
        :returns: an :class:`Annotation`, or with ``return_mapping`` a tuple of it and the mapping
        """
        annotation, names = mapped(reference, hypothesis)
        return (annotation, names) if return_mapping else annotation

    def to(self, device: Any) -> Pipeline:
        """Loads the model on another device and returns the pipeline.

        :param device: ``cpu``, ``cuda``, ``cuda:1``, ``cuda:0,1``, ``cuda:all``, ``mps``, ``metal``, or a ``torch.device``
        :raises DeviceError: if the device is not available
        """
        name = _device_name(device)
        if name != self.device:
            self._model = self._load(name, None)
        return self

    def cuda(self, device: Any = None) -> Pipeline:
        """As :meth:`to`, with a GPU of NVIDIA.

        :param device: its number, from 0, or as in :meth:`to`; by default the first
        """
        name = "cuda" if device is None else f"cuda:{device}" if isinstance(device, int) else str(device)
        if not name.startswith("cuda"):
            raise OptionError(f"device is {name}, but must be a GPU of NVIDIA: use to({name!r})")
        return self.to(name)

    @property
    def device(self) -> str:
        """The device: ``cpu``, ``cuda:N`` or ``metal:N``; several GPUs are ``cuda:0,1``."""
        return self._model.device

    @property
    def model(self) -> str:
        """The model's name."""
        return self._model.name

    @property
    def embedding_dimension(self) -> int:
        """Length of an embedding."""
        return self._model.dimension

    @property
    def threads(self) -> int | None:
        """Processor threads of each recording; ``None`` if all recordings share one for each core."""
        return self._threads

    @threads.setter
    def threads(self, threads: int | None) -> None:
        self._options.set_threads(None if threads is None else count_of("threads", threads, most=512))
        self._threads = threads

    @property
    def segmentation_batch_size(self) -> int | None:
        """Chunks per batch of the segmentation network on a GPU; ``None`` for the default. It changes no result."""
        return _parameters.ungrouped(self._options)["segmentation_batch_size"]  # type: ignore[no-any-return]

    @segmentation_batch_size.setter
    def segmentation_batch_size(self, size: int | None) -> None:
        _parameters.assign_batch_size(self._options, "segmentation_batch_size", size)

    @property
    def embedding_batch_size(self) -> int | None:
        """Chunks per batch of the embedding network on a GPU; ``None`` for the default. It changes no result."""
        return _parameters.ungrouped(self._options)["embedding_batch_size"]  # type: ignore[no-any-return]

    @embedding_batch_size.setter
    def embedding_batch_size(self, size: int | None) -> None:
        _parameters.assign_batch_size(self._options, "embedding_batch_size", size)

    def parameters(self, instantiated: bool = True) -> dict[str, Any]:
        """The hyper-parameters, as :meth:`instantiate` takes them.

        :param instantiated: for pyannote's callers; the values are returned in any case
        """
        return _parameters.grouped(self._options)

    def instantiate(self, parameters: Mapping[str, Any]) -> Pipeline:
        """Sets hyper-parameters and returns the pipeline. Others stay as they are.

        :param parameters: as in pyannote, such as ``{"segmentation": {"min_duration_off": 0.5}, "clustering": {"threshold": 0.7}}``.
            At the top, there may also be this package's ``segmentation_step``, ``decoding``, ``embedding_trunk``,
            ``embedding_exclude_overlap`` and ``reconstruction``.
        :raises OptionError: if there is no such parameter, or a value is wrong; then nothing is changed
        """
        _parameters.assign(self._options, parameters)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        try:
            super().__setattr__(name, value)
        except AttributeError:
            raise AttributeError(f"{name} cannot be set: {_parameters.setter_of(self._options, name)}", name=name, obj=self) from None

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            hint = f": {_INSTEAD[name]}" if name in _INSTEAD else ""
            raise AttributeError(f"{type(self).__name__} has no {name}{hint}", name=name, obj=self)

    def __repr__(self) -> str:
        return f"<Pipeline {self._model_name!r} on {self.device}>"

    def __reduce__(self) -> tuple[Any, ...]:
        state = {
            "model": self._model_name,
            "device": self.device,
            "precision": self._precision,
            "threads": self._threads,
            "allow_cpu_fallback": self._allow_cpu_fallback,
            "cache_dir": self._cache_dir,
        }
        return _restored, (type(self), state, self._options.parameters())

    def _load(self, device: str, token: str | None) -> _native.Model:
        name: str | None = self._model_name
        if name == "bundled" and not os.path.exists("bundled"):
            name = None
        return _native.Model(name, device, self._precision, token, self._cache_dir)

    def _diarize(
        self,
        file: AudioFile,
        options: _native.Options,
        known: tuple[_native.Voices, float, float] | None,
        hook: Hook | None,
        stop: _native.Stop | None,
        stacklevel: int,
    ) -> DiarizeOutput:
        with opened(file, twice=known is not None) as recording:
            found = self._model.diarize(recording.source, options, listening(hook, recording.file), known, stop)
            result = DiarizeOutput(found, recording.uri, self._model.dimension)
            warn(recording.uri, result.warnings, stacklevel)
            if hook is not None:
                hook("discrete_diarization", result.speaker_diarization, file=recording.file)
        return result

    def _activity(self, file: AudioFile, speakers: int, hook: Hook | None) -> list[Segment]:
        with opened(file) as recording:
            hear = listening(hook, recording.file)
            active = self._model.activity(recording.source, speakers, self._options, hear)
            warn(recording.uri, active["warnings"], 3)
        return [Segment(start, end) for start, end in active["spans"]]

    def _options_for(
        self, num_speakers: int | None, min_speakers: int | None, max_speakers: int | None
    ) -> _native.Options:
        counts = {"num_speakers": num_speakers, "min_speakers": min_speakers, "max_speakers": max_speakers}
        return self._options.with_speakers(
            *(None if value is None else count_of(option, value) for option, value in counts.items())
        )


def _restored(kind: type[Pipeline], state: dict[str, Any], parameters: str) -> Pipeline:
    pipeline = kind(**state)
    pipeline._options.restore(parameters)
    return pipeline


def _checked(name: str | bytes) -> str:
    """The name of a model as text, which must be UTF-8."""
    text = os.fsdecode(name)
    if not text or printable(text) != text:
        raise OptionError(f"checkpoint is {text!r}, but must be a name in UTF-8: rename the directory or file")
    return text


def _device_name(device: Any) -> str:
    """The native name of a device. ``str`` of a ``torch.device`` is its name."""
    name = str(device)
    return "metal" + name[3:] if name == "mps" or name.startswith("mps:") else name


def _known(voices: Voices | None, threshold: float, margin: float) -> tuple[_native.Voices, float, float] | None:
    """The voices as the native library takes them."""
    if voices is None:
        return None
    from ._voices import Voices

    expect("voices", voices, Voices, f"Voices; Voices.load({voices!r}) reads a file" if isinstance(voices, str) else "Voices")
    return voices._native, number_of("identify_threshold", threshold), number_of("identify_margin", margin)
