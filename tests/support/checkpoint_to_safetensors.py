"""Writes the tensors of a PyTorch checkpoint (zip) as safetensors, without PyTorch.

usage: checkpoint_to_safetensors.py CHECKPOINT OUTPUT

Reads the pickle with every class but tensors replaced by an inert stand-in. Only f32 tensors that
lie contiguously in their storage are written.
"""

import json
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict


class Inert:
    """Stands for whatever a checkpoint holds beside tensors."""

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass


def rebuild_tensor(storage, offset, shape, stride, *rest):
    expected, size = [], 1
    for length in reversed(shape):
        expected.insert(0, size)
        size *= length
    kind, key = storage
    if kind != "FloatStorage" or any(s != e for s, e, n in zip(stride, expected, shape) if n > 1):
        return None
    return key, offset, size, list(shape)


class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if name == "_rebuild_tensor_v2":
            return rebuild_tensor
        if module == "torch" and name.endswith("Storage"):
            return type(name, (Inert,), {})
        return Inert

    def persistent_load(self, reference):
        _, kind, key, *_ = reference
        return kind.__name__, key


archive = zipfile.ZipFile(sys.argv[1])
root = next(name for name in archive.namelist() if name.endswith("/data.pkl"))[: -len("data.pkl")]
state = Unpickler(archive.open(root + "data.pkl")).load()["state_dict"]
header, data = {}, b""
for name, tensor in state.items():
    if tensor is not None:
        key, offset, size, shape = tensor
        values = archive.read(f"{root}data/{key}")[4 * offset : 4 * (offset + size)]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(sys.argv[2], "wb") as output:
    output.write(struct.pack("<Q", len(text)) + text + data)
