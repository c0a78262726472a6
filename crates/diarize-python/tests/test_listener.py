"""Recordings that arrive in blocks."""

import pickle

import numpy
import pytest

from diarize_rs import AudioError, Error, Listener, ListenerEndedError


def test_blocks_of_any_length_give_the_same_result(pipeline, result, samples):
    for length in (160, 100_000, samples.shape[1]):
        listener = Listener(pipeline, uri="conversation")
        for start in range(0, samples.shape[1], length):
            listener.push(samples[:, start : start + length])
        assert listener.seconds == pytest.approx(result.duration)
        assert listener.finish() == result


def test_another_sample_rate_with_two_channels(pipeline, samples):
    stereo = numpy.concatenate([samples, samples // 2])
    whole = pipeline({"waveform": stereo, "sample_rate": 22_050, "uri": "stream"})
    listener = pipeline.listen(22_050)
    for start in range(0, stereo.shape[1], 30_000):
        listener.push(stereo[:, start : start + 30_000])
    assert listener.finish() == whole


def test_provisional_results(pipeline, samples):
    steps = []
    listener = pipeline.listen(hook=lambda step, artifact, **progress: steps.append(step))
    listener.push(samples[:, :160_000])
    part = listener.provisional()
    assert part.duration == 10.0 and len(part.labels()) > 0 and "embeddings" in steps
    listener.push(samples[:, 160_000:])
    assert len(listener.finish().labels()) == 3


def test_hooks_cannot_call_their_listener(pipeline, samples):
    listener = pipeline.listen(hook=lambda *call, **progress: listener.provisional())
    listener.push(samples)
    with pytest.raises(Error, match="a hook cannot call the listener"):
        listener.finish()


def test_the_end(pipeline, samples):
    listener = pipeline.listen(num_speakers=1)
    listener.push(samples[0, :64_000])
    assert listener.finish().labels() == ["SPEAKER_00"]
    for call in (lambda: listener.push(samples), listener.provisional, listener.finish):
        with pytest.raises(ListenerEndedError, match="start another listener"):
            call()
    assert listener.seconds == 0.0


def test_errors_end_a_listener(pipeline):
    listener = pipeline.listen()
    with pytest.raises(AudioError, match="NaN"):
        listener.push(numpy.full(64_000, numpy.nan, "f4"))
    with pytest.raises(ListenerEndedError):
        listener.finish()
    with pytest.raises(AudioError, match="no audio samples"):
        pipeline.listen().finish()
    with pytest.raises(AudioError, match="sample_rate is 0"):
        pipeline.listen(0)
    with pytest.raises(TypeError):
        pickle.dumps(pipeline.listen())
