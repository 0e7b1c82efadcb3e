"""Remembers the digests of files between runs, so that an unchanged file is not read again.

A file counts as unchanged while its size, modification time, change time and inode are the same; `rehash` reads it all
the same. Programs may set the modification time back, but not the change time. A time that was younger than
`YOUNG_SECONDS` when it was noted, or in the future, proves nothing: the file may have changed once more within the same
tick of the file system's clock. Such files are read again. The cache only ever spares work: it may be deleted at any
time, and extraction hashes again whatever it reads.

The file of a data set is a line of text, which states its rows and the checksum of all that follows, and plain arrays.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from featx.data.listing import DigestedListing, FailedImage, Listing
from featx.data.reading import reading, reading_threads
from featx.files import digest, make_folder, read_regular_file, write_atomic
from featx.images.picture_digest import digest_picture
from featx.paths import find_real_path
from featx.processes.posix import fcntl
from featx.storage.client import FETCHING_THREADS
from featx.types import Progress

log = logging.getLogger(__name__)

DIGESTS_VERSION = 3
"""Of what is remembered: 3 since change times are. What earlier versions remembered lacks them, and is not read."""

HEAD_LINE_BYTES = 128
"""Length of the first line, its newline included."""

ROW_BYTES = 16 + 4 * 8 + 32
"""Bytes that are kept of a row: digest of the path, stamp, digest of the file."""

FORMER_ROWS = 2**20
"""Rows that are read beyond four times those of the listing: earlier ones may have had more. A file of more rows is not
read, so that none takes more memory than its data set."""

YOUNG_SECONDS = 2.0
"""Age up to which a file's time proves nothing: FAT keeps modification times to two seconds, others to 10 ms."""

LOCK_TRIES = 100
"""How often a lock is asked for, 20 ms apart: whoever has it writes one file."""

Now = Callable[[], int]
"""Gives the time in ns since 1970."""


@dataclass
class KnownDigests:
    """Digests of a listing's rows, as far as they are known.

    Attributes
    ----------
    digests : (n, 32) uint8
    known : (n,) bool
        Rows whose digest is known; the others hold zeros.
    stamps : (n, 4) int64
        Size in bytes, modification time and change time in ns, and inode of each file when it was listed, as
        `ImageFiles.read_stamps` gives them; -1 where it has none.
    noted : int
        When the stamps were taken, in ns since 1970.
    """

    digests: NDArray[np.uint8]
    known: NDArray[np.bool_]
    stamps: NDArray[np.int64]
    noted: int

    def find_provable(self) -> NDArray[np.bool_]:
        """Tell which rows have stamps, (n,) bool, that show any later change of their file."""
        is_there = self.stamps[:, 0] >= 0
        newest = self.stamps[:, 1:3].max(axis=1)
        return is_there & (newest < self.noted - int(YOUNG_SECONDS * 1e9))


@dataclass(frozen=True)
class StoredDigests:
    """What the file of a data set holds: m rows, those whose digest was known.

    Attributes
    ----------
    listing : (32,) uint8
        Digest of all paths that were listed, in their order.
    names : (m, 16) uint8
        Digests of the paths, so that no strings are stored.
    stamps : (m, 4) int64
    digests : (m, 32) uint8
    """

    listing: NDArray[np.uint8]
    names: NDArray[np.uint8]
    stamps: NDArray[np.int64]
    digests: NDArray[np.uint8]


def load_digests(cache: Path, listing: Listing, rehash: bool = False, now: Now = time.time_ns) -> KnownDigests:
    """Look up which rows have a remembered digest that still holds.

    Parameters
    ----------
    cache : pathlib.Path
        The store's folder; remembered digests lie in its folder `scans`.
    listing : Listing
    rehash : bool
        Forget everything: every file will be read.
    now : callable
        The clock by which files are young.
    """
    n = len(listing)
    known = KnownDigests(np.zeros((n, 32), np.uint8), np.zeros(n, bool), np.full((n, 4), -1, np.int64), now())
    if not listing.files.are_stored:
        return known
    # Before anything is read: a file that changes later has another stamp next time, and is hashed again.
    known.stamps[:] = listing.files.read_stamps(listing.paths)
    if rehash:
        return known
    adopt_stored(known, cache, listing)
    return known


def adopt_stored(known: KnownDigests, cache: Path, listing: Listing) -> None:
    """Take over the remembered digests of unchanged files whose digest is not known."""
    file = locate_file(cache, listing)
    try:
        stored = read_stored(file, 4 * len(listing) + FORMER_ROWS)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        log.warning("the remembered digests in '%s' are unreadable (%s): files are hashed again", file, error)
        return
    rows = match_rows(stored, listing)
    is_same = (rows >= 0) & (known.stamps[:, 0] >= 0) & ~known.known
    is_same[is_same] = (stored.stamps[rows[is_same]] == known.stamps[is_same]).all(axis=1)
    known.digests[is_same] = stored.digests[rows[is_same]]
    known.known |= is_same


def locate_file(cache: Path, listing: Listing) -> Path:
    """Say where the digests of a data set are remembered: one file for each real path of DATA."""
    real_path = find_real_path(listing.name)
    return cache / "scans" / f"{hashlib.sha256(os.fsencode(real_path)).hexdigest()[:16]}.digests"


def make_head(rows: int, checksum: str) -> bytes:
    """Make the first line: the version, the number of rows, and the checksum of all that follows."""
    text = f"featx digests, version {DIGESTS_VERSION}; {rows} rows; xxh3_128 of what follows: {checksum}"
    return text.ljust(HEAD_LINE_BYTES - 1).encode() + b"\n"


def read_stored(file: Path, most_rows: int) -> StoredDigests:
    """Read what was remembered.

    Parameters
    ----------
    file : pathlib.Path
    most_rows : int
        A file of more is refused by its size.

    Raises
    ------
    OSError
        If the file does not exist, cannot be read or is not a file.
    ValueError
        If it is damaged.
    """
    most_bytes = HEAD_LINE_BYTES + 32 + most_rows * ROW_BYTES
    data = memoryview(read_regular_file(file, most_bytes, "remembered digests"))
    body = data[HEAD_LINE_BYTES:]
    head = re.match(rb"featx digests, version \d+; (\d{1,12}) rows;", data[:HEAD_LINE_BYTES])
    rows = int(head[1]) if head is not None else -1
    if len(body) != 32 + rows * ROW_BYTES:
        raise ValueError("it is cut short, or not a file of remembered digests")
    if data[:HEAD_LINE_BYTES] != make_head(rows, xxhash.xxh3_128_hexdigest(body)):
        raise ValueError("it fails its checksum, or is of another version")
    names_end = 32 + rows * 16
    stamps_end = names_end + rows * 32
    return StoredDigests(
        listing=np.frombuffer(body[:32], np.uint8),
        names=np.frombuffer(body[32:names_end], np.uint8).reshape(rows, 16),
        stamps=np.frombuffer(body[names_end:stamps_end], "<i8").reshape(rows, 4),
        digests=np.frombuffer(body[stamps_end:], np.uint8).reshape(rows, 32),
    )


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
    """Store the known digests beside those that others stored meanwhile, such as of the other shards.

    A cache that cannot be written is not an error, only slower next time.
    """
    if not listing.files.are_stored or not (known.known & known.find_provable()).any():
        return
    file = locate_file(cache, listing)
    with suppress(OSError):
        make_folder(file.parent)
    with suppress(OSError), lock_folder(file.parent):
        if not known.known.all():
            # What others read is not what this run has read.
            known = replace(known, digests=known.digests.copy(), known=known.known.copy())
            adopt_stored(known, cache, listing)
        rows = known.known & known.find_provable()
        names = digest_paths(listing)[rows]
        stamps = known.stamps[rows].astype("<i8")
        digests = known.digests[rows]
        body = b"".join(array.tobytes() for array in (digest_listing(listing), names, stamps, digests))
        write_atomic(file, make_head(len(names), xxhash.xxh3_128_hexdigest(body)) + body)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other processes of this kind out of a folder, where its file system has locks and gives one in time.

    Without one, of two that end at once the last one's digests are kept, and the other's files are hashed again.
    """
    handle = None
    with suppress(OSError):
        if fcntl is not None:
            handle = os.open(folder, os.O_RDONLY)
    try:
        if handle is not None:
            wait_for_lock(handle)
        yield
    finally:
        if handle is not None:
            os.close(handle)


def wait_for_lock(handle: int) -> None:
    """Lock an open folder, or give it up where its file system has no locks or somebody keeps it."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:
            return


def digest_all(
    cache: Path,
    listing: Listing,
    rehash: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    now: Now = time.time_ns,
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
    now : callable
        The clock by which files are young.

    Returns
    -------
    DigestedListing
        The rows that could be read, and the others in `unreadable`.
    """
    known = load_digests(cache, listing, rehash, now)
    unread = np.flatnonzero(~known.known).tolist()
    unreadable = []

    def hash_row(row: int) -> bytes | FailedImage:
        path = listing.paths[row]
        try:
            with reading(listing, row) as data:
                return digest_picture(data)
        except OSError as error:
            return FailedImage(path, error.strerror or str(error))

    threads = workers or os.cpu_count() or 1
    if listing.files.are_far:
        threads = max(threads, FETCHING_THREADS)
    with reading_threads(threads) as pool:
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
