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

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import xxhash
from numpy.typing import NDArray

from featx.errors import BrokenPart, NotFinite
from featx.files import atomic_file, digest, write_all
from featx.keys import FeatureKey
from featx.store.header import DTYPES, PartHeader, encode_header, read_header, rows_of_a_block

PART_BYTES = 2**25
"""A part is full with about 32 MiB of features; whoever reads one needs no more memory than that."""

RUN = 8
"""Blocks read by one call: few calls, and what was read is still in the processor's cache when it is checked."""


def part_name(digests: NDArray[np.uint8]) -> str:
    """Name of the part that holds these rows in this order: `part-` and 16 hex digits."""
    return f"part-{digest(np.ascontiguousarray(digests).data.cast('B'))[:8].hex()}.h5"


def write_part(
    folder: Path,
    key: FeatureKey,
    digests: NDArray[np.uint8],
    features: Sequence[NDArray[Any]],
    provenance: dict[str, Any],
) -> Path:
    """Write rows as one part, atomically and durably.

    Parameters
    ----------
    folder : pathlib.Path
        The key's folder; made if missing.
    digests : (n, 32) uint8
    features : sequence of (m, ...) float
        Together n rows, in the key's dtype and contiguous; pieces that end where blocks do are not copied.
    provenance : dict
        Plain values, kept as JSON.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full; nothing is left behind.
    """
    target = folder / part_name(digests)
    size = rows_of_a_block(features[0])
    if any(len(piece) % size for piece in features[:-1]):
        features = [np.concatenate(features)]
    header = encode_header(key, digests, features, provenance)
    with atomic_file(target) as (handle, _):
        write_all(handle, header)
        for piece in features:
            write_all(handle, piece.data)
    return target


@dataclass(frozen=True)
class Part:
    """An open part: header and features are of one file, whatever happens to its name meanwhile.

    Attributes
    ----------
    path : pathlib.Path
    handle : int
        Closed on leaving the `with` block.
    header : PartHeader
    """

    path: Path
    handle: int
    header: PartHeader

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a part and check its header, its length and its name.

        Raises
        ------
        BrokenPart
            If it is no part, incomplete, damaged, or named for other rows than it holds.
        NewerPart
            If its format is newer than this version reads.
        OSError
            If the file is gone or unreadable.
        """
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe of this name must not stop us
        try:
            header = read_header(handle, path)
            if path.name != part_name(header.digests):
                raise BrokenPart(f"'{path}' holds other rows than its name says ({part_name(header.digests)})")
            return cls(path, handle, header)
        except BaseException:
            os.close(handle)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)

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
        """
        size = self.header.block_rows
        if self.are_whole_blocks(rows):
            self.read_blocks(int(rows[0]), out)
            return
        blocks = rows // size
        edges = np.flatnonzero(np.diff(blocks, prepend=-1, append=-1))
        for start, stop in pairwise(edges.tolist()):
            first = int(blocks[start]) * size
            block = np.empty((min(size, self.header.shape[0] - first), *out.shape[1:]), out.dtype)
            self.read_blocks(first, block)
            out[start:stop] = block[rows[start:stop] - first]

    def read_to(self, rows: NDArray[np.intp], places: NDArray[np.intp], out: NDArray[Any]) -> None:
        """Read ascending rows to places of a larger array; takes memory for a quarter of the part at most.

        Parameters
        ----------
        rows, places : (m,) int
            In the part, and in `out`.
        out : (n, ...) array of the part's dtype

        Raises
        ------
        BrokenPart
            If they are damaged, or of another shape than the rows of `out`.
        """
        if self.header.shape[1:] != out.shape[1:]:
            raise BrokenPart(f"'{self.path}' holds rows of shape {self.header.shape[1:]}, others of {out.shape[1:]}")
        if int(places[-1]) - int(places[0]) == len(places) - 1 and (np.diff(places) == 1).all():
            self.read(rows, out[places[0] : places[0] + len(places)])
            return
        most = -(-len(self.header.digests) // 4)  # one image may be wanted any number of times
        for low in range(0, len(rows), most):
            some = np.empty((min(most, len(rows) - low), *out.shape[1:]), out.dtype)
            self.read(rows[low : low + most], some)
            out[places[low : low + most]] = some

    def are_whole_blocks(self, rows: NDArray[np.intp]) -> bool:
        """Whether ascending rows are a run without gaps that begins and ends where blocks do."""
        size, end = self.header.block_rows, int(rows[-1]) + 1
        if rows[0] % size or (end % size and end != self.header.shape[0]):
            return False
        return end - int(rows[0]) == len(rows) and bool((np.diff(rows) == 1).all())

    def read_blocks(self, first: int, out: NDArray[Any]) -> None:
        """Read and check whole blocks, from the row `first` on, straight into an array.

        Raises
        ------
        BrokenPart
            If a checksum differs or the file ends early; `out` must not be used then.
        """
        if not out.nbytes:
            return
        header, view = self.header, out.data.cast("B")
        step, block = header.block_rows * header.row_bytes, first // header.block_rows
        place, checksums, checksum = (
            header.offset + first * header.row_bytes,
            header.checksums,
            xxhash.xxh3_64_intdigest,
        )
        for low in range(0, len(view), step * RUN):
            run = view[low : low + step * RUN]
            whole = os.preadv(self.handle, [run], place + low) == len(run)
            found = [checksum(run[at : at + step]) for at in range(0, len(run), step)]
            expected = checksums[block : block + len(found)].tolist()
            if found != expected or not whole:
                bad = block + next(
                    (i for i, pair in enumerate(zip(found, expected, strict=True)) if len({*pair}) > 1), 0
                )
                row, last = bad * header.block_rows, min((bad + 1) * header.block_rows, header.shape[0]) - 1
                raise BrokenPart(f"'{self.path}' is damaged: features of rows {row} to {last} fail their checksum")
            block += len(found)


def to_stored(key: FeatureKey, features: NDArray[Any]) -> NDArray[Any]:
    """Convert features to the key's dtype.

    Raises
    ------
    NotFinite
        If a number is infinite, none at all, or too large for the dtype.
    """
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(features, DTYPES[key.dtype])
    if are_finite(stored):
        return stored
    if are_finite(features):
        raise NotFinite(
            f"features of {key.folder} reach {np.abs(features).max():.6g}, but {key.dtype} holds at most "
            f"{np.finfo(stored.dtype).max:.6g}: extract with --store-dtype float32"
        )
    raise NotFinite(
        f"features of {key.folder} are not finite (infinite or no numbers), so they are not stored: "
        "check the weights, and try --precision float32"
    )


def are_finite(numbers: NDArray[Any]) -> bool:
    """Whether all numbers are finite; sums them up first, which is faster and, when finite, proof enough."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(numbers.sum(dtype=np.float32))) or bool(np.isfinite(numbers).all())
