"""Sound weights, changed at random where their structure is: an error of featx's own, or a network's sound weights."""

from __future__ import annotations

import copy
import json
import os
import random
import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import nn

from featx.bases.loading import load_base
from featx.bases.registry import BASES
from featx.bases.weights import digest_file
from featx.errors import FeatxError
from tests.hostile.harness import STRESS
from tests.hostile.torch_writer import (
    DEFLATED,
    STORED,
    Entries,
    Global,
    describe_state,
    write_legacy,
    write_pickle,
    write_torch,
)

MUTATIONS = 10_000 if STRESS else 900
"""Of all formats together."""

ODD: list[Any] = [
    *(0, 1, -1, 2, 3, 7, 100, 255, 256, 2**31 - 1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, -(2**63), 10**30),
    *(
        0.5,
        float("nan"),
        float("inf"),
        True,
        False,
        None,
        "",
        "x",
        "0",
        "F32",
        "storage",
        "cpu",
        "fc.weight",
        "\n",
        "é",
    ),
    *((), [], {}, (1,), [0, 4], {"a": 1}),
]
"""Values that stand in the place of others."""

GLOBALS = [
    *(("os", "system"), ("builtins", "eval"), ("torch", "FloatStorage"), ("torch", "HalfStorage")),
    *(("torch", "LongStorage"), ("torch", "DoubleStorage"), ("torch", "ComplexFloatStorage")),
    *(("torch.storage", "UntypedStorage"), ("torch._utils", "_rebuild_tensor"), ("torch._utils", "_rebuild_tensor_v3")),
    *(("torch._utils", "_rebuild_parameter"), ("torch._utils", "_rebuild_sparse_tensor"), ("torch", "Size")),
    *(("torch._utils", "_rebuild_qtensor"), ("collections", "OrderedDict"), ("torch", "float16"), ("torch", "float32")),
]


def small() -> nn.Sequential:
    """A network of a few hundred numbers, whose file is mostly what describes them."""
    stages = {"stem": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), "layer1": nn.Conv2d(4, 6, 3, 2)}
    stages |= {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(6, 5)}
    return nn.Sequential(OrderedDict(stages))


ARCHITECTURE = replace(BASES["tiny"], name="small", build=small)

STATE = {name: value.clone() for name, value in small().state_dict().items()}
SHAPES = {name: tuple(value.shape) for name, value in STATE.items()}


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a tree of values: what holds it, and its index, key or name of attribute."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        inner: list[tuple[Any, Any]] = []
        if isinstance(holder, dict):
            inner = list(holder.items())
        elif isinstance(holder, list):
            inner = list(enumerate(holder))
        elif isinstance(holder, Entries):
            waiting.extend(holder.pairs)
            continue
        elif hasattr(holder, "__dict__"):
            inner = list(vars(holder).items())
        for place, item in inner:
            found.append((holder, place))
            waiting.append(item)
    return found


def read_place(holder: Any, place: Any) -> Any:
    return getattr(holder, place) if hasattr(holder, "__dict__") else holder[place]


def write_place(holder: Any, place: Any, value: Any) -> None:
    if hasattr(holder, "__dict__"):
        setattr(holder, place, value)
    else:
        holder[place] = value


def mutate_tree(tree: Any, rng: random.Random) -> None:
    """Change one to three values of a tree: put in odd ones, exchange, leave out, put in twice."""
    for _ in range(rng.randint(1, 3)):
        holder, place = rng.choice(places(tree))
        old = read_place(holder, place)
        kind = rng.randrange(6)
        if isinstance(old, tuple) and kind < 4:
            items = list(old)
            if items:
                items[rng.randrange(len(items))] = rng.choice(ODD)
            write_place(holder, place, tuple(items))
        elif isinstance(old, int) and kind < 2:
            write_place(holder, place, old + rng.choice((-1, 1, 4, 1000)))
        elif isinstance(old, Global) and kind < 4:
            write_place(holder, place, Global(*rng.choice(GLOBALS)))
        elif kind == 4:
            other, other_place = rng.choice(places(tree))
            write_place(holder, place, copy.deepcopy(read_place(other, other_place)))
        elif kind == 5 and isinstance(holder, list) and len(holder) > 2:
            del holder[place]
        else:
            write_place(holder, place, copy.deepcopy(rng.choice(ODD)))


def flip(data: bytes, rng: random.Random, end: int) -> bytes:
    """Change bytes near the beginning or the end, where formats describe themselves; or cut."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        near = rng.randrange(min(end, len(data)))
        place = near if rng.random() < 0.6 else len(data) - 1 - near
        changed[place] = rng.choice((0, 255, rng.randrange(256), changed[place] ^ (1 << rng.randrange(8))))
    if rng.random() < 0.1:
        del changed[rng.randrange(len(changed)) :]
    return bytes(changed)


def as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else str(value)


def mutate_safetensors(path: Path, rng: random.Random) -> None:
    data = save(STATE)
    length = int.from_bytes(data[:8], "little")
    if rng.random() < 0.3:
        path.write_bytes(flip(data, rng, length + 8))
        return
    header = json.loads(data[8 : 8 + length])
    mutate_tree(header, rng)
    text = json.dumps(header, default=as_json).encode()
    stated = rng.choice((0, 1, 2**20, 2**40)) if rng.random() < 0.05 else len(text)
    path.write_bytes(struct.pack("<Q", stated) + text + data[8 + length :])


def mutate_archive(path: Path, rng: random.Random) -> None:
    entries, storages = describe_state(STATE)
    method = rng.choice((STORED, STORED, DEFLATED))
    if rng.random() < 0.7:
        mutate_tree(entries, rng)
        write_torch(path, entries, storages, method)
        return
    if rng.random() < 0.5:
        write_torch(path, flip(write_pickle(entries), rng, 10_000), storages, method)
        return
    write_torch(path, entries, storages, method)
    path.write_bytes(flip(path.read_bytes(), rng, 12_000))


def mutate_legacy(path: Path, rng: random.Random) -> None:
    entries, storages = describe_state(STATE, legacy=True)
    if rng.random() < 0.6:
        mutate_tree(entries, rng)
        write_legacy(path, entries, storages)
        return
    write_legacy(path, entries, storages)
    path.write_bytes(flip(path.read_bytes(), rng, 12_000))


WRITERS: dict[str, Callable[[Path, random.Random], None]] = {
    "w.safetensors": mutate_safetensors,
    "w.pth": mutate_archive,
    "legacy.pth": mutate_legacy,
}


def try_to_load(path: Path) -> tuple[list[str], bool]:
    """Load changed weights and digest their file: the errors, and whether weights that are sound were loaded."""
    errors = []
    is_loaded = False
    try:
        network = load_base(replace(ARCHITECTURE, weights=str(path))).network
    except FeatxError as error:
        errors.append(str(error))
    else:
        is_loaded = True
        for name, tensor in network.state_dict().items():
            assert tuple(tensor.shape) == SHAPES[name]
            assert bool(torch.isfinite(tensor).all())
    try:
        digest_file(path)
    except FeatxError as error:
        errors.append(str(error))
    return errors, is_loaded


@pytest.mark.stress
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(WRITERS))
def test_changed_weights_are_refused_in_our_words_or_sound(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    first = int(os.environ.get("FEATX_SEED", "0"))
    loaded = 0
    for seed in range(first, first + MUTATIONS // len(WRITERS) + 1):
        WRITERS[name](path, random.Random(seed))
        errors, is_loaded = try_to_load(path)
        loaded += is_loaded
        assert not [error for error in errors if "\n" in error or len(error) > 3000], seed
    # Changes that change nothing are among them, or nothing would be tested beyond the first check.
    assert loaded
