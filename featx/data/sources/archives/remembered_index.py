"""Remembers the index of each shard in the cache, so that its headers are read once.

The index of a shard holds as long as its size, times and inode do, as with remembered digests; one that is damaged, of
another version or cannot be written is no error, only slower.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import xxhash

from featx.data.sources.archives.members import CHANGED, MODIFIED, Archive
from featx.data.sources.archives.samples import ShardIndex
from featx.data.sources.tree import is_store
from featx.errors import RequestError
from featx.files import make_folder, read_regular_file, write_atomic
from featx.paths import find_real_path
from featx.requests import default_cache
from featx.storage.paths import side_folder

log = logging.getLogger(__name__)

INDEX_VERSION = 1

MOST_INDEX_BYTES = 2**30
"""An index of a million pictures has a tenth of that."""

YOUNG_SECONDS = 2.0
"""Age up to which a file's time proves nothing, as in `featx.data.digest_cache`."""


def find_usual_cache() -> Path | None:
    """Find where commands without a cache of their own, such as `predict`, remember indexes: in the user's cache.

    None where there is none: nobody asked them to make one.
    """
    try:
        cache = side_folder(default_cache())
    except RequestError:
        return None
    return cache if is_store(str(cache)) else None


def locate_index(cache: Path, shard: str) -> Path:
    """Say where the index of a shard is remembered: by its real path."""
    real_path = os.fsencode(find_real_path(shard))
    return cache / "scans" / f"{hashlib.sha256(real_path).hexdigest()[:16]}.shard"


def load_index(cache: Path, archive: Archive) -> ShardIndex | None:
    """Read the remembered index of a shard; None where there is none that holds."""
    file = locate_index(cache, archive.path)
    try:
        data = read_regular_file(file, MOST_INDEX_BYTES, "a remembered index")
    except OSError:
        return None
    head, _, body = data.partition(b"\n")
    if head != make_head(archive, body):
        # Most often the shard has changed.
        return None
    try:
        return parse_index(json.loads(body))
    except (ValueError, TypeError, RecursionError) as error:
        log.warning("the remembered index in '%s' is unreadable (%s): the shard is read again", file, error)
        return None


def parse_index(content: dict[str, Any]) -> ShardIndex:
    """Make an index of what JSON holds.

    Raises
    ------
    ValueError, TypeError
        If it is not one.
    """
    content["passed_over"] = [(name, reason) for name, reason in content["passed_over"]]
    # One text a class, not one a picture.
    texts = {label: label for label in content["labels"]}
    content["labels"] = [texts[label] for label in content["labels"]]
    index = ShardIndex(**content)
    if not len(index.names) == len(index.places) == len(index.sizes) == len(index.labels):
        raise ValueError("its columns are of different lengths")
    return index


def save_index(cache: Path, archive: Archive, index: ShardIndex) -> None:
    """Remember the index of a shard, unless it changed so lately that its time proves nothing."""
    newest = max(archive.stamp[MODIFIED], archive.stamp[CHANGED])
    if newest >= time.time_ns() - int(YOUNG_SECONDS * 1e9):
        return
    body = json.dumps(asdict(index), separators=(",", ":")).encode()
    file = locate_index(cache, archive.path)
    with suppress(OSError):
        make_folder(file.parent)
        write_atomic(file, make_head(archive, body) + b"\n" + body)


def make_head(archive: Archive, body: bytes) -> bytes:
    """Make the first line: the version, the stamp of the shard, and the checksum of all that follows."""
    stamp = " ".join(map(str, archive.stamp))
    checksum = xxhash.xxh3_128_hexdigest(body)
    return f"featx shard index, version {INDEX_VERSION}; stamp {stamp}; xxh3_128 of what follows: {checksum}".encode()
