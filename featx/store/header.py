"""The header of a part: everything that stands before the features, with one checksum over all of it.

Its first line states the header's length and checksum. A line of JSON says what the part holds and where. Zeros fill up
what HDF5 calls the user block. The rest is an HDF5 file up to the first byte of its last dataset, `features`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from featx.errors import BrokenPart, NewerPart
from featx.files import read_at, show_size
from featx.keys import FeatureKey
from featx.storage.opened import OpenedFile
from featx.storage.paths import CachePath
from featx.store.hdf5_layout import TemplateLayouts
from featx.store.schema import (
    MOST_ROWS,
    HeaderFields,
    check_part_size,
    read_fields,
    read_key,
    read_provenance,
)

PART_FORMAT = 1
"""Version of the layout of parts: raise it when an older featx could misread them."""

CHECKSUM_BLOCK_BYTES = 2**16
"""Features are checksummed in blocks of about this size: large enough to be fast, small enough for single rows."""

FIRST_LINE_BYTES = 128
"""Length of the first line, its newline included."""

MOST_DESCRIPTION_BYTES = 2**19
"""Length of the line of JSON: key and provenance, JSON within JSON, of the most characters that they may have."""

FIRST_READ_BYTES = 2**14
"""Bytes that are read at first: the whole header of most parts."""

MOST_HEADER_BYTES = 32 * MOST_ROWS + 2**23
"""Length of a header: digests of the most rows, and room for their checksums and everything else."""

SMALLEST_USER_BLOCK = 512
"""HDF5 looks for its signature at byte 0, 512, 1024, 2048 and so on (HDF5 file format specification, II.A)."""

PART_DTYPES: dict[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}
"""Stored dtype of a key to the numbers of its parts: little-endian on every machine."""


LAYOUTS = TemplateLayouts()

PROVENANCE_STEP = 64
"""Bytes to a multiple of which provenance is padded, so that it has few lengths and parts have few forms."""


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


def make_first_line(length: int, checksum: str) -> bytes:
    """Make the first line: the format, and the length in bytes and the checksum of the header that it begins."""
    text = (
        f"featx part, format {PART_FORMAT}; header of {length:012} bytes, "
        f"xxh3_128 from byte {FIRST_LINE_BYTES} on: {checksum}"
    )
    return text.ljust(FIRST_LINE_BYTES - 1).encode() + b"\n"


def checksum_blocks(features: Sequence[NDArray[Any]], block_rows: int) -> NDArray[np.uint64]:
    """Checksum contiguous features block by block: pieces, each of whole blocks, to (blocks,) uint64."""
    checksums = []
    for piece in features:
        for first in range(0, len(piece), block_rows):
            block = piece[first : first + block_rows]
            checksums.append(xxhash.xxh3_64_intdigest(block.data))
    return np.array(checksums, np.uint64)


def rows_per_block(features: NDArray[Any]) -> int:
    """Count the rows that are checksummed together."""
    return max(1, CHECKSUM_BLOCK_BYTES // max(1, features[0].nbytes))


def encode_header(
    key: FeatureKey, digests: NDArray[np.uint8], features: Sequence[NDArray[Any]], provenance: dict[str, Any]
) -> bytes:
    """Lay out everything that stands before the features.

    Parameters
    ----------
    key : FeatureKey
    digests : (n, 32) uint8
    features : sequence of (m, ...) little-endian float
        Together n rows; every piece but the last ends where a block does.
    provenance : dict
        Plain values and lists of them, kept as JSON.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        If nothing that was written so would be read again: rows that are too large, or other provenance.
    """
    block_rows = rows_per_block(features[0])
    shape = (len(digests), *features[0].shape[1:])
    check_part_size(shape, block_rows, features[0].dtype.itemsize)
    provenance_text = json.dumps(provenance, sort_keys=True)
    read_provenance(provenance_text)
    padded_length = -(-len(provenance_text) // PROVENANCE_STEP) * PROVENANCE_STEP
    attributes: dict[str, str | int] = {
        "format": PART_FORMAT,
        "key": key.to_json(),
        "provenance": provenance_text.ljust(padded_length),
        "block_rows": block_rows,
    }
    return lay_out_header(attributes, digests, checksum_blocks(features, block_rows), shape, key.dtype)


def lay_out_header(
    attributes: dict[str, str | int],
    digests: NDArray[np.uint8],
    checksums: NDArray[np.uint64],
    shape: tuple[int, ...],
    dtype: str,
) -> bytes:
    """Lay out a header whose attributes and checksums are known."""
    datasets: dict[str, NDArray[Any]] = {"digest": np.ascontiguousarray(digests), "checksums": checksums}
    hdf5_head, offsets = LAYOUTS.lay_out(attributes, datasets, "features", shape, PART_DTYPES[dtype])
    fields = {**attributes, "shape": shape, "dtype": dtype, **dict.fromkeys(datasets, 0)}
    user_block = choose_user_block(fields)
    for name in datasets:
        fields[name] = user_block + offsets[name]
    description = json.dumps(fields) + "\n"
    rest = description.encode().ljust(user_block - FIRST_LINE_BYTES, b"\0") + hdf5_head
    return make_first_line(FIRST_LINE_BYTES + len(rest), xxhash.xxh3_128_hexdigest(rest)) + rest


def choose_user_block(fields: dict[str, Any]) -> int:
    """Choose the bytes before the HDF5 file, so that the first line and the fields as JSON fit."""
    # The places of the two datasets are still 0 here: each may grow to 12 digits or so.
    needed = FIRST_LINE_BYTES + len(json.dumps(fields)) + 32
    size = SMALLEST_USER_BLOCK
    while size < needed:
        size *= 2
    return size


def read_part_header(file: OpenedFile, path: CachePath) -> PartHeader:
    """Read and check a part's header: its checksum covers whatever stands before the features.

    Parameters
    ----------
    file : OpenedFile
        Its head, at least.
    path : pathlib.Path or ObjectPath
        How errors name the file.

    Returns
    -------
    PartHeader

    Raises
    ------
    BrokenPart
        If the file is not a part, incomplete or damaged.
    NewerPart
        If its format is newer than this version reads.
    """
    data = read_header_bytes(file.handle, file.size, path)
    try:
        header = parse_header(data)
    # The checksum was right, so a program wrote this on purpose, but not one of ours.
    except ValueError as error:
        raise BrokenPart(f"'{path}' has a header that cannot be understood: {error}") from error
    if header.file_bytes != file.size:
        raise BrokenPart(f"'{path}' has {file.size} bytes instead of {header.file_bytes}")
    return header


def read_header_bytes(handle: int, size: int, path: CachePath) -> bytearray:
    """Read the header of a file of so many bytes, and compare it with its checksum.

    Raises
    ------
    BrokenPart, NewerPart
        As `read_part_header` does.
    """
    buffer = bytearray(min(size, FIRST_READ_BYTES))
    del buffer[read_at(handle, memoryview(buffer), 0) :]
    length = parse_header_length(buffer[:FIRST_LINE_BYTES], path)
    if length > size:
        raise BrokenPart(f"'{path}' is cut short: {size} bytes, its header alone has {length}")
    # The file may state any length, and holes cost it nothing: no memory is taken for what no part has.
    if length > MOST_HEADER_BYTES:
        raise BrokenPart(
            f"'{path}' states a header of {show_size(length)}, more than the {show_size(MOST_HEADER_BYTES)} of any part"
        )
    count = min(len(buffer), length)
    # Zeros to be read over, where it is longer; what stands behind it is dropped, where it is shorter.
    buffer = buffer[:length].ljust(length, b"\0")
    with memoryview(buffer) as view:
        while count < length and (more := read_at(handle, view[count:], count)):
            count += more
        checksum = xxhash.xxh3_128_hexdigest(view[FIRST_LINE_BYTES:])
    if buffer[:FIRST_LINE_BYTES] != make_first_line(length, checksum):
        raise BrokenPart(f"'{path}' is damaged: its header fails its checksum")
    return buffer


def parse_header_length(data: bytes | bytearray, path: CachePath) -> int:
    """Read the length of the header from the first line, which may be anything.

    Raises
    ------
    BrokenPart
        If there is no such line.
    NewerPart
        If it states a newer format.
    """
    match = re.match(rb"featx part, format (\d{1,9}); header of (\d{12}) bytes", data)
    if match is not None and int(match[1]) > PART_FORMAT:
        raise NewerPart(
            f"'{path}' was written by a newer featx (format {int(match[1])}, this one reads {PART_FORMAT}): "
            "upgrade featx"
        )
    if match is None or int(match[1]) != PART_FORMAT or int(match[2]) < FIRST_LINE_BYTES:
        raise BrokenPart(f"'{path}' is {describe_beginning(data)}: it does not begin as parts of featx do")
    return int(match[2])


def measure_header(data: bytes) -> int:
    """Tell from the first bytes of a part how many bytes its header has; 0 where they are not those of a part."""
    match = re.match(rb"featx part, format \d{1,9}; header of (\d{12}) bytes", data)
    length = int(match[1]) if match else 0
    return length if length <= MOST_HEADER_BYTES else 0


def describe_beginning(data: bytes | bytearray) -> str:
    """Say what a file is that does not begin as parts do."""
    if not data:
        return "empty"
    if len(data) < FIRST_LINE_BYTES:
        return "cut short"
    return "not a part"


def parse_description(data: bytearray) -> HeaderFields:
    """Read the line of JSON of a header.

    Raises
    ------
    ValueError
        If it is not one, or of fields that no part has.
    """
    end = data.find(b"\n", FIRST_LINE_BYTES, FIRST_LINE_BYTES + MOST_DESCRIPTION_BYTES)
    if end < 0:
        raise ValueError("its description does not end")
    return read_fields(bytes(data[FIRST_LINE_BYTES:end]), HeaderFields)


def parse_header(data: bytearray) -> PartHeader:
    """Take a header apart whose checksum was right.

    Raises
    ------
    ValueError
        If it is not what featx writes.
    """
    fields = parse_description(data)
    key = read_key(fields.key)
    if key.dtype != fields.dtype:
        raise ValueError(f"it holds {fields.dtype} where its key says {key.dtype}")
    rows = fields.shape[0]
    dtype = PART_DTYPES[fields.dtype]
    check_part_size(fields.shape, fields.block_rows, dtype.itemsize)
    blocks = -(-rows // fields.block_rows)
    # Nobody may write into what was checked.
    view = memoryview(data).toreadonly()
    # numpy compares places and counts with what there is, and raises ValueError.
    return PartHeader(
        key=fields.key,
        provenance=read_provenance(fields.provenance),
        digests=np.frombuffer(view, np.uint8, rows * 32, fields.digest).reshape(rows, 32),
        shape=fields.shape,
        dtype=dtype,
        offset=len(data),
        checksums=np.frombuffer(view, "<u8", blocks, fields.checksums),
        block_rows=fields.block_rows,
    )
