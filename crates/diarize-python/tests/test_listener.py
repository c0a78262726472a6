"""Recordings that arrive in blocks."""

import gc
import pickle
import weakref

import numpy
import pytest

from diarize_rs import AudioError, DiarizationWarning, Error, Listener, ListenerEndedError, OptionError


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
    assert listener.seconds == 4.0


def test_errors_end_a_listener(pipeline):
    listener = pipeline.listen()
    with pytest.raises(AudioError, match="NaN"):
        listener.push(numpy.full(64_000, numpy.nan, "f4"))
    with pytest.raises(ListenerEndedError):
        listener.finish()
    with pytest.raises(AudioError, match="no audio samples"):
        pipeline.listen().finish()
    for rate in (0, 999, 10**30):
        with pytest.raises(AudioError, match=f"sample_rate is {rate}, but must be .* from 1000 to 768000"):
            pipeline.listen(rate)
    with pytest.raises(OptionError, match="uri is 3"):
        pipeline.listen(uri=3)
    with pytest.raises(TypeError):
        pickle.dumps(pipeline.listen())


def test_a_failed_call_ends_a_listener_and_leaves_no_events(pipeline, samples):
    calls = []

    def hook(step, artifact, **progress):
        calls.append(step)
        raise KeyError(step)

    listener = pipeline.listen(hook=hook)
    listener.push(samples[:, :80_000])
    with pytest.raises(KeyError):
        listener.provisional()
    for call in (lambda: listener.push(samples), listener.provisional, listener.finish):
        with pytest.raises(ListenerEndedError):
            call()
    assert len(calls) == 1 and listener.seconds == 5.0


def test_a_wrong_block_ends_no_listener(pipeline, result, samples):
    listener = pipeline.listen(uri="conversation")
    for wrong, sentence in ((samples.astype("i8"), "dtype int64"), (samples[None], "shape"), (b"\0\0", "are bytes")):
        with pytest.raises(AudioError, match=sentence):
            listener.push(wrong)
    listener.push(samples)
    assert listener.finish() == result


def test_problems_with_the_audio_are_warnings(pipeline, samples):
    listener = pipeline.listen(uri="door")
    waveform = samples / 32768
    waveform[0, 5_000] = 100
    listener.push(waveform)
    with pytest.warns(DiarizationWarning, match="door: 1 sample is far beyond full scale") as warned:
        result = listener.finish()
    assert len(warned) == len(result.warnings) and warned[0].filename == __file__


def test_a_hook_that_has_the_listener_is_collected(pipeline):
    class Hook:
        def __call__(self, step, artifact, **progress):
            pass

    hook = Hook()
    hook.listener = pipeline.listen(hook=hook)
    collected = weakref.ref(hook)
    del hook
    gc.collect()
    assert collected() is None
