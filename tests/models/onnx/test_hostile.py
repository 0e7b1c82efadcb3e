"""ONNX files from strangers: whatever is wrong with one is one clear line, and no other file is opened."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx.errors import ModelError
from featx.models.onnx.model import load_onnx_model
from featx.models.onnx.wire import inspect_onnx

Change = Callable[[Any], None]


@pytest.fixture
def proto(exported: Path) -> Any:
    import onnx

    return onnx.load(exported)


def write(proto: Any, path: Path) -> Path:
    path.write_bytes(proto.SerializeToString())
    return path


def keep_elsewhere(proto: Any) -> None:
    """Let the first constant lie in another file."""
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    tensor.external_data.add(key="location", value="/etc/passwd")


def keep_attribute_elsewhere(proto: Any) -> None:
    node = proto.graph.node.add(op_type="Constant", output=["far"])
    node.attribute.add(name="value", type=4).t.external_data.add(key="location", value="weights.bin")


def use_library(proto: Any) -> None:
    proto.graph.node[0].domain = "com.microsoft"


def import_library(proto: Any) -> None:
    proto.opset_import.add(domain="ai.onnx.contrib", version=1)


def draw(proto: Any) -> None:
    proto.graph.node[0].op_type = "RandomNormalLike"


def loop(proto: Any) -> None:
    proto.graph.node[0].attribute.add(name="body", type=5).g.name = "endless"


def define(proto: Any) -> None:
    proto.functions.add(name="f", domain="own")


def lie_about_size(proto: Any) -> None:
    proto.graph.initializer[0].dims[0] = 2**40


def train(proto: Any) -> None:
    proto.training_info.add()


def take_floats(proto: Any) -> None:
    proto.graph.input[0].type.tensor_type.elem_type = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (keep_elsewhere, "it keeps numbers in other files, which are never opened"),
        (keep_attribute_elsewhere, "it keeps numbers in other files, which are never opened"),
        (use_library, "it uses operators of 'com.microsoft', which are not ONNX's own"),
        (import_library, "it asks for operators of 'ai.onnx.contrib'"),
        (draw, "it uses the operator 'RandomNormalLike', which no model of featx does"),
        (loop, "it has loops or branches"),
        (define, "it defines functions of its own"),
        (lie_about_size, r"a constant of shape \[1099511627776.*\] has \d+ bytes"),
        (train, "the file holds field 20, which featx never writes"),
        (take_floats, "ONNX Runtime cannot load it|does not take and give what its metadata says"),
    ],
)
def test_a_graph_that_featx_never_writes_is_refused(proto: Any, tmp_path: Path, change: Change, message: str) -> None:
    change(proto)
    with pytest.raises(ModelError, match=f"model '.*' cannot be read: ({message})"):
        load_onnx_model(write(proto, tmp_path / "m.onnx"))


def set_fact(proto: Any, name: str, value: object) -> None:
    (entry,) = [entry for entry in proto.metadata_props if entry.key == "featx"]
    entry.value = json.dumps({**json.loads(entry.value), name: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("format", "other", "is not that of a model"),
        ("version", 9, r"its version is '9', this featx reads 1"),
        ("classes", ["a"], "'classes'"),
        ("classes", ["a", "a", "b"], "not all different"),
        ("classes", ["a", "b"], "not one for each of its 2 classes"),
        ("views", 10**9, "'views'"),
        ("input", "elsewhere", "'input'"),
        ("input", "views", "does not take and give what its metadata says"),
        ("architecture", "../../etc/passwd", "'architecture' is not a name of an architecture"),
        ("transform", {"resize": 10**6, "crop": 10**6}, "'transform"),
        ("layers", [], "'layers'"),
    ],
)
def test_metadata_are_believed_only_as_far_as_they_are_checked(
    proto: Any, photos: Path, tmp_path: Path, name: str, value: object, message: str
) -> None:
    set_fact(proto, name, value)
    with pytest.raises(ModelError, match=re.escape(message) if "[" in message else message):
        load_onnx_model(write(proto, tmp_path / "m.onnx")).compute(np.zeros((32, 32, 3), np.uint8))


def test_metadata_that_are_nested_deeply_or_are_no_json_are_refused(proto: Any, tmp_path: Path) -> None:
    (entry,) = [entry for entry in proto.metadata_props if entry.key == "featx"]
    for text in ("[" * 100_000, "", "{", "null"):
        entry.value = text
        with pytest.raises(ModelError, match="its featx metadata is not"):
            load_onnx_model(write(proto, tmp_path / "m.onnx"))
    del proto.metadata_props[:]
    with pytest.raises(ModelError, match="not one that featx export wrote"):
        load_onnx_model(write(proto, tmp_path / "m.onnx"))


def test_a_file_that_is_cut_off_anywhere_is_refused(exported: Path) -> None:
    data = exported.read_bytes()
    for end in (0, 1, 7, 100, len(data) // 2, len(data) - 1):
        with pytest.raises(ModelError):
            inspect_onnx(data[:end])


def test_random_bytes_never_raise_anything_else(exported: Path) -> None:
    data = bytearray(exported.read_bytes())
    random = np.random.default_rng(0)
    for _ in range(30):
        changed = bytearray(data)
        for place in random.integers(0, len(data), 20):
            changed[place] = int(random.integers(256))
        try:
            inspect_onnx(bytes(changed))
        except ModelError:
            continue


def test_a_message_within_itself_and_endless_fields_are_bounded() -> None:
    nested = b""
    for _ in range(20):
        nested = b"\x0a" + struct.pack("B", min(len(nested), 127)) + nested[:127]
    with pytest.raises(ModelError):
        inspect_onnx(b"\x3a" + bytes([len(nested)]) + nested)
    with pytest.raises(ModelError, match="more than 1000000 fields"):
        inspect_onnx(b"\x08\x00" * 1_000_001)


def test_folders_pipes_and_what_is_not_there_are_one_line(tmp_path: Path) -> None:
    import os

    (tmp_path / "folder.onnx").mkdir()
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "text.onnx").write_text("no graph")
    for name in ("folder.onnx", "pipe.onnx", "text.onnx", "nothing.onnx"):
        with pytest.raises(
            ModelError, match=f"model '.*{name}' cannot be read: .*Write one with: featx export"
        ) as caught:
            load_onnx_model(tmp_path / name)
        assert "\n" not in str(caught.value)
