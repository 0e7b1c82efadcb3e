"""Keys, digests and features that follow from them, so that any wrong number shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.keys import BaseId, FeatureKey, InputTransform
from featx.store.base_json import StoredBase
from featx.store.store import FeatureStore

BASE = BaseId("tiny", "ab" * 32, InputTransform(32, 32))
KEY = FeatureKey(BASE, "layer3")
OTHER = FeatureKey(BASE, "layer4")
WIDTH = 24


def make_digests(n: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, 32)).astype(np.uint8)


def features_of(digests: NDArray[np.uint8], shape: tuple[int, ...] = (WIDTH,), layer: str = "layer3") -> NDArray[Any]:
    """Features that are a function of the digest, the layer and the place."""
    numbers = np.arange(np.prod(shape), dtype=np.float32) + len(layer) + int(layer[-1]) * 1000
    seeds = digests.astype(np.float32).sum(axis=1) + digests[:, 0]
    return (seeds[:, None] + numbers).reshape(len(digests), *shape).astype(np.float32)


def fill(root: Path, parts: int = 3, rows: int = 20, key: FeatureKey = KEY) -> tuple[FeatureStore, NDArray[np.uint8]]:
    """Make a store with `parts` parts of a key."""
    store = FeatureStore(root)
    store.describe(StoredBase(key.base, "random", (), True))
    every = make_digests(parts * rows)
    for number, some in enumerate(np.split(every, parts)):
        features = features_of(some, layer=key.layer)
        store.add(key, some, features, {"created": float(number), "seconds": 1.5, "host": "here"})
    return store, every


def part_files(root: Path) -> list[Path]:
    return sorted(root.rglob("part-*.h5"))
