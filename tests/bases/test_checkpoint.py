"""What a file is, and what is wrong with it, said in our words."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

from featx.bases.architectures.tiny import tiny
from featx.bases.checkpoint import looks_like_weights
from featx.bases.weights import digest_file
from featx.errors import WeightsError
from tests.conftest import load_base


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)


def write(content: Any, path: Path) -> None:
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "torchscript":
        torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)).save(str(path))
    elif content == "npz":
        with path.open("wb") as file:
            np.savez(file, a=np.zeros(2))
    elif content == "truncated":
        torch.save(tiny().state_dict(), path)
        path.write_bytes(path.read_bytes()[:2000])
    elif content == "legacy":
        torch.save(Whole(), path, _use_new_zipfile_serialization=False)
    else:
        torch.save(content, path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["w.pth", "w.ckpt", "w"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Whole(), r"is a whole pickled model \(Whole\): save its state_dict"),
        ("legacy", r"is a whole pickled model \(Whole\): save its state_dict"),
        ("torchscript", "is a TorchScript program: save its state_dict"),
        ("npz", "is an archive, but none that torch.save wrote"),
        ("truncated", "is truncated or damaged"),
        (["a", 1], "holds no named tensors but a list"),
        (torch.zeros(3), "holds no named tensors but a Tensor"),
        ({"epoch": 3}, "holds no named tensors but a dict"),
        (b"", "it is empty"),
        (save({}), "it holds no tensors"),
        (b"<!doctype html><html>404", "is a web page: the download failed"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\n", "is a Git LFS pointer"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
        (pickle.dumps({"layer": np.zeros(3)}), "cannot be read: it "),
    ],
)
def test_a_file_of_another_kind_is_named_without_advice_to_be_unsafe(
    tmp_path: Path, name: str, content: Any, message: str
) -> None:
    write(content, tmp_path / name)
    with pytest.raises(WeightsError, match=message) as caught:
        load_base("tiny", str(tmp_path / name))
    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["w.safetensors", "w.bin"])
def test_the_length_of_a_header_may_begin_like_a_pickle(tmp_path: Path, name: str) -> None:
    state = tiny().state_dict()
    for padding in range(256):
        data = save(state, {"padding": "x" * padding})
        if data[:1] == b"\x80":
            break
    assert data[:1] == b"\x80"
    (tmp_path / name).write_bytes(data)
    assert load_base("tiny", str(tmp_path / name)).id.weights == digest_file(tmp_path / name)


def test_only_files_that_begin_as_weights_do_look_like_weights(tmp_path: Path) -> None:
    torch.save(tiny().state_dict(), tmp_path / "odd")
    (tmp_path / "text").write_text("root:x:0:0:root:/root:/bin/bash\n")
    assert looks_like_weights(tmp_path / "odd")
    assert not looks_like_weights(tmp_path / "text")
    assert not looks_like_weights(tmp_path)
    assert not looks_like_weights(tmp_path / "none")
