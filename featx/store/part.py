"""One immutable part: some rows of one key in an ordinary HDF5 file, written whole and checked whenever it is read.

For HDF5 a part holds the datasets `digest` (n, 32) uint8, `checksums` (one for each block of rows) and `features`
(n, ...), all contiguous, and the attributes `format`, `key`, `provenance` and `block_rows`. In front stands what HDF5
calls a user block, readable as text: a line with the checksum of the header, which is everything before the features,
and a line of JSON that says what the part holds and where. Every bit of the file is covered: the features by the
checksums of their blocks, all else by the header's, which is the first line's. Reading needs no HDF5 library, so no
damaged file ever reaches one. The file's name is the digest of its digests: two writers of the same rows write the same
file.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
import xxhash
from numpy.typing import NDArray

from featx.errors import BrokenPart, NotFinite, StoreError
from featx.files import digest, read_at
from featx.keys import FeatureKey
from featx.storage.interface import storage_of
from featx.storage.opened import Data, OpenedFile
from featx.storage.paths import CachePath
from featx.store.header import (
    PART_DTYPES,
    PartHeader,
    encode_header,
    measure_header,
    read_part_header,
    rows_per_block,
)

PART_BYTES = 2**25
"""A part is full with about 32 MiB of features; whoever reads one needs no more memory than that."""

BLOCKS_PER_READ = 8
"""Blocks read by one call: few calls, and what was read is still in the processor's cache when it is checked."""


def part_name(digests: NDArray[np.uint8]) -> str:
    """Name the part that holds these rows in this order: `part-` and 16 hex digits."""
    rows_digest = digest(np.ascontiguousarray(digests).data.cast("B"))
    return f"part-{rows_digest[:8].hex()}.h5"


def write_part(
    folder: CachePath,
    key: FeatureKey,
    digests: NDArray[np.uint8],
    features: Sequence[NDArray[Any]],
    provenance: dict[str, Any],
) -> CachePath:
    """Write rows as one part, atomically and durably.

    Parameters
    ----------
    folder : pathlib.Path or ObjectPath
        The key's folder; created if missing.
    key : FeatureKey
    digests : (n, 32) uint8
    features : sequence of (m, ...) float
        Together n rows, in the key's dtype and contiguous; pieces that end where blocks do are not copied.
    provenance : dict
        Plain values, kept as JSON.

    Returns
    -------
    pathlib.Path or ObjectPath

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full; nothing is left behind.
    """
    target = folder / part_name(digests)
    block_rows = rows_per_block(features[0])
    if any(len(piece) % block_rows for piece in features[:-1]):
        features = [np.concatenate(features)]
    header = encode_header(key, digests, features, provenance)
    pieces: list[Data] = [header]
    pieces += [piece.data for piece in features]
    storage_of(target).write_file(target, pieces, is_read_again=True)
    return target


@dataclass(frozen=True)
class Part:
    """An open part: header and features are those of one file, even if its name is given to another meanwhile.

    Attributes
    ----------
    path : pathlib.Path or ObjectPath
    file : OpenedFile
        Closed on leaving the `with` block. Of an object it may be the header only, until `reopen` is asked for more.
    header : PartHeader
    """

    path: CachePath
    file: OpenedFile
    header: PartHeader

    @classmethod
    def open(cls, path: CachePath) -> Self:
        """Open a part and check its header, its length and its name.

        Raises
        ------
        BrokenPart
            If it is not a part, incomplete, damaged, or named for other rows than it holds.
        NewerPart
            If its format is newer than this version reads.
        OSError
            If the file is gone or unreadable.
        """
        storage = storage_of(path)
        try:
            return cls.take(path, lambda: storage.open_file(path, measure_header))
        except BrokenPart:
            # A damaged copy says nothing of the object.
            if not storage.forget_copy(path):
                raise
        return cls.take(path, lambda: storage.open_file(path, measure_header))

    @classmethod
    def open_anew(cls, path: CachePath) -> Self:
        """Open a part as it is now where it lies, and whole; errors are those of `open`."""
        return cls.take(path, lambda: storage_of(path).open_anew(path))

    @classmethod
    def take(cls, path: CachePath, open_file: Callable[[], OpenedFile]) -> Self:
        """Make a part of the file that a function opens; errors are those of `open`."""
        try:
            file = open_file()
        except OSError as error:
            # What the system refuses has a number; what is not a file, or a link in a circle, is not a part.
            if error.errno in (None, errno.ELOOP) and not isinstance(error, StoreError):
                raise BrokenPart(f"'{path}' {error.strerror or error}") from error
            raise
        try:
            header = read_part_header(file, path)
            expected_name = part_name(header.digests)
            if path.name != expected_name:
                raise BrokenPart(f"'{path}' holds other rows than its name says ({expected_name})")
            return cls(path, file, header)
        except BaseException:
            file.close()
            raise

    def reopen(self) -> Self:
        """Open the part once more, and whole: what was open may be closed meanwhile.

        Raises
        ------
        BrokenPart, OSError
            As `open` does, where only the header was open.
        """
        if self.file.is_whole:
            return replace(self, file=replace(self.file, handle=os.dup(self.file.handle)))
        storage = storage_of(self.path)
        return type(self).take(self.path, lambda: storage.open_file(self.path))

    def read_whole(self, read: Callable[[Part], None]) -> None:
        """Hand the whole part to a function that reads it; once more, from where it lies, if a copy was damaged.

        Raises
        ------
        BrokenPart, OSError
            As `open` and the function do.
        """
        try:
            with self.reopen() as part:
                read(part)
        except BrokenPart:
            if not storage_of(self.path).forget_copy(self.path):
                raise
            with type(self).open_anew(self.path) as part:
                read(part)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def read(self, rows: NDArray[np.intp], out: NDArray[Any]) -> None:
        """Read some rows, checking every block that they lie in.

        Parameters
        ----------
        rows : (m,) int
            Ascending row numbers in the part; may repeat.
        out : (m, ...) array of the part's dtype
            Filled with the features; contiguous.

        Raises
        ------
        BrokenPart
            If a checksum differs or the file ends early; `out` must not be used then.
        StoreError
            If the disk fails.
        """
        if self.are_whole_blocks(rows):
            self.read_blocks(int(rows[0]), out)
            return
        block_rows = self.header.block_rows
        blocks = rows // block_rows
        # Places in `rows` at which the next block begins, and the end.
        edges = np.flatnonzero(np.diff(blocks, prepend=-1, append=-1))
        for start, stop in pairwise(edges.tolist()):
            first_row = int(blocks[start]) * block_rows
            block = np.empty((min(block_rows, self.header.shape[0] - first_row), *out.shape[1:]), out.dtype)
            self.read_blocks(first_row, block)
            out[start:stop] = block[rows[start:stop] - first_row]

    def read_into(self, rows: NDArray[np.intp], places: NDArray[np.intp], out: NDArray[Any]) -> None:
        """Read ascending rows to places of a larger array; takes memory for a quarter of a full part, or for a row.

        Parameters
        ----------
        rows, places : (m,) int
            Row numbers in the part, and in `out`.
        out : (n, ...) array of the part's dtype

        Raises
        ------
        BrokenPart
            If they are damaged, or of another shape than the rows of `out`.
        StoreError
            If the disk fails.
        """
        row_shape = self.header.shape[1:]
        if row_shape != out.shape[1:]:
            raise BrokenPart(f"'{self.path}' holds rows of shape {row_shape}, others of {out.shape[1:]}")
        if is_run(places):
            self.read(rows, out[places[0] : places[0] + len(places)])
            return
        # Not bounded by the rows of the part: one image may be requested any number of times.
        quarter = -(-len(self.header.digests) // 4)
        step = min(quarter, max(1, PART_BYTES // self.header.row_bytes))
        for low in range(0, len(rows), step):
            some = np.empty((min(step, len(rows) - low), *out.shape[1:]), out.dtype)
            self.read(rows[low : low + step], some)
            out[places[low : low + step]] = some

    def are_whole_blocks(self, rows: NDArray[np.intp]) -> bool:
        """Whether ascending rows are a run without gaps that begins and ends where blocks do."""
        block_rows = self.header.block_rows
        stop = int(rows[-1]) + 1
        ends_with_block = stop % block_rows == 0 or stop == self.header.shape[0]
        return int(rows[0]) % block_rows == 0 and ends_with_block and is_run(rows)

    def read_blocks(self, first: int, out: NDArray[Any]) -> None:
        """Read and check whole blocks, from the row `first` on, straight into an array.

        Raises
        ------
        BrokenPart
            If a checksum differs or the file ends early; `out` must not be used then.
        StoreError
            If the disk fails.
        """
        if not out.nbytes:
            return
        header = self.header
        view = out.data.cast("B")
        place = header.offset + first * header.row_bytes
        block = first // header.block_rows
        block_bytes = header.block_rows * header.row_bytes
        # A local name: this is called for every 64 KiB.
        checksum = xxhash.xxh3_64_intdigest
        for low in range(0, len(view), block_bytes * BLOCKS_PER_READ):
            run = view[low : low + block_bytes * BLOCKS_PER_READ]
            try:
                is_complete = read_at(self.file.handle, run, place + low) == len(run)
            except OSError as error:
                raise StoreError(f"'{self.path}' cannot be read: {error.strerror or error}") from error
            computed = [checksum(run[at : at + block_bytes]) for at in range(0, len(run), block_bytes)]
            stated = header.checksums[block : block + len(computed)].tolist()
            if computed != stated or not is_complete:
                raise self._damaged(block, computed, stated)
            block += len(computed)

    def _damaged(self, block: int, computed: list[int], stated: list[int]) -> BrokenPart:
        """Build the error that names the rows of the first block, counted from `block`, whose checksum differs."""
        for place, pair in enumerate(zip(computed, stated, strict=True)):
            if pair[0] != pair[1]:
                block += place
                break
        first_row = block * self.header.block_rows
        last_row = min(first_row + self.header.block_rows, self.header.shape[0]) - 1
        return BrokenPart(f"'{self.path}' is damaged: features of rows {first_row} to {last_row} fail their checksum")


def fetch_headers(paths: Sequence[CachePath]) -> None:
    """Get ready to open parts one after another, where they lie far away: many headers are read at a time.

    Raises
    ------
    StoreError
        If the cache cannot be read.
    """
    if paths:
        storage_of(paths[0]).fetch_heads(paths, measure_header)


def is_run(numbers: NDArray[np.intp]) -> bool:
    """Whether integers count up one by one."""
    # The ends are compared first, since it is quick and mostly tells.
    return int(numbers[-1]) - int(numbers[0]) == len(numbers) - 1 and bool((np.diff(numbers) == 1).all())


def to_stored(key: FeatureKey, features: NDArray[Any]) -> NDArray[Any]:
    """Convert features to the key's dtype.

    Parameters
    ----------
    key : FeatureKey
    features : (n, ...) float

    Returns
    -------
    (n, ...) array of the key's dtype
        Contiguous and little-endian.

    Raises
    ------
    NotFinite
        If a number is NaN or inf, or overflows the dtype.
    """
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(features, PART_DTYPES[key.dtype])
    if are_finite(stored):
        return stored
    if are_finite(features):
        raise NotFinite(
            f"features of {key.folder} reach {np.abs(features).max():.6g}, but {key.dtype} holds at most "
            f"{np.finfo(stored.dtype).max:.6g}: extract with --store-dtype float32"
        )
    raise NotFinite(
        f"features of {key.folder} are not finite (NaN or inf), so they are not stored: "
        "check the weights, and try --precision float32"
    )


def are_finite(numbers: NDArray[Any]) -> bool:
    """Whether all numbers are finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        # A finite sum is proof enough and several times faster to have; finite numbers may still have an infinite sum.
        if np.isfinite(numbers.sum(dtype=np.float32)):
            return True
        return bool(np.isfinite(numbers).all())
