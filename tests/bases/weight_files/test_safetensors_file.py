"""Files of safetensors are read as their own library reads them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from featx.bases.weight_files.safetensors_file import read_safetensors
from featx.bases.weight_files.weights_file import NotWeights, WeightsFile

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.bool),
]


def read(path: Path) -> dict[str, torch.Tensor]:
    with WeightsFile(path) as file:
        found = read_safetensors(file)
        for name, tensor in found.items():
            tensor.check(name)
        return {name: tensor.read() for name, tensor in found.items()}


def write(path: Path, header: Any, data: bytes) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_every_dtype_and_shape_is_read_as_the_library_reads_it(tmp_path: Path) -> None:
    state = {str(dtype): torch.arange(12).reshape(3, 4).to(dtype) for dtype in DTYPES}
    state |= {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "deep": torch.randn(1, 2, 3, 4)}
    save_file(state, tmp_path / "w.safetensors", {"format": "pt"})
    found = read(tmp_path / "w.safetensors")
    expected = load_file(tmp_path / "w.safetensors")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert torch.equal(found[name].double(), tensor.double()), name


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ([([2], [0, 8]), ([2], [4, 12])], "overlap or leave gaps"),
        ([([2], [0, 8]), ([1], [8, 8])], "do not end where the file does"),
        ([([2], [0, 8]), ([2], [8, 12])], "another size than its shape"),
        ([([-1, -1], [0, 4]), ([2], [4, 12])], "no tensor has such a shape"),
        ([([2], [0, 8]), ([1], [8, 12]), ([1], [12, 16])], "do not end where the file does"),
    ],
)
def test_tensors_that_do_not_fill_the_file_are_refused(
    tmp_path: Path, places: list[tuple[list[int], list[int]]], message: str
) -> None:
    header = {str(n): {"dtype": "F32", "shape": shape, "data_offsets": at} for n, (shape, at) in enumerate(places)}
    with pytest.raises(NotWeights, match=message):
        read(write(tmp_path / "w.safetensors", header, bytes(12)))
