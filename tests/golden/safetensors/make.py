#!/usr/bin/env python3
"""Makes the safetensors files that tests/tensor/safetensors_test.cpp reads.

    pip install safetensors torch && python3 make.py [FOLDER]

package.safetensors    written by the `safetensors` package itself
checksums.safetensors  the bytes that this project's writer has to produce for the same tensors in the order of
                       TENSORS, put together here from the format's text with json, struct and zlib alone, and
                       then read back by the package
"""
import json
import pathlib
import struct
import sys
import zlib

import torch
from safetensors.torch import load_file, save_file

TENSORS = {
    "queue_ptr": torch.tensor([9007199254740993], dtype=torch.int64),  # 2^53 + 1: not a double
    "pixels": torch.arange(250, 255, dtype=torch.uint8).reshape(5, 1),
    "encoder.weight": torch.tensor([[0.5, -1.25, 3.0], [1e-30, float("inf"), -0.0]], dtype=torch.float32),
    "half": torch.tensor([1.0, -2.5, 3.140625], dtype=torch.bfloat16),
    "wide": torch.tensor(0.1, dtype=torch.float64),
    "empty": torch.zeros((0, 3), dtype=torch.float32),
    'na"me\u00e9': torch.tensor([7.0], dtype=torch.float32),
}
METADATA = {"author": "DenseCL", "text": 'a "quote" and a \u00e9'}
NAMES = {torch.float32: "F32", torch.float64: "F64", torch.bfloat16: "BF16", torch.int64: "I64", torch.uint8: "U8"}


def data(tensor):
    return tensor.reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()


def crc(data, before=0):
    return f"{zlib.crc32(data, before):08x}"


def with_checksums():
    names = sorted(TENSORS, key=lambda name: -TENSORS[name].element_size())  # stable: wider types first
    begin, at = {}, 0
    for name in names:
        begin[name] = at
        at += len(data(TENSORS[name]))
    header = {"__metadata__": {"dcl.crc32": "0" * 8}}
    for name, tensor in TENSORS.items():
        header["__metadata__"]["dcl.crc32:" + name] = crc(data(tensor))
    header["__metadata__"].update(sorted(METADATA.items()))
    for name, tensor in TENSORS.items():
        header[name] = {
            "dtype": NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin[name], begin[name] + len(data(tensor))],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    front = struct.pack("<Q", len(text)) + text
    front = front.replace(b'"dcl.crc32":"00000000"', b'"dcl.crc32":"%s"' % crc(front).encode(), 1)
    return front + b"".join(data(TENSORS[name]) for name in names)


folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
save_file(TENSORS, folder / "package.safetensors", metadata={"author": "DenseCL"})
(folder / "checksums.safetensors").write_bytes(with_checksums())
for name, tensor in load_file(folder / "checksums.safetensors").items():
    assert tensor.dtype == TENSORS[name].dtype and data(tensor) == data(TENSORS[name]), name
