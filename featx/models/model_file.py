"""Model files: a safetensors container of arrays with JSON beside them. No code is in them, and none is run.

Everything is checked before it is believed: the size of the file and of its header before memory is taken, the shapes
of the arrays against the classes, all numbers for being finite.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from featx.errors import ModelError, StoreError
from featx.files import write_atomic
from featx.keys import BASE_TENSOR_PREFIX as OWN
from featx.keys import BaseId, FeatureKey
from featx.models.array_classifier import CALIBRATIONS, ArrayClassifier
from featx.models.model import Model
from featx.models.schema import check_arrays, check_facts, expected_shapes

FORMAT = "featx-model"
VERSION = 2
"""Version of what the file says and how it is to be read; others are refused."""

MAX_BYTES = 2**31
MAX_HEADER = 2**24
"""Bytes of a whole model file, and of its header, that are read at all: 10,000 classes need less."""

SIZES = {"F64": 8, "F32": 4}


def save_model(model: Model, path: Path) -> None:
    """Write a model as one file, atomically; equal models give equal bytes.

    Raises
    ------
    ModelError
        If it would be larger than what is read again.
    StoreError
        If the file cannot be written.
    """
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "base": asdict(model.keys[0].base),
        "layers": [{"layer": key.layer, "pooling": key.pooling, "dtype": key.dtype} for key in model.keys],
        "source": model.source,
        "weights": model.weights,
        "classes": list(model.classes),
        "clf": model.classifier.kind,
        "sharpness": model.classifier.inverse_temperature,
        "probabilities": CALIBRATIONS[model.classifier.kind],
        "params": dict(model.params),
        "protocol": dict(model.protocol),
        "scores": dict(model.scores),
        **({"views": model.views} if model.views > 1 else {}),
    }
    own = {f"{OWN}{name}": tensor for name, tensor in model.tensors.items()}
    data = save({**model.classifier.arrays, **own}, {"featx": json.dumps(facts, sort_keys=True)})
    if len(data) > MAX_BYTES:
        raise ModelError(f"the model is {len(data) / 1e9:.1f} GB, more than the {MAX_BYTES / 1e9:.1f} GB of a file")
    try:
        write_atomic(path, data)
    except OSError as error:
        raise StoreError(f"'{path}' cannot be written: {error.strerror or error}") from error


def load_model(path: str | Path) -> Model:
    """Read a model file; nothing in it is executed, and nothing is believed unchecked.

    Parameters
    ----------
    path : str or pathlib.Path
        What `featx fit --out` wrote.

    Returns
    -------
    Model
        Gives the same numbers, bit for bit, as the one that was saved.

    Raises
    ------
    ModelError
        If it is missing, no model, damaged, too large or of a newer version.
    """
    try:
        facts, arrays = read_container(Path(path))
        return build(facts, arrays)
    except OSError as error:
        reason = error.strerror or str(error)
    except (ModelError, SafetensorError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = explain(error)
    raise ModelError(f"model '{path}' cannot be read: {reason}. Write one with: featx fit DATA ... --out MODEL")


def explain(error: Exception) -> str:
    """Say in a line what is wrong with a file."""
    if isinstance(error, KeyError):
        return f"it lacks {error}"
    if isinstance(error, RecursionError):
        return "its header is nested too deeply"
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def read_container(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read facts and arrays of a file whose sizes agree with each other.

    Raises
    ------
    ModelError, OSError, SafetensorError
        If they do not.
    """
    # Not blocking: opening a named pipe would wait for a writer.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ModelError("it is no file")
        header, start = read_header(file, status.st_size)
        facts = json.loads(header.pop("__metadata__")["featx"])
        check_facts(facts, FORMAT, VERSION)
        own = {name: own_shape(name, entry) for name, entry in header.items() if name.startswith(OWN)}
        check_sizes(header, {**expected_shapes(facts, header), **own}, status.st_size - start)
        file.seek(0)
        arrays = load(file.read(status.st_size))
    return facts, arrays


def read_header(file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """Read the JSON header of a safetensors file, and tell where the arrays start.

    Raises
    ------
    ModelError
        If there is none, or it says that it is larger than the file or than `MAX_HEADER`.
    """
    first = file.read(8)
    length = int.from_bytes(first, "little")
    if len(first) < 8 or not 2 <= length <= size - 8:
        if first[:2] in (b"PK", b"\x1f\x8b") or first[:1] == b"\x80":
            raise ModelError("it is an archive or a pickle, which featx never opens")
        raise ModelError(f"it is no model file, or a truncated one ({size} bytes)")
    if length > MAX_HEADER or size > MAX_BYTES:
        raise ModelError(f"it is too large: a header of {length} bytes in a file of {size}")
    header = json.loads(file.read(length))
    if not isinstance(header, dict) or "featx" not in (header.get("__metadata__") or {}):
        raise ModelError("it is a safetensors file, but no model of featx")
    return header, 8 + length


def own_shape(name: str, entry: Any) -> tuple[int, ...]:
    """Take the shape of a tensor of the base from the header; the base itself is checked when it is loaded.

    Raises
    ------
    ModelError
        If it is no list of at most eight lengths, or the tensor is not of 32 bits.
    """
    shape = entry["shape"]
    if not (isinstance(shape, list) and len(shape) <= 8 and all(type(n) is int and 0 <= n < 2**31 for n in shape)):
        raise ModelError(f"'{name}' has the shape {shape!r}"[:80])
    if entry["dtype"] != "F32":
        raise ModelError(f"'{name}' is {entry['dtype']}"[:80])
    return tuple(shape)


def check_sizes(header: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], room: int) -> None:
    """Compare what the header says of each array with what it must be, and the sum with the bytes that are there.

    Raises
    ------
    ModelError
        If an array is missing, foreign or of another shape, or the file is not as long as its arrays.
    """
    if set(header) != set(shapes):
        raise ModelError(f"its arrays are {sorted(header)[:8]}, expected {sorted(shapes)}")
    for name, shape in shapes.items():
        if header[name]["dtype"] not in SIZES or tuple(header[name]["shape"]) != shape:
            raise ModelError(f"'{name}' is {header[name]['dtype']} {header[name]['shape']}, expected {list(shape)}")
    total = sum(SIZES[header[name]["dtype"]] * math.prod(shape) for name, shape in shapes.items())
    if total != room:
        raise ModelError(f"it is truncated or has wrong sizes: {room} bytes where its arrays take {total}")


def build(facts: dict[str, Any], arrays: dict[str, NDArray[np.floating[Any]]]) -> Model:
    """Make the model of checked facts and arrays, the arrays checked once more as they were read.

    Raises
    ------
    ModelError
        If shapes or dtypes differ from what the classes and the kind ask for, or numbers are not finite.
    """
    own = {name.removeprefix(OWN): tensor for name, tensor in arrays.items() if name.startswith(OWN)}
    arrays = {name: array for name, array in arrays.items() if not name.startswith(OWN)}
    check_arrays(facts, arrays)
    base = BaseId.from_dict(facts["base"])
    keys = tuple(FeatureKey(base, part["layer"], part["pooling"], part["dtype"]) for part in facts["layers"])
    classifier = ArrayClassifier(facts["clf"], arrays, float(facts["sharpness"]))
    words = (facts["source"], facts["weights"], tuple(facts["classes"]))
    return Model(
        keys, *words, classifier, facts["params"], facts["protocol"], facts["scores"], facts.get("views", 1), own
    )
