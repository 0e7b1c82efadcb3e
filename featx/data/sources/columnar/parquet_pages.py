"""What the pages of a Parquet file state of their size, read before pyarrow takes memory for them.

Source: the Parquet format (PageHeader in parquet.thrift), and the compact protocol of Thrift, in which it is written.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from featx.data.sources.archives.members import SIZE, Archive, read_span
from featx.files import show_size

MOST_PAGE_BYTES = 2**29
"""Bytes that a page may have unpacked: of photos of 100 KB, writers put a thousand into one."""

HEADER_BYTES = (2**12, 2**20)
"""Bytes that are looked at to read a header: mostly the first suffice, but statistics may hold long values."""

MOST_PAGES = 2**20
"""Pages that a column may have in one row group."""

UNPACKED_SIZE = 2
PACKED_SIZE = 3
"""Numbers of the fields of a header."""

STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(13)
"""Types of Thrift's compact protocol."""

MOST_DEPTH = 8


class DamagedPages(OSError):
    """Pages that cannot be read, or that would take too much memory."""


class PageSizes(NamedTuple):
    """What a header states: bytes of the header, and of the page as it lies and unpacked."""

    header: int
    packed: int
    unpacked: int


def check_pages(handle: int, archive: Archive, chunk: Any) -> None:
    """Refuse a column of a row group if one of its pages would take too much memory.

    Parameters
    ----------
    handle : int
        Of the open file.
    archive : Archive
    chunk : pyarrow.parquet.ColumnChunkMetaData

    Raises
    ------
    DamagedPages
        If one is too large, or headers are damaged.
    OSError
        If the disk fails.
    """
    begins = [chunk.data_page_offset]
    if chunk.dictionary_page_offset:
        begins.append(chunk.dictionary_page_offset)
    place = min(begins)
    end = place + chunk.total_compressed_size
    if place < 0 or end > archive.stamp[SIZE]:
        raise DamagedPages("its pages end beyond the end of the file")
    for _ in range(MOST_PAGES):
        if place >= end:
            return
        page = read_sizes(handle, place, end)
        if page.unpacked > MOST_PAGE_BYTES or page.packed > MOST_PAGE_BYTES:
            largest = show_size(max(page.unpacked, page.packed))
            raise DamagedPages(f"a page of it has {largest}, more than the {show_size(MOST_PAGE_BYTES)} that are read")
        place += page.header + page.packed
    raise DamagedPages(f"it has more than {MOST_PAGES:,} pages")


def read_sizes(handle: int, place: int, end: int) -> PageSizes:
    """Read the header of a page.

    Raises
    ------
    DamagedPages
        If it is damaged.
    OSError
        If the disk fails.
    """
    for most in HEADER_BYTES:
        data = read_span(handle, place, min(most, end - place))
        try:
            numbers, length = read_struct(data, 0)
        except IndexError:
            continue
        packed = numbers.get(PACKED_SIZE, -1)
        unpacked = numbers.get(UNPACKED_SIZE, -1)
        if packed < 0 or unpacked < 0:
            break
        return PageSizes(length, packed, unpacked)
    raise DamagedPages("its pages are damaged")


def read_struct(data: bytes, place: int, depth: int = 0) -> tuple[dict[int, int], int]:
    """Read the whole numbers of a struct, and pass over all else.

    Returns
    -------
    dict of int to int
        By the number of the field.
    int
        Where the struct ends.

    Raises
    ------
    IndexError
        If it goes on beyond the data, or is nested too deeply.
    """
    if depth > MOST_DEPTH:
        raise IndexError
    numbers: dict[int, int] = {}
    field = 0
    while True:
        head = data[place]
        place += 1
        kind = head & 15
        if kind == STOP:
            return numbers, place
        if head >> 4:
            field += head >> 4
        else:
            field, place = read_number(data, place)
        if kind in (I16, I32, I64):
            numbers[field], place = read_number(data, place)
        elif kind not in (TRUE, FALSE):
            place = skip_value(data, place, kind, depth)


def skip_value(data: bytes, place: int, kind: int, depth: int) -> int:
    """Say where a value ends.

    Raises
    ------
    IndexError
        If it ends beyond the data, or is of no known type.
    """
    if kind in (I16, I32, I64):
        return read_number(data, place)[1]
    if kind in (BYTE, TRUE, FALSE):
        return place + 1
    if kind == DOUBLE:
        return place + 8
    if kind == BINARY:
        length, place = read_varint(data, place)
        return place + length
    if kind == STRUCT:
        return read_struct(data, place, depth + 1)[1]
    if kind not in (LIST, SET):
        raise IndexError
    count, inner = data[place] >> 4, data[place] & 15
    place += 1
    if count == 15:
        count, place = read_varint(data, place)
    for _ in range(count):
        # Every value takes a byte at least, so that this ends with the data.
        data[place]
        place = skip_value(data, place, inner, depth + 1)
    return place


def read_number(data: bytes, place: int) -> tuple[int, int]:
    """Read a whole number with a sign, and where it ends."""
    number, place = read_varint(data, place)
    return (number >> 1) ^ -(number & 1), place


def read_varint(data: bytes, place: int) -> tuple[int, int]:
    """Read a whole number without a sign, and where it ends.

    Raises
    ------
    IndexError
        If it goes on beyond the data, or has more than 64 bits.
    """
    number = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
    raise IndexError
