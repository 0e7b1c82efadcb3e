"""Merges small parts. The merged part is written and checked before the small ones go, so no row is ever absent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import BrokenPart, StoreError
from featx.storage.interface import storage_of
from featx.storage.paths import CachePath
from featx.store.digest_index import DigestIndex
from featx.store.key_summary import open_sound_parts
from featx.store.part import Part, write_part
from featx.store.paths import list_key_folders
from featx.store.schema import MOST_FIGURE, MOST_ROWS, MOST_TEXT, read_key
from featx.store.verify import check_part
from featx.types import Progress


@dataclass(frozen=True)
class SmallPart:
    """A part that may be merged.

    Attributes
    ----------
    path : pathlib.Path or ObjectPath
    key : str
        As JSON.
    shape : tuple of int
        Shape of a row.
    rows, bytes : int
        Size of its features.
    created : float
        When the features were computed, in seconds since 1970.
    """

    path: CachePath
    key: str
    shape: tuple[int, ...]
    rows: int
    bytes: int
    created: float

    def fits_with(self, other: SmallPart) -> bool:
        """Whether rows of both can stand in one part."""
        return (self.key, self.shape) == (other.key, other.shape)


@dataclass(frozen=True)
class Merge:
    """What was merged in one folder: the number of parts before and after."""

    folder: str
    before: int
    after: int


def compact(root: CachePath, progress: Progress | None = None) -> list[Merge]:
    """Merge small parts in every folder of a cache.

    Which parts are merged, and in which order their rows stand, follows from the parts alone: two processes that do
    this at once write the same files. Rows stand in the order in which they were computed.

    Parameters
    ----------
    root : pathlib.Path or ObjectPath
        The cache.
    progress : callable, optional
        Called with the number of folders done and of all folders.

    Returns
    -------
    list of Merge

    Raises
    ------
    StoreError
        If the cache cannot be read or written; no row is lost then.
    """
    merges = []
    folders = list_key_folders(root)
    for done, folder in enumerate(folders, 1):
        for group in group_small_parts(folder, root):
            try:
                is_merged = merge_parts(root, folder, group)
            except StoreError:
                raise
            except OSError as error:
                raise StoreError(f"'{folder}' cannot be compacted: {error.strerror or error}") from error
            if is_merged:
                merges.append(Merge(str(folder), len(group), 1))
        if progress:
            progress(done, len(folders))
    return merges


def find_small_parts(folder: CachePath, root: CachePath) -> Iterator[SmallPart]:
    """Find the parts of a folder that are at most half full and belong there."""
    most_bytes = storage_of(root).merged_part_bytes // 2
    for part in open_sound_parts(folder):
        header = part.header
        size = header.shape[0] * header.row_bytes
        belongs_here = root / read_key(header.key).folder == folder
        if belongs_here and size <= most_bytes:
            created = float(header.provenance.get("created", 0))
            yield SmallPart(part.path, header.key, header.shape[1:], header.shape[0], size, created)


def group_small_parts(folder: CachePath, root: CachePath) -> Iterator[list[SmallPart]]:
    """Group the small parts of a folder, oldest first, so that each group fits into one part."""
    small_parts = list(find_small_parts(folder, root))
    full_bytes = storage_of(root).merged_part_bytes
    small_parts.sort(key=lambda part: (part.key, part.shape, part.created, part.path.name))
    group: list[SmallPart] = []
    group_bytes = 0
    group_rows = 0
    for part in small_parts:
        is_full = group_bytes + part.bytes > full_bytes or group_rows + part.rows > MOST_ROWS
        if group and (is_full or not part.fits_with(group[0])):
            if len(group) > 1:
                yield group
            group = []
            group_bytes = 0
            group_rows = 0
        group.append(part)
        group_bytes += part.bytes
        group_rows += part.rows
    if len(group) > 1:
        yield group


def merge_parts(root: CachePath, folder: CachePath, group: Sequence[SmallPart]) -> bool:
    """Write one part with the rows of several, check it, and only then remove them; tell whether it was done.

    Raises
    ------
    OSError
        If the folder cannot be read or written.
    """
    digests: list[NDArray[np.uint8]] = []
    features: list[NDArray[Any]] = []
    provenance: list[dict[str, Any]] = []

    def take(part: Part) -> None:
        rows = np.empty(part.header.shape, part.header.dtype)
        part.read(np.arange(len(rows)), rows)
        digests.append(part.header.digests.copy())
        features.append(rows)
        provenance.append(part.header.provenance)

    try:
        for small in group:
            with Part.open(small.path) as part:
                part.read_whole(take)
    except (FileNotFoundError, BrokenPart):
        # Merged by another process meanwhile, or damaged: everything stays as it is.
        return False
    index = DigestIndex(digests)
    is_kept = index.are_first()
    merged_features: NDArray[Any] = np.concatenate(features)[is_kept]
    key = read_key(group[0].key)
    target = write_part(folder, key, index.digests[is_kept], [merged_features], join_provenance(provenance))
    # Nothing is removed before what replaces it has been read back from the file and found sound.
    check = check_part(target, root)
    if check is None or check.problem:
        return False
    storage = storage_of(root)
    for small in group:
        if small.path != target:
            storage.remove_file(small.path)
    storage.finish_removal(folder)
    return True


def join_provenance(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join the provenance of parts: costs add up, the earliest time counts, differing values become a list."""
    names = sorted(set().union(*parts))
    joined: dict[str, Any] = {name: join_values([part[name] for part in parts if name in part]) for name in names}
    shares = [float(part.get("seconds", 0)) for part in parts]
    alone = [float(part.get("seconds_alone", share)) for part, share in zip(parts, shares, strict=True)]
    figures = {
        "seconds": round(min(MOST_FIGURE, sum(shares)), 4),
        "seconds_alone": round(min(MOST_FIGURE, sum(alone)), 4),
        "created": min((float(part["created"]) for part in parts if "created" in part), default=0.0),
        "merged": min(int(MOST_FIGURE), sum(int(part.get("merged", 1)) for part in parts)),
    }
    joined |= figures
    # Texts of many parts may be more than one part has room for: then the figures have to do.
    return joined if len(json.dumps(joined)) <= MOST_TEXT // 2 else figures


def join_values(values: Sequence[Any]) -> Any:
    """Give the value that all have, or a sorted list of the different ones; values may be such lists."""
    different = set()
    for value in values:
        different |= set(value) if isinstance(value, list) else {value}
    if len(different) == 1:
        return different.pop()
    return sorted(different, key=str)
