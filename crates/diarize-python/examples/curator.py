"""A stage for NVIDIA NeMo Curator that adds the turns of a recording to its manifest entry::

    from nemo_curator.pipeline import Pipeline
    from nemo_curator.stages.resources import Resources

    stage = DiarizeStage(model="bundled").with_(resources=Resources(cpus=4.0))
    Pipeline(name="speakers", stages=[reader, stage, writer]).run()

It reads ``audio_filepath`` and adds ``diarization`` (a list of start, end, speaker, confidence and overlap; times in seconds),
``num_speakers`` and ``diarization_error``, which is ``None`` unless the recording cannot be diarized.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nemo_curator.backends.base import WorkerMetadata
from nemo_curator.stages.base import ProcessingStage
from nemo_curator.stages.resources import Resources
from nemo_curator.tasks import AudioTask

from diarize_rs import Error, Pipeline


@dataclass
class DiarizeStage(ProcessingStage[AudioTask, AudioTask]):
    """Diarizes the recording of each task.

    :param model: as in ``Pipeline.from_pretrained``
    :param filepath_key: the key of the recording's path
    """

    model: str = "bundled"
    filepath_key: str = "audio_filepath"
    name: str = "diarize"
    resources: Resources = field(default_factory=lambda: Resources(cpus=1.0))
    batch_size: int = 1

    def setup(self, worker_metadata: WorkerMetadata | None = None) -> None:
        """Loads the model, once for each worker."""
        self._pipeline = Pipeline.from_pretrained(self.model, threads=max(1, int(self.resources.cpus)))

    def inputs(self) -> tuple[list[str], list[str]]:
        """What a task must have."""
        return ["data"], [self.filepath_key]

    def outputs(self) -> tuple[list[str], list[str]]:
        """What the stage adds."""
        return ["data"], ["diarization", "num_speakers", "diarization_error"]

    def process(self, task: AudioTask) -> AudioTask:
        """Adds the turns to a task. A recording that cannot be diarized gets its error."""
        added: dict[str, Any] = {"diarization": [], "num_speakers": 0, "diarization_error": None}
        try:
            result = self._pipeline(task.data[self.filepath_key])
            records = result.speaker_diarization.records()
            added["diarization"] = [{key: record[key] for key in record if key != "file"} for record in records]
            added["num_speakers"] = len(result.speakers)
        except Error as error:
            added["diarization_error"] = str(error)
        task.data.update(added)
        return task
