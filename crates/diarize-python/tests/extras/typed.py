"""What callers write, for the check of types."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diarize_rs import Annotation, DiarizeOutput, Listener, Pipeline, ProgressHook, Score, Segment, Voices, score

pipeline: Pipeline = Pipeline.from_pretrained("bundled", device="cpu", threads=2)
with ProgressHook() as hook:
    result: DiarizeOutput = pipeline(Path("meeting.mp3"), num_speakers=3, hook=hook)
turn: Segment
speaker: str
for turn, speaker in result.speaker_diarization:
    start: float = turn.start
    print(start, turn.duration, speaker)
for segment, track, label in result.itertracks(yield_label=True):
    print(segment, track, label)
exclusive: Annotation = result.exclusive_speaker_diarization
embeddings: NDArray[np.float32] | None = result.speaker_embeddings
rttm: str = result.to_rttm()
samples: NDArray[np.int16] = np.zeros((1, 16_000), np.int16)
pipeline({"waveform": samples, "sample_rate": 16_000})
listener: Listener = pipeline.listen(48_000, max_speakers=2)
listener.push(samples)
provisional: DiarizeOutput = listener.provisional()
voices: Voices = Voices(pipeline)
seconds: float = voices.enroll("Ann", pipeline, "ann.wav")
scored: Score = score("reference.rttm", result, collar=0.5)
rate: float = scored.diarization_error_rate
speech: list[Segment] = pipeline.vad("meeting.mp3")
common: Segment = speech[0] & speech[1] | speech[2] ^ speech[3]
inside: bool = common in speech[0] and common.overlaps(1.5) and common.intersects(speech[1])
renamed: Annotation = result.rename_labels({"SPEAKER_00": "Ann"})
most: str | None = result.argmax()
result.uri = "meeting"
rows: NDArray[np.float32] = pipeline.embed("meeting.mp3", speech)
for file, outcome in pipeline.map(["a.wav", "b.wav"], batch=2, voices=voices):
    if isinstance(outcome, Exception):
        print(file, outcome)
    else:
        print(file, outcome.labels())
