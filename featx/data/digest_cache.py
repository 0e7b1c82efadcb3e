"""Remembers the digests of files between runs, so that an unchanged file is not read again.

A file counts as unchanged while its size, modification time and inode are the same; `rehash` reads it all the same.
The memory only ever spares work: it may be deleted at any time, and extraction hashes again whatever it reads.
"""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.data.listing import FailedImage, Listing, Manifest
from featx.files import atomic_path, digest

log = logging.getLogger(__name__)


@dataclass
class KnownDigests:
    """Digests of a listing's rows, as far as they are known.

    Attributes
    ----------
    digests : (n, 32) uint8
    known : (n,) bool
        Rows whose digest is known; the others hold zeros.
    stamps : (n, 3) int64
        Size in bytes, modification time in ns and inode of each file when it was listed; -1 where it has none.
    """

    digests: NDArray[np.uint8]
    known: NDArray[np.bool_]
    stamps: NDArray[np.int64]


def _stamp(path: str) -> tuple[int, int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path a row is slow at a million rows
    except OSError:
        return (-1, -1, -1)
    return (status.st_size, status.st_mtime_ns, status.st_ino)


def _file(cache: Path, listing: Listing) -> Path:
    where = os.path.realpath(listing.name)
    return cache / "scans" / f"{hashlib.sha256(where.encode()).hexdigest()[:16]}.npz"


def _digest_paths(listing: Listing) -> NDArray[np.uint8]:
    """First 16 bytes of the sha256 of each path: (n, 16) uint8, so that no strings are stored."""
    joined = b"".join(hashlib.sha256(os.fsencode(path)).digest()[:16] for path in listing.paths)
    return np.frombuffer(joined, np.uint8).reshape(-1, 16)


def _digest_listing(listing: Listing) -> NDArray[np.uint8]:
    """Digest of all paths in their order: (32,) uint8; one for all is a tenth of the work of one each."""
    return np.frombuffer(hashlib.sha256(os.fsencode("\0".join(listing.paths))).digest(), np.uint8)


def load_digests(cache: Path, listing: Listing, rehash: bool = False) -> KnownDigests:
    """Look up which rows have a remembered digest that still holds.

    Parameters
    ----------
    cache : pathlib.Path
        The store's folder; the memory lies in its folder `scans`.
    rehash : bool
        Forget everything: every file will be read.
    """
    n = len(listing)
    found = KnownDigests(np.zeros((n, 32), np.uint8), np.zeros(n, bool), np.full((n, 3), -1, np.int64))
    if not listing.on_disk:
        return found
    found.stamps[:] = [_stamp(path) for path in listing.paths]
    file = _file(cache, listing)
    if rehash or not file.exists():
        return found
    try:
        with file.open("rb") as raw, np.load(raw, allow_pickle=False) as stored:
            names, stamps, digests = stored["names"], stored["stamps"], stored["digests"]
            is_same = len(names) == n and np.array_equal(stored.get("listing", ()), _digest_listing(listing))
        if not (names.shape[1:] == (16,) and stamps.shape[1:] == (3,) and digests.shape[1:] == (32,)):
            raise ValueError("unexpected shapes")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("the memory of digests %s is unreadable (%s): files are hashed again", file, error)
        return found
    rows = np.arange(n)
    if not is_same:  # files came or went, or not every digest was known
        place = {name.tobytes(): row for row, name in enumerate(names)}
        rows = np.array([place.get(name.tobytes(), -1) for name in _digest_paths(listing)], np.int64)
    same = (rows >= 0) & (found.stamps[:, 0] >= 0)
    same[same] = (stamps[rows[same]] == found.stamps[same]).all(axis=1)
    found.digests[same] = digests[rows[same]]
    found.known[:] = same
    return found


def save_digests(cache: Path, listing: Listing, known: KnownDigests) -> None:
    """Store the known digests; a cache that cannot be written is no error, only slower next time."""
    if not listing.on_disk or not known.known.any():
        return
    names, stamps, digests = (column[known.known] for column in (_digest_paths(listing), known.stamps, known.digests))
    with suppress(OSError), atomic_path(_file(cache, listing)) as unfinished, open(unfinished, "wb") as file:
        np.savez(file, names=names, stamps=stamps, digests=digests, listing=_digest_listing(listing))


def digest_all(
    cache: Path,
    listing: Listing,
    rehash: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Digest every row of a listing, reading only the files that are new or changed.

    Parameters
    ----------
    progress : callable, optional
        Called with the number of files hashed and to be hashed.

    Returns
    -------
    Manifest
        The rows that could be read, and the others in `unreadable`.
    """
    known = load_digests(cache, listing, rehash)
    unread = np.flatnonzero(~known.known).tolist()
    unreadable = []

    def hash_row(row: int) -> bytes | str:
        try:
            return digest(listing.read(listing.paths[row]))
        except OSError as error:
            return error.strerror or str(error)

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for done, (row, found) in enumerate(zip(unread, pool.map(hash_row, unread, chunksize=16), strict=True), 1):
            if isinstance(found, str):
                unreadable.append(FailedImage(listing.paths[row], found))
            else:
                known.digests[row] = np.frombuffer(found, np.uint8)
                known.known[row] = True
            if progress:
                progress(done, len(unread))
    if len(unread):
        save_digests(cache, listing, known)
    return keep_known(listing, known, tuple(unreadable))


def keep_known(listing: Listing, known: KnownDigests, unreadable: tuple[FailedImage, ...] = ()) -> Manifest:
    """Make a manifest of the rows whose digest is known."""
    if known.known.all():
        return Manifest(listing, known.digests, unreadable)
    rows = np.flatnonzero(known.known)
    return Manifest(listing.subset(rows.tolist()), known.digests[rows], unreadable)
