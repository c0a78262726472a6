"""Networks of other shapes than the stock ones, made with the real pyannote.audio 3.3.2.

usage: make_shapes.py OUTPUT_DIR

Writes `shapes.safetensors`: what each network answers to 1.5 s of a waveform that follows from a
formula. All weights follow from the formula of `cargo xtask deterministic-model` (seed 5), so that
no checkpoint is needed, except for `small.ckpt`: a genuine Lightning checkpoint, small and not
monolithic, with PyTorch's random weights.

Needs torch 2.8.0, lightning 2.5.6 and pyannote.audio 3.3.2.
"""

import json
import sys
import warnings

warnings.filterwarnings("ignore")
import numpy as np
import pytorch_lightning as pl
import torch
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.embedding import WeSpeakerResNet152
from pyannote.audio.models.segmentation import PyanNet
from safetensors.numpy import save_file

SEED, SAMPLES = 5, 24000
MASK = (1 << 64) - 1


def uniform(name, count):
    """Numbers in [0, 1) from a name: FNV-1a, then SplitMix64."""
    hash = 0xCBF29CE484222325
    for byte in name.encode():
        hash = ((hash ^ byte) * 0x100000001B3) & MASK
    with np.errstate(over="ignore"):
        z = np.uint64(hash ^ SEED) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / float(1 << 24)


def values(name, shape):
    """The values of a tensor of the state dict, or None where pyannote computes them itself."""
    if ("filterbank" in name and name.endswith(("n_", "window_"))) or name.endswith("num_batches_tracked"):
        return None
    count = int(np.prod(shape))
    u = uniform(name, count)
    v = 2 * u - 1
    norm = len(shape) == 1 and any(part in name for part in ("norm", ".bn", "shortcut.1"))
    if name.endswith("low_hz_"):
        r = 30 + 150 * np.arange(count) + 40 * u
    elif name.endswith("band_hz_"):
        r = 60 + 200 * u
    elif name.endswith("running_var") or (norm and name.endswith(".weight")):
        r = 0.5 + u
    elif name.endswith("running_mean"):
        r = 0.3 * v
    elif norm:
        r = 0.2 * v
    elif "bias" in name:
        r = 0.1 * v
    elif name.startswith("lstm.weight"):
        r = 2 * np.sqrt(3 / 128) * v
    else:
        gain = 20.0 if name == "classifier.weight" else 1.5 if name.startswith("linear.") else {4: 0.8, 3: 1.5}.get(len(shape), 1.0)
        r = gain * np.sqrt(3 / np.prod(shape[1:])) * v
    return torch.from_numpy(r.astype(np.float32).reshape(shape))


def fill(model):
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            filled = values(name, tuple(tensor.shape))
            if filled is not None:
                tensor.copy_(filled)
    return model


def specifications(powerset):
    return Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION if powerset else Problem.MULTI_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=5.0,
        min_duration=5.0,
        warm_up=(0.0, 0.0),
        classes=["speaker#1", "speaker#2", "speaker#3"],
        powerset_max_classes=2 if powerset else None,
        permutation_invariant=True,
    )


def pyannet(powerset=True, sincnet={}, lstm={}, linear={}):
    stock = {"hidden_size": 128, "num_layers": 4, "bidirectional": True, "monolithic": True, "dropout": 0.5}
    torch.manual_seed(SEED)
    model = PyanNet(sincnet={"stride": 10} | sincnet, lstm=stock | lstm, linear={"hidden_size": 128, "num_layers": 2} | linear)
    model.specifications = specifications(powerset)
    model.setup()
    return model.eval()


output = sys.argv[1]
torch.set_num_threads(1)
waveform = torch.from_numpy((0.3 * (2 * uniform("waveform", SAMPLES) - 1)).astype(np.float32))
answers = {}
with torch.no_grad():
    networks = {
        "stride_5": fill(pyannet(sincnet={"stride": 5})),
        "lstm_2x64_one_direction": fill(pyannet(lstm={"hidden_size": 64, "num_layers": 2, "bidirectional": False})),
        "no_linear": fill(pyannet(linear={"num_layers": 0})),
        "multilabel": fill(pyannet(powerset=False)),
        "small": pyannet(
            powerset=False,
            sincnet={"stride": 5},
            lstm={"hidden_size": 12, "num_layers": 2, "monolithic": False},
            linear={"hidden_size": 16, "num_layers": 1},
        ),
    }
    for name, model in networks.items():
        answers[name] = model(waveform[None, None])[0]
    embedding = WeSpeakerResNet152()
    embedding.specifications = Specifications(problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=5.0)
    embedding.setup()
    fill(embedding.eval())
    mask = torch.ones(1, 50)
    mask[0, 20:35] = 0
    answers["resnet152"] = embedding(waveform[None, None], weights=mask)[0]
answers = {name: answer.numpy() for name, answer in answers.items()}
for name, answer in answers.items():
    print(name, answer.shape, answer.std(), np.isfinite(answer).all())
about = {"made_with": "pyannote.audio 3.3.2, torch 2.8.0, CPU, one thread", "script": "make_shapes.py"}
save_file(answers, f"{output}/shapes.safetensors", metadata={"about": json.dumps(about)})

trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
trainer.strategy.connect(networks["small"])
trainer.save_checkpoint(f"{output}/small.ckpt", weights_only=True)
