"""The header of a part: everything that stands before the features, with one checksum over all of it.

Its first line states the header's length and checksum; a line of JSON says what the part holds and where; zeros fill up
what HDF5 calls the user block; the rest is an HDF5 file up to the first byte of its last dataset, `features`.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from featx.errors import BrokenPart, NewerPart
from featx.keys import FeatureKey
from featx.store.hdf5_layout import Layouts

FORMAT = 1
BLOCK_BYTES = 2**16
"""Features are checksummed in blocks of about this size: large enough to be fast, small enough for single rows."""

LINE = 128
"""Bytes of the first line, its newline included."""

FIRST_READ = 2**14
LAYOUTS = Layouts()
DTYPES: dict[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}


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
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def file_bytes(self) -> int:
        """Bytes of the whole file."""
        return self.offset + self.shape[0] * self.row_bytes


def first_line(length: int, checksum: str) -> bytes:
    """Make the first line: the format, and the length in bytes and checksum of the header that it begins."""
    text = f"featx part, format {FORMAT}; header of {length:012} bytes, xxh3_128 from byte {LINE} on: {checksum}"
    return text.ljust(LINE - 1).encode() + b"\n"


def block_checksums(features: Sequence[NDArray[Any]], block_rows: int) -> NDArray[np.uint64]:
    """Checksum contiguous features block by block: pieces, each of whole blocks, to (blocks,) uint64."""
    return np.array(
        [
            xxhash.xxh3_64_intdigest(piece[low : low + block_rows].data)
            for piece in features
            for low in range(0, len(piece), block_rows)
        ],
        np.uint64,
    )


def rows_of_a_block(features: NDArray[Any]) -> int:
    """Rows that are checksummed together."""
    return max(1, BLOCK_BYTES // max(1, features[0].nbytes))


def encode_header(
    key: FeatureKey, digests: NDArray[np.uint8], features: Sequence[NDArray[Any]], provenance: dict[str, Any]
) -> bytes:
    """Lay out everything that stands before the features: (n, 32) uint8, and pieces of little-endian floats."""
    block_rows = rows_of_a_block(features[0])
    shape = (len(digests), *features[0].shape[1:])
    made = json.dumps(provenance, sort_keys=True)
    attributes: dict[str, str | int] = {
        "format": FORMAT,
        "key": key.to_json(),
        "provenance": made.ljust(-(-len(made) // 64) * 64),  # of few lengths, so that few forms are laid out
        "block_rows": block_rows,
    }
    datasets: dict[str, NDArray[Any]] = {
        "digest": np.ascontiguousarray(digests),
        "checksums": block_checksums(features, block_rows),
    }
    head, offsets = LAYOUTS.lay_out(attributes, datasets, "features", shape, features[0].dtype)
    fields = {**attributes, "shape": shape, "dtype": key.dtype, "digest": 0, "checksums": 0}
    user_block = 512  # HDF5 finds its signature behind 512 bytes, 1024, 2048 and so on
    while LINE + len(json.dumps(fields)) + 32 > user_block:
        user_block *= 2
    fields |= {name: user_block + offsets[name] for name in datasets}
    rest = (json.dumps(fields) + "\n").encode().ljust(user_block - LINE, b"\0") + head
    return first_line(LINE + len(rest), xxhash.xxh3_128_hexdigest(rest)) + rest


def read_header(handle: int, path: Path) -> PartHeader:
    """Read and check a part's header: its checksum covers whatever stands before the features.

    Raises
    ------
    BrokenPart
        If the file is no part, incomplete or damaged.
    NewerPart
        If its format is newer than this version reads.
    """
    status = os.fstat(handle)
    size = status.st_size
    if not stat.S_ISREG(status.st_mode):
        raise BrokenPart(f"'{path}' is no ordinary file")
    data = os.pread(handle, FIRST_READ, 0)
    length = header_length(data, path)
    if length > size:
        raise BrokenPart(f"'{path}' is cut short: {size} bytes, its header alone has {length}")
    while len(data) < length and (more := os.pread(handle, length - len(data), len(data))):
        data += more
    data = data[:length]
    if data[:LINE] != first_line(length, xxhash.xxh3_128_hexdigest(memoryview(data)[LINE:])):
        raise BrokenPart(f"'{path}' is damaged: its header fails its checksum")
    try:
        header = parse_header(data)
    except (ValueError, KeyError, TypeError, IndexError, ZeroDivisionError) as error:
        raise BrokenPart(f"'{path}' has a header that makes no sense: {error!r}") from error
    if header.file_bytes != size:
        raise BrokenPart(f"'{path}' has {size} bytes instead of {header.file_bytes}")
    return header


def header_length(data: bytes, path: Path) -> int:
    """Read the length of the header from the first line, which may be anything.

    Raises
    ------
    BrokenPart
        If there is no such line.
    NewerPart
        If it states a newer format.
    """
    stated = re.match(rb"featx part, format (\d{1,9}); header of (\d{12}) bytes", data)
    if stated is not None and int(stated[1]) > FORMAT:
        raise NewerPart(
            f"'{path}' was written by a newer featx (format {int(stated[1])}, this one reads {FORMAT}): upgrade featx"
        )
    if stated is None or int(stated[1]) != FORMAT or int(stated[2]) < LINE:
        begin = "no part" if len(data) >= LINE else "cut short" if data else "empty"
        raise BrokenPart(f"'{path}' is {begin}: it does not begin as parts of featx do")
    return int(stated[2])


def parse_header(data: bytes) -> PartHeader:
    """Take a header apart whose checksum was right."""
    fields = json.loads(data[LINE : data.index(b"\n", LINE)])
    rows, block_rows = fields["shape"][0], fields["block_rows"]
    return PartHeader(
        fields["key"],
        json.loads(fields["provenance"]),
        np.frombuffer(data, np.uint8, rows * 32, fields["digest"]).reshape(rows, 32),
        tuple(fields["shape"]),
        DTYPES[fields["dtype"]],
        len(data),
        np.frombuffer(data, "<u8", -(-rows // block_rows), fields["checksums"]),
        block_rows,
    )
