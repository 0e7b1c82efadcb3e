"""What torch saves is read as torch reads it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from featx.bases.checkpoint import find_states
from featx.bases.weight_files.weights_file import NotWeights, WeightsFile

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.bool),
]


def numbers(*shape: int) -> torch.Tensor:
    return torch.arange(1, 1 + torch.Size(shape).numel()).reshape(shape)


def views() -> dict[str, torch.Tensor]:
    whole = torch.randn(6, 4, 3, 3)
    return {
        "whole": whole,
        "turned": whole[:, :, 0, 0].t(),
        "channels_last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "later_rows": whole[2:4],
        "every_second": torch.arange(10.0)[::2],
        "scalar": torch.tensor(3.0),
        "empty": torch.zeros(0, 3),
        "one_of_many": whole[:1].expand(1, 4, 3, 3),
    }


CONTENTS: dict[str, dict[str, Any]] = {
    "dtypes": {str(dtype): numbers(3, 4).to(dtype) for dtype in DTYPES},
    "views": views(),
    "parameters": {"a": nn.Parameter(torch.randn(3)), "b": nn.Buffer(torch.randn(2))},
    "module": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).state_dict(),
    "tied": dict.fromkeys(("a", "b"), torch.randn(5)),
}


def read(path: Path) -> dict[str, torch.Tensor]:
    with WeightsFile(path) as file:
        read_ = {}
        for name, tensor in find_states(file)[""].items():
            tensor.check(name)
            read_[name] = tensor.read()
            pieces = [torch.from_numpy(piece.copy()) for piece in tensor.pieces()]
            flat = torch.cat(pieces) if pieces else torch.zeros(0)
            expected = read_[name].float() if read_[name].is_floating_point() else read_[name]
            assert torch.equal(flat, expected.reshape(-1)), name
        return read_


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}])
@pytest.mark.parametrize("name", list(CONTENTS))
def test_what_torch_saves_is_read_as_torch_reads_it(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(CONTENTS[name], path, **options)
    found = read(path)
    assert found.keys() == CONTENTS[name].keys()
    for key, expected in CONTENTS[name].items():
        assert found[key].dtype == expected.dtype
        assert found[key].shape == expected.shape
        # Some dtypes know no comparison.
        assert torch.equal(found[key].double(), expected.detach().double()), key


def test_an_archive_packed_anew_or_with_its_big_end_first_is_read_as_well(tmp_path: Path) -> None:
    state = {"a": torch.randn(20, 30), "b": torch.arange(6)}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    for name in ("deflated", "big"):
        method = zipfile.ZIP_DEFLATED if name == "deflated" else zipfile.ZIP_STORED
        with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(tmp_path / name, "w", method) as new:
            new.comment = b"packed anew"
            for member in old.namelist():
                data = old.read(member)
                if name == "big" and member.endswith("byteorder"):
                    data = b"big"
                if name == "big" and "/data/" in member:
                    tensor = state["a" if member.endswith("/0") else "b"]
                    data = tensor.numpy().byteswap().tobytes()
                new.writestr(member, data)
        found = read(tmp_path / name)
        assert all(torch.equal(found[key], tensor) for key, tensor in state.items())


def test_an_archive_with_sizes_of_64_bits_is_read(tmp_path: Path) -> None:
    state = {"a": torch.randn(3)}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(tmp_path / "w.pth", "w") as new:
        for member in old.namelist():
            with new.open(member, "w", force_zip64=True) as file:
                file.write(old.read(member))
    assert torch.equal(read(tmp_path / "w.pth")["a"], state["a"])


def test_what_would_be_called_is_named_and_not_called(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    torch.save(Trap(), tmp_path / "w.pth")
    with pytest.raises(NotWeights, match="whole pickled model"):
        read(tmp_path / "w.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("cut", [10, 100, 1000, -1])
def test_a_file_that_was_cut_is_damaged(tmp_path: Path, cut: int) -> None:
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        torch.save({"a": torch.randn(1000)}, tmp_path / "w.pth", **options)
        data = (tmp_path / "w.pth").read_bytes()
        (tmp_path / "w.pth").write_bytes(data[:cut])
        with pytest.raises(NotWeights, match="damaged|none that torch.save wrote"):
            read(tmp_path / "w.pth")
