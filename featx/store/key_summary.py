"""What the store holds of a key, in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from featx.keys import FeatureKey
from featx.storage.paths import CachePath
from featx.store.digest_index import DigestIndex
from featx.store.part import Part, fetch_headers
from featx.store.paths import list_parts
from featx.store.schema import read_key


@dataclass(frozen=True)
class KeySummary:
    """What the store holds of one key.

    Attributes
    ----------
    key : FeatureKey
    images : int
        Different images.
    shape : tuple of int
        Shape of one image's features.
    bytes : int
        Size of all parts.
    parts : int
    modified : float
        When the newest part was written, in seconds since 1970.
    seconds : float
        What computing the features cost.
    seconds_alone : float
        What it would have cost for this layer alone; as `seconds`, where parts do not say it.
    """

    key: FeatureKey
    images: int
    shape: tuple[int, ...]
    bytes: int
    parts: int
    modified: float
    seconds: float
    seconds_alone: float


RowsOfShapes = Counter[tuple[int, ...]]
"""Shapes of a row to the number of rows that have it."""


def choose_shape(rows_of: RowsOfShapes) -> tuple[int, ...]:
    """Choose the shape that most rows of a key have, and so all of them should; () if there are none."""
    # Of equally many, the first that was met.
    return rows_of.most_common(1)[0][0] if rows_of else ()


def open_sound_parts(folder: CachePath) -> Iterator[Part]:
    """Yield the parts in a folder whose headers are sound, each open until the next one is asked for."""
    paths = list_parts(folder)
    fetch_headers(paths)
    for path in paths:
        try:
            part = Part.open(path)
        except OSError:
            continue
        with part:
            yield part


def summarise_key(folder: CachePath, root: CachePath) -> KeySummary | None:
    """Sum up the sound parts in a folder of the cache `root`; None if none of them belongs there."""
    key: FeatureKey | None = None
    key_json = ""
    rows_of: RowsOfShapes = Counter()
    digests = []
    size = 0
    seconds = 0.0
    seconds_alone = 0.0
    modified = 0.0
    for part in open_sound_parts(folder):
        header = part.header
        if key is None:
            stated = read_key(header.key)
            if root / stated.folder != folder:
                continue
            key = stated
            key_json = header.key
        if header.key != key_json:
            continue
        # A copy: the header's own array keeps alive all that was read.
        digests.append(header.digests.copy())
        rows_of[header.shape[1:]] += header.shape[0]
        size += header.file_bytes
        share = float(header.provenance.get("seconds", 0))
        seconds += share
        seconds_alone += float(header.provenance.get("seconds_alone", share))
        modified = max(modified, part.file.modified)
    if key is None:
        return None
    images = int(DigestIndex(digests).are_first().sum())
    return KeySummary(key, images, choose_shape(rows_of), size, len(digests), modified, seconds, seconds_alone)
