"""One immutable part: some rows of one key in an ordinary HDF5 file, written whole and checked whenever it is read.

A part holds the datasets `digest` (n, 32) uint8, `features` (n, ...) and `checksums` (one for each block of rows), and
the attributes `format`, `key`, `provenance` and `block_rows`. Both datasets are contiguous, so rows are read straight
from their place in the file. The first 512 bytes, a user block as HDF5 allows, hold a checksum of all that follows.
The file's name is the digest of its digests: two writers of the same rows write the same file.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xxhash
from numpy.typing import NDArray

from featx.errors import BrokenPart
from featx.files import atomic_path, digest
from featx.keys import FeatureKey

FORMAT = 1
BLOCK_BYTES = 2**16
"""Features are checksummed in blocks of about this size: large enough to be fast, small enough for single rows."""

USER_BLOCK = 512
MAGIC = b"featx part, xxh3_128 of the bytes from 512 on: "


@dataclass(frozen=True)
class PartHeader:
    """What a part says of itself, and where its features lie.

    Attributes
    ----------
    key : str
        The feature key as JSON.
    provenance : dict
        When, where and how the rows were computed.
    digests : (n, 32) uint8
    shape : tuple of int
        Shape of all features, rows first.
    dtype : numpy dtype
    offset : int
        Place of the first feature in the file, in bytes.
    checksums : (blocks,) uint64
        xxh3_64 of each block of `block_rows` rows.
    block_rows : int
    """

    key: str
    provenance: dict[str, Any]
    digests: NDArray[np.uint8]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    checksums: NDArray[np.uint64]
    block_rows: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of features."""
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize


def part_name(digests: NDArray[np.uint8]) -> str:
    """Name of the part that holds these rows in this order: `part-` and 16 hex digits."""
    return f"part-{digest(np.ascontiguousarray(digests).data.cast('B'))[:8].hex()}.h5"


def block_checksums(features: NDArray[Any], block_rows: int) -> NDArray[np.uint64]:
    """Checksum contiguous features block by block: (n, ...) to (ceil(n / block_rows),) uint64."""
    starts = range(0, len(features), block_rows)
    return np.array([xxhash.xxh3_64_intdigest(features[i : i + block_rows].data) for i in starts], np.uint64)


def encode(
    key: FeatureKey, digests: NDArray[np.uint8], features: NDArray[Any], provenance: dict[str, Any]
) -> list[bytes]:
    """Lay a part out in memory: the user block and the HDF5 file behind it."""
    features = np.ascontiguousarray(features, dtype=np.dtype(key.dtype).newbyteorder("<"))
    block_rows = max(1, BLOCK_BYTES // max(1, features[0].nbytes))
    with h5py.File(secrets.token_hex(8), "w", driver="core", backing_store=False) as file:
        file.attrs["format"] = FORMAT
        file.attrs["key"] = key.to_json()
        file.attrs["provenance"] = json.dumps(provenance, sort_keys=True)
        file.attrs["block_rows"] = block_rows
        file.create_dataset("digest", data=np.ascontiguousarray(digests))
        file.create_dataset("checksums", data=block_checksums(features, block_rows))
        file.create_dataset("features", data=features)
        file.flush()
        image = file.id.get_file_image()
    return [user_block(image), image]


def user_block(image: bytes) -> bytes:
    """Make the 512 bytes that stand before the HDF5 file: its checksum in plain words."""
    return (MAGIC + xxhash.xxh3_128_hexdigest(image).encode() + b"\n").ljust(USER_BLOCK, b"\0")


def write_part(
    folder: Path, key: FeatureKey, digests: NDArray[np.uint8], features: NDArray[Any], provenance: dict[str, Any]
) -> Path:
    """Write rows as one part, atomically and durably.

    Parameters
    ----------
    folder : pathlib.Path
        The key's folder; made if missing.
    digests : (n, 32) uint8
    features : (n, ...) float
        Stored as the key's dtype.
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
    with atomic_path(target) as unfinished, open(unfinished, "wb", buffering=0) as file:
        for piece in encode(key, digests, features, provenance):
            write_all(file.fileno(), piece)
    return target


def write_all(handle: int, data: bytes) -> None:
    """Write all of the data, however many calls the system needs."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def read_header(path: Path) -> PartHeader:
    """Read a part's digests, checksums and attributes, but no features.

    Raises
    ------
    BrokenPart
        If it is no part, of a newer format, incomplete, or named for other rows than it holds.
    OSError
        If the file is gone or unreadable.
    """
    try:
        with h5py.File(path, "r") as file:
            header = _header(file)
    except FileNotFoundError:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, OverflowError) as error:
        if isinstance(error, PermissionError):
            raise
        raise BrokenPart(f"'{path}' is not a readable part: {error}") from error
    if path.name != part_name(header.digests):
        raise BrokenPart(f"'{path}' holds other rows than its name says (it would be {part_name(header.digests)})")
    if header.offset + header.shape[0] * header.row_bytes > path.stat().st_size:
        raise BrokenPart(f"'{path}' is cut short")
    return header


def _header(file: Any) -> PartHeader:
    version = int(file.attrs["format"])
    if version > FORMAT:
        raise ValueError(f"written by a newer featx (format {version}, this one reads {FORMAT}): upgrade featx")
    features, digests, checksums = file["features"], file["digest"], file["checksums"]
    offset, rows, block_rows = features.id.get_offset(), digests.shape[0], int(file.attrs["block_rows"])
    if digests.shape != (rows, 32) or digests.dtype != np.uint8 or features.shape[0] != rows or not rows:
        raise ValueError(f"unexpected shapes: digest {digests.shape}, features {features.shape}")
    if features.dtype not in (np.dtype("<f4"), np.dtype("<f2")) or offset is None:
        raise ValueError(f"unexpected storage of features: {features.dtype}")
    if block_rows < 1 or checksums.shape != (-(-rows // block_rows),) or checksums.dtype != np.uint64:
        raise ValueError(f"unexpected checksums: {checksums.shape} for {rows} rows in blocks of {block_rows}")
    return PartHeader(
        str(file.attrs["key"]),
        json.loads(file.attrs["provenance"]),
        digests[()],
        tuple(features.shape),
        features.dtype,
        int(offset),  # counted from the very first byte, user block included
        checksums[()],
        block_rows,
    )


def read_rows(path: Path, header: PartHeader, rows: NDArray[np.intp], out: NDArray[Any]) -> None:
    """Read some rows of a part, checking every block that they lie in.

    Parameters
    ----------
    rows : (m,) int
        Ascending row numbers in the part.
    out : (m, ...) array of the part's dtype
        Filled with the features; contiguous.

    Raises
    ------
    BrokenPart
        If a checksum differs or the file ends early: no wrong number is handed out.
    """
    blocks = rows // header.block_rows
    edges = np.flatnonzero(np.diff(blocks, prepend=-1, append=-1))
    with open(path, "rb", buffering=0) as file:
        for start, stop in pairwise(edges.tolist()):
            block = read_block(file.fileno(), path, header, int(blocks[start]))
            out[start:stop] = block[rows[start:stop] - blocks[start] * header.block_rows]


def read_block(handle: int, path: Path, header: PartHeader, block: int) -> NDArray[Any]:
    """Read and check one block of features."""
    first = block * header.block_rows
    count = min(header.block_rows, header.shape[0] - first)
    data = os.pread(handle, count * header.row_bytes, header.offset + first * header.row_bytes)
    if len(data) != count * header.row_bytes or xxhash.xxh3_64_intdigest(data) != int(header.checksums[block]):
        raise BrokenPart(f"'{path}' is damaged: features of rows {first} to {first + count - 1} fail their checksum")
    return np.frombuffer(data, header.dtype).reshape(count, *header.shape[1:])
