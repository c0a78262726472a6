"""ONNX exports of small networks with weights from a formula, made as the exporters of other projects make them.

usage: make_onnx.py OUTPUT-FOLDER [CHECKPOINT]
needs: pyannote.audio==3.3.2 torch==2.8.0 onnx==1.19.1 onnxruntime==1.23.2 onnxslim==0.1.71 safetensors

| file | made as by |
|---|---|
| segmentation.onnx, segmentation.int8.onnx | sherpa-onnx, scripts/pyannote/segmentation/export-onnx.py |
| segmentation.community.onnx, segmentation.community.int8.onnx | onnx-community: constants computed by onnxslim, int8 per channel |
| segmentation.speakrs.safetensors | speakrs, scripts/cuda/export_weights.py: the initializers of an export |
| embedding.onnx | WeSpeaker, wespeaker/bin/export_onnx.py, with a mean vector |
| embedding.community.onnx, embedding.community.int8.onnx | onnx-community: pyannote's port without a mean vector |
| embedding.bottleneck.onnx | WeSpeaker, for a network with bottleneck blocks |
| embedding.speakrs.safetensors | speakrs: the initializers of an export that keeps the names of convolutions |

The weights are those of `diarize_testkit::deterministic_model` for seed 5 and the architectures below. With a checkpoint of
a PyanNet, only that network is exported.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxslim
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from pyannote.audio import Model
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.embedding.wespeaker.resnet import BasicBlock, Bottleneck, ResNet
from pyannote.audio.models.segmentation import PyanNet
from safetensors.numpy import save_file

SEED, MASK = 5, (1 << 64) - 1
folder = Path(sys.argv[1])


def uniform(name, count):
    """Numbers in [0, 1): the upper 24 bits of splitmix64, started by FNV-1a of the name."""
    start = 0xCBF29CE484222325
    for byte in name.encode():
        start = ((start ^ byte) * 0x100000001B3) & MASK
    with np.errstate(over="ignore"):
        z = np.uint64(start ^ SEED) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) / 2**24


def value(name, shape):
    count = int(np.prod(shape))
    u = uniform(name, count)
    signed = 2 * u - 1
    norm = len(shape) == 1 and any(part in name for part in ("norm", ".bn", "shortcut.1"))
    if name.endswith("low_hz_"):
        values = 30 + 150 * np.arange(count) + 40 * u
    elif name.endswith("band_hz_"):
        values = 60 + 200 * u
    elif name.endswith("running_var") or (norm and name.endswith(".weight")):
        values = 0.5 + u
    elif name.endswith("running_mean"):
        values = 0.3 * signed
    elif norm and name.endswith(".bias"):
        values = 0.2 * signed
    elif "bias" in name:
        values = 0.1 * signed
    elif name.startswith("lstm.weight"):
        values = 2 * np.sqrt(3 / 128) * signed
    else:
        gain = {4: 0.8, 3: 1.5}.get(len(shape), 1.0)
        gain = 20.0 if name == "classifier.weight" else 1.5 if name.startswith("linear.") else gain
        values = gain * np.sqrt(3 / np.prod(shape[1:])) * signed
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def filled(network, prefix=""):
    for name, tensor in network.state_dict().items():
        if not name.endswith(("n_", "window_", "num_batches_tracked")):
            tensor.copy_(value(prefix + name, tuple(tensor.shape)))
    return network.eval()


def initializers(file):
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(file).graph.initializer}
    return {name: np.ascontiguousarray(t) for name, t in tensors.items() if t.dtype == np.float32}


def small_segmentation():
    network = PyanNet(
        lstm={"hidden_size": 4, "num_layers": 2, "monolithic": True, "dropout": 0.0},
        linear={"hidden_size": 4, "num_layers": 2},
    )
    network.specifications = Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=10.0,
        classes=["speaker#1", "speaker#2", "speaker#3"],
        powerset_max_classes=2,
        permutation_invariant=True,
    )
    network.build()
    return filled(network)


def segmentation(network):
    x = torch.zeros(1, 1, 160_000)
    file = folder / "segmentation.onnx"
    axes = {"x": {0: "N", 2: "T"}, "y": {0: "N", 1: "T"}}
    torch.onnx.export(
        network, x, file, opset_version=13, input_names=["x"], output_names=["y"], dynamic_axes=axes
    )
    model = onnx.load(file)
    facts = {
        "num_speakers": 3,
        "powerset_max_classes": 2,
        "num_classes": 7,
        "sample_rate": 16000,
        "window_size": 160000,
        "receptive_field_size": 991,
        "receptive_field_shift": 270,
        "model_type": "pyannote-segmentation-3.0",
    }
    onnx.helper.set_model_props(model, {key: str(fact) for key, fact in facts.items()})
    onnx.save(model, file)
    quantize_dynamic(file, folder / "segmentation.int8.onnx", weight_type=QuantType.QUInt8)

    file = folder / "segmentation.community.onnx"
    names = {"input_names": ["input_values"], "output_names": ["logits"]}
    axes = {"input_values": {0: "batch_size", 1: "num_channels", 2: "num_samples"}, "logits": {0: "batch_size", 1: "num_frames"}}
    torch.onnx.export(network, x, file, do_constant_folding=True, dynamic_axes=axes, **names)
    onnx.save(onnxslim.slim(str(file)), file)
    quantize_dynamic(file, folder / "segmentation.community.int8.onnx", weight_type=QuantType.QInt8, per_channel=True)

    file = folder / "speakrs.onnx"
    names = {"input_names": ["input"], "output_names": ["output"]}
    axes = {"input": {2: "samples"}, "output": {1: "frames"}}
    torch.onnx.export(network, (x,), file, opset_version=14, dynamo=False, dynamic_axes=axes, **names)
    save_file(initializers(file), folder / "segmentation.speakrs.safetensors")
    file.unlink()


class WithMean(torch.nn.Module):
    def __init__(self, network, mean):
        super().__init__()
        self.model = network
        self.register_buffer("mean_vec", mean)

    def forward(self, feats):
        outputs = self.model(feats)
        return (outputs[-1] if isinstance(outputs, tuple) else outputs) - self.mean_vec


class Port(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.resnet = network

    def forward(self, features):
        return self.resnet(features)[1]


def export(network, name, file):
    feats = torch.ones(1, 200, 80)
    axes = {name: {0: "B", 1: "T"}, "embs": {0: "B"}}
    options = {"input_names": [name], "output_names": ["embs"], "dynamic_axes": axes}
    torch.onnx.export(network, feats, folder / file, do_constant_folding=True, opset_version=14, **options)


def embedding():
    network = filled(ResNet(BasicBlock, [1, 2, 1, 1], m_channels=2, feat_dim=80, embed_dim=4, two_emb_layer=False), "resnet.")
    mean = torch.tensor([0.25, -0.5, 0.125, 1.0])
    export(WithMean(network, mean).eval(), "feats", "embedding.onnx")
    export(Port(network).eval(), "input_features", "embedding.community.onnx")
    deep = filled(ResNet(Bottleneck, [2, 1, 1, 1], m_channels=2, feat_dim=80, embed_dim=4, two_emb_layer=False), "resnet.")
    export(WithMean(deep, torch.zeros(4)).eval(), "feats", "embedding.bottleneck.onnx")

    quantize_dynamic(
        folder / "embedding.community.onnx",
        folder / "embedding.community.int8.onnx",
        weight_type=QuantType.QInt8,
        per_channel=True,
    )

    # The exporter numbers convolutions in the order in which they run.
    order = []
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda *_, name=name: order.append(name))
    network(torch.ones(1, 200, 80))
    values = initializers(folder / "embedding.community.onnx")
    numbers = sorted(int(name.split("_")[1]) for name in values if name.startswith("onnx::Conv_"))
    folded = {name: t for name, t in values.items() if "seg_1." in name}
    for name, kernel, bias in zip(order, numbers[::2], numbers[1::2], strict=True):
        folded[f"resnet.{name}.weight"] = values[f"onnx::Conv_{kernel}"]
        folded[f"resnet.{name}.weight_bias"] = values[f"onnx::Conv_{bias}"]
    save_file(folded, folder / "embedding.speakrs.safetensors")


with torch.no_grad():
    if len(sys.argv) > 2:
        segmentation(Model.from_pretrained(sys.argv[2]).eval())
    else:
        segmentation(small_segmentation())
        embedding()
