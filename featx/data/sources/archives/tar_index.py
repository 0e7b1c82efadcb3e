"""Goes over the headers of a tar file, from one to the next, and says where its members lie.

Source: POSIX.1-2017, pax ("ustar Interchange Format", "pax Extended Header"), and the GNU tar manual for long names and
numbers that octal digits do not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

ReadSpan = Callable[[int, int], bytes]
"""Place and number of bytes to these bytes; raises OSError."""

BLOCK = 512
"""Bytes of a header; members begin at multiples of it."""

MAGIC = b"ustar"
MAGIC_PLACE = 257

CHECKSUM = slice(148, 156)

FILES = (b"0", b"\0", b"7")
HARD_LINK = b"1"
LONG_NAME = b"L"
LONG_LINK = b"K"
PAX = b"x"
GLOBAL_PAX = b"g"
FOLDER = b"5"

MOST_NAME_BYTES = 2**20
"""Bytes of a header that holds names; more are damage."""

SEARCHED_BYTES = 2**20
"""Bytes that are read at a time where the next sound header is looked for."""

MOST_MEMBERS = 2**21
"""Members that are read of one shard: a few hundred bytes of memory each."""

END_OF_NAME = b"\0"

LARGEST_SIZE = 2**62
"""A member that states more ends as far beyond the end of its file."""

MOST_DIGITS = 18
"""Digits of a size that is less than 2**63."""

IS_BINARY = 0x80
"""First byte of a number that is not in octal digits; with all bits set it is negative."""

DAMAGED = "its headers are damaged at byte {}"
CUT_SHORT = "it is cut short at byte {}"
TOO_MANY = "it has more than {:,} members"


class TarMember(NamedTuple):
    """A member: its name, where its bytes begin, and how many they are.

    Attributes
    ----------
    name : str
    place, size : int
    link : str or None
        The name of an earlier member whose bytes it has; None where it has its own.
    """

    name: str
    place: int
    size: int
    link: str | None = None


class TarProblem(NamedTuple):
    """What cannot be read of a tar, in words."""

    reason: str


class Header(NamedTuple):
    """What a header says."""

    name: str
    size: int
    kind: bytes
    link: str


def read_members(read: ReadSpan, end: int) -> Iterator[TarMember | TarProblem]:
    """Yield the files in a tar in their order, and what is wrong with it where that is found.

    After damage the next sound header is looked for; it always lies further on, so that this ends.

    Parameters
    ----------
    read : callable
    end : int
        Size of the tar in bytes.

    Raises
    ------
    OSError
        If the disk fails.
    """
    place = 0
    count = 0
    names: dict[str, str] = {}
    while place + BLOCK <= end:
        block = read(place, BLOCK)
        if not any(block):
            # A tar ends with blocks of zeros.
            return
        header = parse_header(block)
        if header is None:
            yield TarProblem(DAMAGED.format(place))
            place = find_header(read, place + BLOCK, end)
            names.clear()
            continue
        count += 1
        if count > MOST_MEMBERS:
            yield TarProblem(TOO_MANY.format(MOST_MEMBERS))
            return
        begin = place + BLOCK
        if header.kind in (LONG_NAME, LONG_LINK, PAX):
            if header.size > min(MOST_NAME_BYTES, end - begin):
                yield TarProblem(DAMAGED.format(place))
                place = find_header(read, begin, end)
                continue
            names |= read_names(header.kind, read(begin, header.size))
            place = skip_blocks(begin, header.size)
            continue
        if header.kind == GLOBAL_PAX:
            place = skip_blocks(begin, header.size)
            continue
        size = min(find_size(header, names), LARGEST_SIZE)
        name = names.get("path", header.name)
        if header.kind in FILES:
            yield TarMember(name, begin, size)
        elif header.kind == HARD_LINK:
            yield TarMember(name, begin, 0, names.get("linkpath", header.link))
            size = 0
        names.clear()
        place = skip_blocks(begin, size)
    if place != end:
        yield TarProblem(CUT_SHORT.format(end))


def find_size(header: Header, names: Mapping[str, str]) -> int:
    """Say how many bytes a member has: as the header before it states, else as its own does."""
    stated = names.get("size", "")
    return int(stated) if stated.isdecimal() and len(stated) <= MOST_DIGITS else header.size


def skip_blocks(begin: int, size: int) -> int:
    """Say where the next header is, after a member that begins at a place: members fill whole blocks."""
    return begin + -(-size // BLOCK) * BLOCK


def parse_header(block: bytes) -> Header | None:
    """Read a header; None if it is damaged."""
    stated = parse_number(block[CHECKSUM])
    # Its own field counts as blanks.
    if stated is None or sum(block) - sum(block[CHECKSUM]) + 8 * ord(" ") != stated:
        return None
    size = parse_number(block[124:136])
    if size is None:
        return None
    name = cut_at_nul(block[:100])
    kind = block[156:157]
    prefix = cut_at_nul(block[345:500]) if block[MAGIC_PLACE : MAGIC_PLACE + 6] == b"ustar\0" else ""
    full = f"{prefix}/{name}" if prefix else name
    # Before POSIX, a slash at the end of its name made a folder.
    is_folder = kind == b"\0" and name.endswith("/")
    return Header(full, size, FOLDER if is_folder else kind, cut_at_nul(block[157:257]))


def parse_number(field: bytes) -> int | None:
    """Read a number in octal digits or, where its first bit says so, in base 256; None for others and negative ones."""
    if field[:1] and field[0] & IS_BINARY:
        return int.from_bytes(field[1:], "big") if field[0] == IS_BINARY else None
    digits = field.strip(b" \0")
    if not digits:
        return 0
    return int(digits, 8) if digits.isdigit() and not set(digits) & set(b"89") else None


def cut_at_nul(field: bytes) -> str:
    """Read a text that ends with its field or with a NUL; bytes that are not UTF-8 are kept as file names have them."""
    return field.partition(END_OF_NAME)[0].decode("utf-8", "surrogateescape")


def read_names(kind: bytes, data: bytes) -> dict[str, str]:
    """Read what a header before the header of a member says of it, by the words of pax."""
    if kind == LONG_NAME:
        return {"path": cut_at_nul(data)}
    if kind == LONG_LINK:
        return {"linkpath": cut_at_nul(data)}
    names: dict[str, str] = {}
    place = 0
    while place < len(data):
        # "30 path=ants/1.jpg" and a line end: the number counts the whole record, itself included.
        digits = data[place : place + MOST_DIGITS].partition(b" ")[0]
        count = int(digits) if digits.isdigit() else 0
        begin = place + len(digits) + 1
        place += count
        if not begin < place <= len(data):
            break
        key, _, value = data[begin : place - 1].partition(b"=")
        names[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
    return names


def find_header(read: ReadSpan, place: int, end: int) -> int:
    """Find the next sound header from a place on; the end of the file if there is none."""
    while place + BLOCK <= end:
        chunk = read(place, min(SEARCHED_BYTES, (end - place) // BLOCK * BLOCK))
        found = chunk.find(MAGIC)
        while found >= 0:
            begin = found - MAGIC_PLACE
            if begin >= 0 and begin % BLOCK == 0 and parse_header(chunk[begin : begin + BLOCK]) is not None:
                return place + begin
            found = chunk.find(MAGIC, found + 1)
        place += len(chunk)
    return end
