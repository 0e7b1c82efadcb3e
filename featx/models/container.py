"""The container of a model file: its sizes, header and arrays, checked before memory is taken for them."""

from __future__ import annotations

import json
import math
import stat
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from featx.errors import ModelError
from featx.keys import BASE_TENSOR_PREFIX
from featx.models.schema import ModelFacts, check_arrays, check_facts

MAX_MODEL_BYTES = 2**31
"""Larger files are neither written nor read: 10,000 classes with 20,000 features each need less."""

MOST_ARRAYS = 20_000
"""A base of more tensors is none that featx runs: the largest of torchvision has some two thousand."""

MAX_HEADER_BYTES = 2**24
"""Longer headers are not parsed: safetensors allows six times as much, which would take gigabytes of memory."""


def summarise_error(error: Exception) -> str:
    """Give the first line of what an error says, or its kind where it says nothing."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:300]


def read_container(path: Path, with_base: bool) -> tuple[ModelFacts, dict[str, NDArray[Any]], int]:
    """Read the checked facts of a model file, and its arrays, whose sizes agree with them.

    Returns
    -------
    ModelFacts
    dict of str to array
    int
        Bytes of the tensors of its base that were left in the file.

    Raises
    ------
    ModelError, OSError, ValueError, RecursionError
        If anything is not as it should be.
    """
    check_sizes(path)
    try:
        with safe_open(path, framework="numpy") as file:
            facts = check_facts(json.loads((file.metadata() or {}).get("featx", "null")))
            names = list(file.keys())
            if len(names) > MOST_ARRAYS:
                raise ModelError(f"it holds {len(names)} arrays, more than the {MOST_ARRAYS} that are read")
            header = {}
            for name in names:
                entry = file.get_slice(name)
                header[name] = (entry.get_dtype(), tuple(entry.get_shape()))
            check_arrays(facts, header)
            left = set() if with_base else {name for name in names if name.startswith(BASE_TENSOR_PREFIX)}
            arrays = {name: file.get_tensor(name) for name in names if name not in left}
            # All of them are float32: `check_arrays` has seen to it.
            return facts, arrays, sum(4 * math.prod(header[name][1]) for name in left)
    except SafetensorError as error:
        raise ModelError(f"it is truncated or damaged, or not a model file ({summarise_error(error)})") from error


def check_sizes(path: Path) -> None:
    """Check that a path is a file of a size that may be read, with a header that lies in it.

    Raises
    ------
    ModelError
        If it is not a regular file, it or its header would be too large, or it is an archive or a pickle.
    """
    # Asked before it is opened: opening a named pipe would wait for a writer.
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ModelError("it is not a regular file")
    if status.st_size > MAX_MODEL_BYTES:
        raise ModelError(f"it is too large: {status.st_size} bytes, and at most {MAX_MODEL_BYTES} are read")
    with path.open("rb") as file:
        beginning = file.read(8)
    length = int.from_bytes(beginning, "little")
    room = status.st_size - len(beginning)
    if length > min(room, MAX_HEADER_BYTES):
        # Torch's files are archives, older ones pickles. A length may begin with the same bytes, but then it fits.
        if beginning[:2] in (b"PK", b"\x1f\x8b") or beginning[:1] == b"\x80":
            raise ModelError("it is an archive or a pickle, which featx never opens")
        raise ModelError(f"it is truncated, or not a model file (a header of {length} bytes in a file of {room + 8})")
