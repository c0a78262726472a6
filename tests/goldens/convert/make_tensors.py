"""SHA-256 of each tensor of checkpoints and PLDA files, read with PyTorch and NumPy.

usage: make_tensors.py SHARED OUTPUT.json

A tensor's hash is that of its values in C order, little-endian, in its own dtype. SHARED is the
folder with the real models; `small.ckpt` of this folder is in the list too.
"""

import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch

shared, output = Path(sys.argv[1]), sys.argv[2]


def described(array):
    array = np.ascontiguousarray(array).reshape(array.shape)
    kind = {"float32": "F32", "float64": "F64", "int64": "I64"}[array.dtype.name]
    return {"dtype": kind, "shape": list(array.shape), "sha256": hashlib.sha256(array.tobytes()).hexdigest()}


def state_dict(file):
    loaded = torch.load(file, map_location="cpu", weights_only=False)
    return {name: described(tensor.numpy()) for name, tensor in loaded.get("state_dict", loaded).items()}


def member(path, suffix):
    archive = zipfile.ZipFile(path)
    (name,) = [name for name in archive.namelist() if name.endswith(suffix)]
    return io.BytesIO(archive.read(name))


checkpoints = "real/checkpoints"
listed = {
    f"{checkpoints}/{name}": state_dict(shared / checkpoints / name)
    for name in (
        "lightning-3.1.1-toy.ckpt",
        "pipeline-3.1/segmentation/pytorch_model.bin",
        "pipeline-3.1/embedding/pytorch_model.bin",
    )
}
first = "pyannet-v1-sad-ami.zip"
listed[f"{checkpoints}/{first}"] = state_dict(member(shared / checkpoints / first, ".pt"))
for name in ("real/plda/plda.npz", "real/plda/xvec_transform.npz"):
    listed[name] = {key: described(array) for key, array in np.load(shared / name).items()}
listed["small.ckpt"] = state_dict(Path(__file__).with_name("small.ckpt"))
Path(output).write_text(json.dumps(listed, indent=1) + "\n")
