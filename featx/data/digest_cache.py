"""Remembers the digests of files between runs, so that an unchanged file is not read again.

A file counts as unchanged while its size, modification time and inode are the same; `rehash` reads it all the same.
The cache only ever spares work: it may be deleted at any time, and extraction hashes again whatever it reads.
"""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.data.listing import DigestedListing, FailedImage, Listing
from featx.data.reading import reading
from featx.files import atomic_path, digest
from featx.images.picture_digest import digest_picture, may_be_read_anew
from featx.types import Progress

log = logging.getLogger(__name__)

DIGESTS_VERSION = 2
"""Of what is remembered: 2 since pictures whose reading changed have digests of their own."""


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


@dataclass(frozen=True)
class StoredDigests:
    """What the file of a data set holds: m rows, those whose digest was known.

    Attributes
    ----------
    names : (m, 16) uint8
        Digests of the paths, so that no strings are stored.
    stamps : (m, 3) int64
    digests : (m, 32) uint8
    listing : (32,) uint8
        Digest of all paths that were listed, in their order; empty in files of earlier versions.
    is_current : bool
        Whether digests are those of `digest_picture`, not of every file's bytes as in earlier versions.
    """

    names: NDArray[np.uint8]
    stamps: NDArray[np.int64]
    digests: NDArray[np.uint8]
    listing: NDArray[np.uint8]
    is_current: bool


def load_digests(cache: Path, listing: Listing, rehash: bool = False) -> KnownDigests:
    """Look up which rows have a remembered digest that still holds.

    Parameters
    ----------
    cache : pathlib.Path
        The store's folder; remembered digests lie in its folder `scans`.
    listing : Listing
    rehash : bool
        Forget everything: every file will be read.
    """
    n = len(listing)
    known = KnownDigests(np.zeros((n, 32), np.uint8), np.zeros(n, bool), np.full((n, 3), -1, np.int64))
    if not listing.on_disk:
        return known
    # Before anything is read: a file that changes later has another stamp next time, and is hashed again.
    known.stamps[:] = [read_stamp(path) for path in listing.paths]
    file = locate_file(cache, listing)
    if rehash or not file.exists():
        return known
    try:
        stored = read_stored(file)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("the remembered digests in %s are unreadable (%s): files are hashed again", file, error)
        return known
    rows = match_rows(stored, listing)
    is_same = (rows >= 0) & (known.stamps[:, 0] >= 0)
    is_same[is_same] = (stored.stamps[rows[is_same]] == known.stamps[is_same]).all(axis=1)
    if not stored.is_current:
        for row in np.flatnonzero(is_same).tolist():
            is_same[row] = not may_be_read_anew(listing.paths[row])
    known.digests[is_same] = stored.digests[rows[is_same]]
    known.known[:] = is_same
    return known


def read_stamp(path: str) -> tuple[int, int, int]:
    """Ask for size, modification time and inode of a file; -1 each where it is gone."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path a row is slow at a million rows
    except (OSError, ValueError):  # a name that no file can have
        return (-1, -1, -1)
    return (status.st_size, status.st_mtime_ns, status.st_ino)


def locate_file(cache: Path, listing: Listing) -> Path:
    """Say where the digests of a data set are remembered: one file for each real path of DATA."""
    real_path = os.path.realpath(listing.name)
    return cache / "scans" / f"{hashlib.sha256(os.fsencode(real_path)).hexdigest()[:16]}.npz"


def read_stored(file: Path) -> StoredDigests:
    """Read what was remembered.

    Raises
    ------
    OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile
        If the file is damaged.
    """
    with file.open("rb") as raw, np.load(raw, allow_pickle=False) as arrays:
        stored = StoredDigests(
            names=arrays["names"],
            stamps=arrays["stamps"],
            digests=arrays["digests"],
            listing=arrays["listing"] if "listing" in arrays else np.zeros(0, np.uint8),
            is_current="version" in arrays,
        )
    row_shapes = (stored.names.shape[1:], stored.stamps.shape[1:], stored.digests.shape[1:])
    if row_shapes != ((16,), (3,), (32,)):
        raise ValueError("unexpected shapes")
    return stored


def match_rows(stored: StoredDigests, listing: Listing) -> NDArray[np.intp]:
    """Find the stored row of each row of the listing; -1 where there is none."""
    n = len(listing)
    # One digest of all paths is a tenth of the work of one for each, and mostly enough.
    if len(stored.names) == n and np.array_equal(stored.listing, digest_listing(listing)):
        return np.arange(n)
    # Files came or went, or not every digest was known.
    row_of = {name.tobytes(): row for row, name in enumerate(stored.names)}
    return np.array([row_of.get(name.tobytes(), -1) for name in digest_paths(listing)], np.intp)


def digest_listing(listing: Listing) -> NDArray[np.uint8]:
    """Digest all paths in their order: (32,) uint8."""
    return np.frombuffer(digest(os.fsencode("\0".join(listing.paths))), np.uint8)


def digest_paths(listing: Listing) -> NDArray[np.uint8]:
    """Digest each path: (n, 16) uint8, the first half of its sha256."""
    joined = b"".join(digest(os.fsencode(path))[:16] for path in listing.paths)
    return np.frombuffer(joined, np.uint8).reshape(-1, 16)


def save_digests(cache: Path, listing: Listing, known: KnownDigests) -> None:
    """Store the known digests; a cache that cannot be written is not an error, only slower next time."""
    rows = known.known
    if not listing.on_disk or not rows.any():
        return
    names = digest_paths(listing)[rows]
    stamps = known.stamps[rows]
    digests = known.digests[rows]
    with suppress(OSError), atomic_path(locate_file(cache, listing)) as unfinished, open(unfinished, "wb") as file:
        of_paths = digest_listing(listing)
        np.savez(file, names=names, stamps=stamps, digests=digests, listing=of_paths, version=DIGESTS_VERSION)


def digest_all(
    cache: Path,
    listing: Listing,
    rehash: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> DigestedListing:
    """Digest every row of a listing, reading only the files that are new or changed.

    Parameters
    ----------
    cache : pathlib.Path
        The store's folder.
    listing : Listing
    rehash : bool
        Read every file, also those that look unchanged.
    workers : int, optional
        Threads that read; one a core by default.
    progress : callable, optional
        Called with the number of files hashed and to be hashed.

    Returns
    -------
    DigestedListing
        The rows that could be read, and the others in `unreadable`.
    """
    known = load_digests(cache, listing, rehash)
    unread = np.flatnonzero(~known.known).tolist()
    unreadable = []

    def hash_row(row: int) -> bytes | FailedImage:
        path = listing.paths[row]
        try:
            with reading(listing, row) as data:
                return digest_picture(data)
        except OSError as error:
            return FailedImage(path, error.strerror or str(error))

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        hashed = pool.map(hash_row, unread)
        for done, (row, result) in enumerate(zip(unread, hashed, strict=True), 1):
            if isinstance(result, FailedImage):
                unreadable.append(result)
            else:
                known.digests[row] = np.frombuffer(result, np.uint8)
                known.known[row] = True
            if progress:
                progress(done, len(unread))
    if unread:
        save_digests(cache, listing, known)
    return keep_known_rows(listing, known, unreadable)


def keep_known_rows(listing: Listing, known: KnownDigests, unreadable: list[FailedImage]) -> DigestedListing:
    """Keep the rows whose digest is known."""
    if known.known.all():
        return DigestedListing(listing, known.digests, tuple(unreadable))
    rows = np.flatnonzero(known.known)
    return DigestedListing(listing.subset(rows.tolist()), known.digests[rows], tuple(unreadable))
