"""Merges small parts. The merged part is written and checked before the small ones go, so no row is ever absent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import BrokenPart, StoreError
from featx.files import sync_folder
from featx.keys import FeatureKey
from featx.store.digest_index import DigestIndex
from featx.store.key_summary import sound_parts
from featx.store.part import PART_BYTES, Part, write_part
from featx.store.paths import key_folders
from featx.store.verify import examine
from featx.types import Progress


@dataclass(frozen=True)
class Small:
    """A small part before it is merged: its place, its size in bytes, and when it was computed."""

    path: Path
    key: str
    shape: tuple[int, ...]
    bytes: int
    created: float


@dataclass(frozen=True)
class Merge:
    """What was merged in one folder: the number of parts before and after."""

    folder: str
    before: int
    after: int


def compact(root: Path, progress: Progress | None = None) -> list[Merge]:
    """Merge small parts in every folder of a cache.

    Which parts are merged, and in which order their rows stand, follows from the parts alone: two processes that do
    this at once write the same files. Rows stand in the order of time, as they were computed.

    Parameters
    ----------
    progress : callable, optional
        Called with the number of folders done and found.

    Raises
    ------
    StoreError
        If the cache cannot be read or written; whatever was there is still there.
    """
    merges, folders = [], key_folders(root)
    for done, folder in enumerate(folders, 1):
        for group in plan(folder, root):
            try:
                merged = merge(root, folder, group)
            except OSError as error:
                raise StoreError(f"'{folder}' cannot be compacted: {error.strerror or error}") from error
            if merged:
                merges.append(Merge(str(folder), len(group), 1))
        if progress:
            progress(done, len(folders))
    return merges


def plan(folder: Path, root: Path) -> Iterator[list[Small]]:
    """Group the small parts of a folder (at most half a full one), oldest first, so that a group fits into one part."""
    small = []
    for part in sound_parts(folder):
        header = part.header
        size = header.shape[0] * header.row_bytes
        belongs = root / FeatureKey.from_json(header.key).folder == folder
        if belongs and size <= PART_BYTES // 2:
            created = float(header.provenance.get("created", 0))
            small.append(Small(part.path, header.key, header.shape[1:], size, created))
    group: list[Small] = []
    for part_ in sorted(small, key=lambda one: (one.key, one.shape, one.created, one.path.name)):
        is_other = bool(group) and (part_.key, part_.shape) != (group[0].key, group[0].shape)
        if is_other or sum(one.bytes for one in group) + part_.bytes > PART_BYTES:
            if len(group) > 1:
                yield group
            group = []
        group.append(part_)
    if len(group) > 1:
        yield group


def merge(root: Path, folder: Path, group: Sequence[Small]) -> bool:
    """Write one part with the rows of several, check it, and only then remove them; tell whether it was done.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    digests, features, provenance = [], [], []
    try:
        for small in group:
            with Part.open(small.path) as part:
                rows = np.empty(part.header.shape, part.header.dtype)
                part.read(np.arange(len(rows)), rows)
                digests.append(part.header.digests.copy())
                features.append(rows)
                provenance.append(part.header.provenance)
    except (FileNotFoundError, BrokenPart):
        return False  # merged by another process meanwhile, or damaged: everything stays as it is
    index = DigestIndex(digests)
    kept = index.find(index.digests) == np.arange(len(index))
    joined: NDArray[Any] = np.concatenate(features)[kept]
    key = FeatureKey.from_json(group[0].key)
    target = write_part(folder, key, index.digests[kept], [joined], join_provenance(provenance))
    examined = examine(target, root)
    if examined is None or examined.problem:
        return False
    for small in group:
        if small.path != target:
            small.path.unlink(missing_ok=True)
    sync_folder(folder)
    return True


def join_provenance(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join what parts say of their making: costs add up, the earliest time counts, differing words stand in a list."""
    joined: dict[str, Any] = {}
    for name in sorted({name for part in parts for name in part}):
        values = [part[name] for part in parts if name in part]
        flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
        different = sorted(set(flat), key=str)
        joined[name] = different[0] if len(different) == 1 else different
    joined["seconds"] = round(sum(float(part.get("seconds", 0)) for part in parts), 4)
    joined["created"] = min((float(part["created"]) for part in parts if "created" in part), default=0.0)
    joined["merged"] = sum(int(part.get("merged", 1)) for part in parts)
    return joined
