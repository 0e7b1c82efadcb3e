"""What the store holds of a key, in figures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featx.keys import FeatureKey
from featx.store.digest_index import DigestIndex
from featx.store.part import Part
from featx.store.paths import part_paths


@dataclass(frozen=True)
class KeySummary:
    """What the store holds of one key; sizes in bytes, cost in seconds of computing."""

    key: FeatureKey
    images: int
    shape: tuple[int, ...]
    bytes: int
    parts: int
    modified: float
    seconds: float


def sound_parts(folder: Path) -> Iterator[Part]:
    """Yield the parts in a folder whose headers are sound, each open until the next one is asked for."""
    for path in part_paths(folder):
        try:
            part = Part.open(path)
        except OSError:
            continue
        with part:
            yield part


def summarise(folder: Path, root: Path) -> KeySummary | None:
    """Sum up the sound parts in a folder; None if there are none that belong here."""
    key, text = None, ""
    shape: tuple[int, ...] = ()
    digests, size, seconds, modified = [], 0, 0.0, 0.0
    for part in sound_parts(folder):
        header = part.header
        if key is None:
            key, text, shape = FeatureKey.from_json(header.key), header.key, header.shape[1:]
            if root / key.folder != folder:
                key = None
        if key is None or header.key != text:
            continue
        digests.append(header.digests.copy())  # a copy: the header holds on to all that was read
        size += header.file_bytes
        seconds += float(header.provenance.get("seconds", 0))
        modified = max(modified, os.fstat(part.handle).st_mtime)
    if key is None:
        return None
    index = DigestIndex(digests)
    images = int((index.find(index.digests) == np.arange(len(index))).sum())
    return KeySummary(key, images, shape, size, len(digests), modified, seconds)
