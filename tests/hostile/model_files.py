"""Model files that no featx would write: each made of a sound one."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Facts = dict[str, Any]
Arrays = dict[str, np.ndarray]

DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "uint8": "U8"}


def take_apart(data: bytes) -> tuple[Facts, Arrays]:
    """Take a model file apart: facts and arrays."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    facts = json.loads(header.pop("__metadata__")["featx"])
    body = data[8 + length :]
    arrays = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        kind = next(numpy_name for numpy_name, short in DTYPES.items() if short == entry["dtype"])
        arrays[name] = np.frombuffer(body[begin:end], kind).reshape(entry["shape"]).copy()
    return facts, arrays


def put_together(facts: Any, arrays: Mapping[str, Any], header: Mapping[str, Any] | None = None) -> bytes:
    """Make a file of facts (a text stays as it is) and arrays; entries of `header` go before those of the arrays."""
    text = facts if isinstance(facts, str) else json.dumps(facts)
    entries: dict[str, Any] = {"__metadata__": {"featx": text}}
    body = b""
    # Sorted by size, as safetensors aligns them.
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].itemsize):
        begin = len(body)
        body += array.tobytes()
        entries[name] = {"dtype": DTYPES[array.dtype.name], "shape": array.shape, "data_offsets": [begin, len(body)]}
    packed = json.dumps({**entries, **(header or {})}).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(packed)) + packed + body


@dataclass(frozen=True)
class Case:
    """A hostile model file.

    Attributes
    ----------
    name : str
    write : callable
        Writes it to a path, given the bytes of a sound model.
    may_predict : bool
        Whether it is odd rather than wrong: it may predict, with finite probabilities.
    """

    name: str
    write: Callable[[Path, bytes], None]
    may_predict: bool = field(default=False, kw_only=True)


def raw(name: str, data: bytes) -> Case:
    """These very bytes."""
    return Case(name, lambda path, sound: path.write_bytes(data) and None)


def facts(name: str, may_predict: bool = False, **changes: Any) -> Case:
    """Other facts: `base__transform__crop=3` changes the crop."""

    def write(path: Path, sound: bytes) -> None:
        changed, arrays = take_apart(sound)
        for place, value in changes.items():
            *outer, last = place.split("__")
            target = changed
            for step in outer:
                target = target[step]
            target[last] = value
        path.write_bytes(put_together(changed, arrays))

    return Case(name, write, may_predict=may_predict)


def text(name: str, change: Callable[[str], str], may_predict: bool = False) -> Case:
    """Another text of the facts."""

    def write(path: Path, sound: bytes) -> None:
        changed, arrays = take_apart(sound)
        path.write_bytes(put_together(change(json.dumps(changed)), arrays))

    return Case(name, write, may_predict=may_predict)


def arrays(name: str, change: Callable[[Arrays], Any], may_predict: bool = False, **fact_changes: Any) -> Case:
    """Other arrays, changed in place or returned anew."""

    def write(path: Path, sound: bytes) -> None:
        old_facts, changed = take_apart(sound)
        changed = change(changed) or changed
        path.write_bytes(put_together({**old_facts, **fact_changes}, changed))

    return Case(name, write, may_predict=may_predict)


def header(name: str, **entries: Any) -> Case:
    """Other entries in the header, whatever bytes there are."""

    def write(path: Path, sound: bytes) -> None:
        old_facts, old_arrays = take_apart(sound)
        path.write_bytes(put_together(old_facts, old_arrays, entries))

    return Case(name, write)


class Bomb:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


def zipped(deflated: int) -> bytes:
    """An archive as torch writes them, with a pickle in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb()))
        archive.writestr("archive/zeros", bytes(deflated))
    return file.getvalue()


def set_all(name: str, value: float) -> Callable[[Arrays], None]:
    """Fill an array with one number."""

    def change(changed: Arrays) -> None:
        changed[name] = np.full_like(changed[name], value)

    return change


def make_mlp(size: float) -> Callable[[Arrays], Arrays]:
    """The arrays of an MLP of huge weights."""

    def change(changed: Arrays) -> Arrays:
        length = len(changed["mean"])
        return {
            "mean": changed["mean"],
            "scale": changed["scale"],
            "hidden_weights": np.full((4, length), size, np.float32),
            "hidden_intercept": np.zeros(4, np.float32),
            "weights": np.array([[size, -size, size, -size], [-size, size, size, 1]], np.float32),
            "intercept": np.zeros(2, np.float32),
        }

    return change


def with_base(value: float, dtype: str = "float32", **more: Any) -> Callable[[Arrays], None]:
    """Tensors of the base in the file, all of one number."""

    def change(changed: Arrays) -> None:
        from featx.bases.architectures.tiny import tiny

        for name, tensor in tiny().state_dict().items():
            if tensor.is_floating_point():
                changed[f"base.{name}"] = np.full(tuple(tensor.shape), value, dtype)
        changed.update(more)

    return change


def sparse(size: int, claimed: int) -> Callable[[Path, bytes], None]:
    """A file of holes that begins with the length of a header."""

    def write(path: Path, sound: bytes) -> None:
        with path.open("wb") as file:
            file.write(struct.pack("<Q", claimed))
            file.truncate(size)

    return write


def sparse_arrays(path: Path, sound: bytes) -> None:
    """A sound header with 1.5 GB of zeros in tensors of a base."""
    old_facts, old_arrays = take_apart(sound)
    begin = sum(array.nbytes for array in old_arrays.values())
    size = 1_500_000_000
    entry = {"dtype": "F32", "shape": [size // 4], "data_offsets": [begin, begin + size]}
    path.write_bytes(put_together(old_facts, old_arrays, {"base.conv": entry}))
    with path.open("ab") as file:
        file.truncate(path.stat().st_size + size)


def many_tensors(path: Path, sound: bytes) -> None:
    """As many empty tensors as a header of the longest allowed length holds."""
    old_facts, old_arrays = take_apart(sound)
    end = sum(array.nbytes for array in old_arrays.values())
    entries = {f"base.{i}": {"dtype": "F32", "shape": [0], "data_offsets": [end, end]} for i in range(60_000)}
    path.write_bytes(put_together(old_facts, old_arrays, entries))


def nested(depth: int) -> Any:
    """Lists within lists."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def weights_beside(path: Path, sound: bytes) -> None:
    """A model that names a pickle beside it."""
    (path.parent / "w.pth").write_bytes(zipped(1000))
    facts("", weights="w.pth").write(path, sound)


def weights_in_pipe(path: Path, sound: bytes) -> None:
    """A model that names a pipe."""
    if not (path.parent / "pipe.pth").exists():
        os.mkfifo(path.parent / "pipe.pth")
    facts("", weights=str(path.parent / "pipe.pth")).write(path, sound)


def beside(name: str) -> Callable[[Path, bytes], None]:
    """A model that names a Python file in its own folder, by its whole path or with its right digest."""

    def write(path: Path, sound: bytes) -> None:
        from featx.bases.architectures.python_file import architecture_name

        evil = path.parent / "evil.py"
        names = {"whole path": str(evil), "right digest": architecture_name(str(evil))}
        facts("", base__architecture=names[name]).write(path, sound)

    return write


def make_link(target: str) -> Callable[[Path, bytes], None]:
    """A link in the place of a model."""
    return lambda path, sound: path.symlink_to(target)


HUGE = 10**400
PYTHON_FILES = (
    "evil.py",
    "./evil.py",
    "../evil.py",
    "~/evil.py",
    "evil.py@",
    "evil.py@0123456789ab",
    "evil.py@../evil",
)
ODD_NAMES = (
    "",
    "evil.PY",
    "evil.pyc",
    "evil.py\n",
    "evil.py ",
    "evil.py\0",
    "timm:evil.py",
    "timm:../evil",
    "hf-hub:a/b",
)
MORE_NAMES = ("timm:hf-hub:a/b", "timm:resnet18", "timm:", "tiny@", "resnet19", "hog", "é.py", "os", "a" * 300)
FOREIGN_WEIGHTS = (
    *("/dev/zero", "/dev/stdin", "/proc/self/mem", "/etc/passwd", "~/w.pth", "evil.py", "file:///etc/passwd"),
    *("https://example.org/w.pth", "//host/share/w.pth", "\\\\host\\share\\w.pth", "a" * 4000, "../" * 1000 + "x.pth"),
    *("random", "own", "none", "DEFAULT", "IMAGENET1K_V1", "pretrained", "w\n.pth", "w\ud800.pth", "w.pth\0"),
)

CASES = [
    *(facts(f"base {name!r}"[:40], base__architecture=name) for name in (*PYTHON_FILES, *ODD_NAMES, *MORE_NAMES)),
    Case("base by its whole path", beside("whole path")),
    Case("base by its right digest", beside("right digest")),
    *(facts(f"weights {name!r}"[:40], weights=name) for name in FOREIGN_WEIGHTS),
    facts("weights that would be downloaded", base__architecture="resnet18", weights="IMAGENET1K_V1"),
    facts("default weights that would be downloaded", base__architecture="resnet18", weights=""),
    facts("2.6 GB of random numbers", base__architecture="regnet_y_128gf", weights="random"),
    facts("a large base of random numbers", base__architecture="vgg19_bn", weights="random"),
    Case("a pickle beside the model", weights_beside),
    Case("a pipe beside the model", weights_in_pipe),
    facts("images of 8192 pixels", base__transform__resize=8192, base__transform__crop=8192),
    facts("images of 2048 pixels", base__transform__resize=2048, base__transform__crop=2048),
    facts("images of 400 pixels", True, base__transform__resize=400, base__transform__crop=400),
    facts("images of a pixel", True, base__transform__resize=1, base__transform__crop=1),
    facts("a small part of a large image", True, base__transform__resize=8192),
    facts("a side of 10**400", base__transform__crop=HUGE),
    facts("a negative side", base__transform__crop=-1),
    facts("a mean of 10**400", base__transform__mean=[HUGE, 0, 0]),
    facts("a mean of 3e38", True, base__transform__mean=[3e38, 3e38, 3e38]),
    facts("a mean of infinity", base__transform__mean=[float("inf"), 0, 0]),
    facts("a std of 0", base__transform__std=[0, 1, 1]),
    facts("a negative std", base__transform__std=[-1, 1, 1]),
    facts("a std of 1e-320", base__transform__std=[1e-320, 1, 1]),
    facts("a mean and a std that overflow", base__transform__mean=[3e38] * 3, base__transform__std=[2e-38] * 3),
    facts("a std of 1e-37", True, base__transform__std=[1e-37, 1e-37, 1e-37]),
    facts("a value range of 10**400", base__transform__value_range=[0, HUGE]),
    facts("a value range turned round", base__transform__value_range=[1, 0]),
    facts("another filter", base__transform__interpolation="lanczos"),
    facts("no transform", base__transform=None),
    facts("1000 views of large images", views=1000, base__transform__resize=2048, base__transform__crop=2048),
    facts("100 views", True, views=100),
    facts("10**400 views", views=HUGE),
    facts("no view", views=0),
    facts("half a view", views=1.5),
    facts("100 equal layers", layers=[{"layer": "layer4", "pooling": "avg", "dtype": "float32"}] * 100),
    facts("100 whole maps", layers=[{"layer": "stem", "pooling": "flat", "dtype": "float32"}] * 100),
    facts("101 layers", layers=[{"layer": "layer4", "pooling": "avg", "dtype": "float32"}] * 101),
    facts("no layer", layers=[]),
    facts("an unknown layer", layers=[{"layer": "layer9", "pooling": "avg", "dtype": "float32"}]),
    facts("a layer of another length", layers=[{"layer": "layer1", "pooling": "avg", "dtype": "float32"}]),
    facts("an unknown pooling", layers=[{"layer": "layer4", "pooling": "sum", "dtype": "float32"}]),
    facts("a pooling that does not fit", layers=[{"layer": "layer4", "pooling": "cls", "dtype": "float32"}]),
    facts("float16", True, layers=[{"layer": "layer4", "pooling": "avg", "dtype": "float16"}]),
    facts("float8", layers=[{"layer": "layer4", "pooling": "avg", "dtype": "float8"}]),
    facts("a layer that is a path", layers=[{"layer": "../../x", "pooling": "avg", "dtype": "float32"}]),
    facts("equal classes", classes=["red", "red"]),
    facts("one class", classes=["red"]),
    facts("three classes for two", classes=["red", "green", "blue"]),
    facts("a lone surrogate in a class", classes=["red", "\ud800"]),
    facts("a class that is not UTF-8", True, classes=["red", "gr\udcfcn"]),
    facts("a class of control characters", True, classes=["red", "\x1b[2J\x07\r\n"]),
    facts("a formula as a class", True, classes=["red", "=cmd|calc"]),
    facts("a class without a name", True, classes=["red", ""]),
    facts("a class of a million letters", classes=["red", "g" * 1_000_000]),
    facts("a million classes", classes=[str(number) for number in range(1_000_000)]),
    facts("a class that is a number", classes=["red", 3]),
    facts("a sharpness of 0", sharpness=0.0),
    facts("a sharpness of 1e-320", sharpness=1e-320),
    facts("a sharpness of 3e38", True, sharpness=3e38),
    facts("a sharpness of 1e300", sharpness=1e300),
    facts("a sharpness that is no number", sharpness=float("nan")),
    facts("another kind", clf="forest"),
    facts("params of 10**400", params={"C": HUGE}),
    facts("nested params", params={"C": nested(5)}),
    facts("a protocol nested 900 deep", protocol={"seed": nested(900)}),
    facts("a seed of 10**400", True, protocol={"seed": HUGE, "rows": "x"}),
    facts("rows that are a list", True, protocol={"seed": 1, "rows": [1]}),
    facts("scores that are words", scores={"n_train": "many"}),
    facts("an accuracy in words", scores={"test_accuracy": "high", "n_test": 3}),
    facts("an accuracy of 10**400", scores={"test_accuracy": HUGE, "n_test": 3}),
    facts("an accuracy of nothing", scores={"test_accuracy": None, "n_test": 3}),
    facts("scores of control characters", scores={"clf": "\x1b[2J"}),
    facts("scores that are a list", scores=[]),
    facts("recipe 10**400", base__recipe=HUGE),
    facts("recipe 0", base__recipe=0),
    facts("precision int8", base__precision="int8"),
    facts("precision bfloat16", True, base__precision="bfloat16"),
    facts("another digest", base__weights="0" * 64),
    facts("a source that moves the cursor", source="\x1b[2J"),
    facts("version 3", version=3),
    text("facts that are not JSON", lambda old: old[:-1]),
    text("facts of a number of 5000 digits", lambda old: old.replace('"version": 2', f'"version": {"2" * 5000}')),
    text("facts nested 100000 deep", lambda old: "[" * 100_000),
    text("facts twice", lambda old: old[:-1] + ', "clf": "mlp"}'),
    text("facts behind a byte order mark", lambda old: "\ufeff" + old),
    text("facts that are null", lambda old: "null"),
    arrays("a scale of 0", set_all("scale", 0)),
    arrays("a scale of 1e-320", set_all("scale", 1e-320)),
    arrays("a scale of 2e-38", set_all("scale", 2e-38), True),
    arrays("a scale of NaN", set_all("scale", float("nan"))),
    arrays("weights of 1e308", set_all("weights", 1e308)),
    arrays("weights of 3e38", set_all("weights", 3e38), True),
    arrays("weights of infinity", set_all("weights", float("inf"))),
    arrays("a mean of 1e308 in the arrays", set_all("mean", 1e308)),
    arrays("weights in float16", lambda old: {**old, "weights": old["weights"].astype(np.float16)}),
    arrays("one column less", lambda old: {name: array[..., :-1] for name, array in old.items()}),
    arrays("no mean", lambda old: {name: array for name, array in old.items() if name != "mean"}),
    arrays("a surplus array", lambda old: {**old, "more": np.zeros(3)}),
    arrays("an MLP that overflows", make_mlp(3e38), clf="mlp"),
    arrays("a base of NaN", with_base(float("nan"))),
    arrays("a base of 3e38", with_base(3e38)),
    arrays("a base in float64", with_base(0, "float64")),
    arrays("a base of one foreign tensor", lambda old: {**old, "base.x": np.zeros(3, np.float32)}),
    arrays("a base with a tensor too many", with_base(0, **{"base.../../x": np.zeros(3, np.float32)})),
    arrays("a base with a tensor of another shape", with_base(0, **{"base.fc.bias": np.zeros(7, np.float32)})),
    Case("1.5 GB of holes as a base", sparse_arrays),
    Case("60000 tensors", many_tensors),
    header("a shape beyond the file", mean={"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}),
    header("a shape that overflows", mean={"dtype": "F64", "shape": [2**62, 2**62], "data_offsets": [0, 8]}),
    header("a negative shape", mean={"dtype": "F64", "shape": [-1], "data_offsets": [0, 8]}),
    header("arrays that overlap", mean={"dtype": "F64", "shape": [256], "data_offsets": [0, 2048]}),
    header("65 axes", mean={"dtype": "F64", "shape": [1] * 65, "data_offsets": [0, 8]}),
    header("an unknown dtype", mean={"dtype": "O", "shape": [1], "data_offsets": [0, 8]}),
    header("no facts", __metadata__={}),
    header("facts that are a number", __metadata__={"featx": 3}),
    raw("nothing", b""),
    raw("seven bytes", b"\0" * 7),
    raw("a pickle", pickle.dumps(Bomb())),
    raw("a pickle of protocol 0", pickle.dumps(Bomb(), 0)),
    raw("an archive", zipped(50_000_000)),
    raw("a compressed file", gzip.compress(bytes(50_000_000))),
    raw("a program", b"\x7fELF" + bytes(500)),
    raw("a script", b"#!/bin/sh\ntouch ran\n"),
    raw("a header of blanks", struct.pack("<Q", 2**24) + b" " * 2**24),
    raw("a header of brackets", struct.pack("<Q", 2**20) + b"[" * 2**20),
    raw("a header that is not UTF-8", struct.pack("<Q", 8) + b'{"\xff": 1'),
    Case("a header that claims 2**63 bytes", sparse(2**20, 2**63)),
    Case("a header that claims 100 MB of holes", sparse(2**28, 100_000_000)),
    Case("a terabyte of holes", sparse(2**40, 100)),
    Case("2 GB of holes", sparse(2**31, 2**24)),
    Case("a pipe", lambda path, sound: os.mkfifo(path)),
    Case("a folder", lambda path, sound: path.mkdir()),
    Case("a link to /dev/zero", make_link("/dev/zero")),
    Case("a link to itself", lambda path, sound: path.symlink_to(path)),
    Case("a link to the processes' memory", make_link("/proc/self/mem")),
]
"""Every hostile file, by name."""
