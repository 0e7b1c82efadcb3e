"""Whether a file's structure bounds what decoding it takes, so that it may be decoded among the others.

A picture's size says how much memory its pixels take, and how long decoding lasts, only where nothing else in the file
does: thousands of scans over the same pixels, millions of empty chunks, pictures within pictures, tiles larger than the
picture. What is looked at here costs microseconds. A file that is not plain need not be broken: it is decoded as well,
in a process that can be limited and ended (`decoding_process`).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from featx.images.formats.foreign import is_dicom
from featx.images.formats.tiff import UNCOMPRESSED
from featx.images.formats.tiff_layout import read_layout

SMALL_FILE = 2**18
"""Bytes up to which whatever a file consists of is read within a second: at some bytes and microseconds a piece."""

MOST_OPENED_PIXELS = 2**22
"""Pixels of a picture that is made, or begun, while its file is opened, before its size can be asked for."""

MOST_ICON_PIXELS = 2**20
MOST_ICONS = 64

COMMON_SCANS = 12
"""Scans of a progressive JPEG by most encoders, and of its thumbnails."""

FRAME_MARKERS = [bytes([marker]) for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC)]
"""Markers of a JPEG behind which its size stands: ITU T.81, table B.1."""

MOST_SCAN_PIXELS = 2 * 10**9
"""Pixels of a JPEG times its scans: about two seconds."""

MOST_SEGMENTS = 2000
MOST_METADATA_BYTES = 2**24
"""What stands before the pixels of a JPEG."""

MOST_PNG_CHUNKS = 200
"""Chunks beside the pixels, each of which may hold compressed text or a profile."""

MOST_PNG_METADATA = 2**23
PNG_CHUNK_BYTES = 2**10
"""Bytes of a chunk of pixels, at least and on average: libpng writes 8192."""

MOST_GIF_BLOCKS = 1000
"""Blocks of 255 bytes before the first frame, and between it and the second."""

MOST_GIF_PIXEL_BLOCKS = 2**16

MOST_WEBP_CHUNKS = 5000
WEBP_ANIMATION = 2
"""Flag of an animation in the header of a WebP."""

MOST_WEBP_BYTES = 2**25
"""Of a WebP file: Pillow and libwebp hold three copies of it."""

MOST_RLE_PIXELS = 2**20
"""Pixels of a kind that Pillow decodes in plain Python: of a BMP in runs."""

MOST_PLAIN_TEXT = 2**20
"""Bytes of a PPM whose numbers are written in letters, which Pillow reads in plain Python."""

MOST_SCALED_PIXELS = 2**18
"""Pixels of a binary PPM whose maximum is neither 255 nor 65535: each is scaled in plain Python."""

MOST_COMMENTS = 100

PPM_HEADER_BYTES = 2**12
PPM_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
PPM_SIZE = re.compile(rb"P[123456Ff]" + PPM_GAP + rb"(\d{1,9})" + PPM_GAP + rb"(\d{1,9})\s")
PPM_GREATEST = re.compile(rb"(?:" + PPM_GAP + rb")?(\d{1,9})\s")

MOST_TIFF_TAGS = 512
MOST_TIFF_TAG_BYTES = 2**22
MOST_TIFF_TILES = 2**16
MOST_TIFF_GAP = 2**20
"""Bytes between tiles that are not compressed: Pillow reads them as well."""

JPEG_IN_TIFF = 7
TIFF_COMPRESSIONS = {UNCOMPRESSED, 2, 3, 4, 5, JPEG_IN_TIFF, 8, 32773, 32946}
"""Fax, LZW, JPEG, Deflate and PackBits: those whose decoders take no more memory than a tile."""


def is_plain(data: bytes) -> bool:
    """Say whether a picture's size bounds what decoding the file takes.

    Raises
    ------
    TooManyTags
        If a TIFF states more tags than a page can have.
    """
    for start, check in CHECKS:
        if data.startswith(start):
            return check(data)
    # AV1 and HEVC pictures may be of another size than their container says.
    return data[4:8] != b"ftyp" and not is_dicom(data)


def is_never_plain(data: bytes) -> bool:
    """Answer for formats whose decoders take what is written deep in the file, such as precincts of a pixel each."""
    return not data


def is_plain_jpeg(data: bytes) -> bool:
    """Look at what stands before the first scan, and at the number of scans."""
    return has_plain_segments(data) or (len(data) <= SMALL_FILE and data.count(b"\xff\xda") <= COMMON_SCANS)


def has_plain_segments(data: bytes) -> bool:
    """Whether a JPEG is few segments, one behind the other, and few scans."""
    scan = find_first_scan(data)
    return scan is not None and (scan.is_only or data.count(b"\xff\xda") * scan.pixels <= MOST_SCAN_PIXELS)


class FirstScan(NamedTuple):
    """What stands before the first scan of a JPEG.

    Attributes
    ----------
    pixels : int
        Of the picture.
    is_only : bool
        Whether it holds all colours of every pixel: libjpeg then reads no other.
    """

    pixels: int
    is_only: bool


def find_first_scan(data: bytes) -> FirstScan | None:
    """Find the first scan of a JPEG; None if more stands before it than before any picture."""
    pixels = 0
    colours = 0
    is_sequential = False
    place = 2
    for _ in range(MOST_SEGMENTS):
        if place > MOST_METADATA_BYTES or data[place : place + 1] != b"\xff":
            return None
        marker = data[place + 1 : place + 2]
        if marker == b"\xda":
            return FirstScan(pixels, is_sequential and data[place + 4 : place + 5] == bytes([colours]))
        if marker in FRAME_MARKERS:
            is_sequential = marker in (b"\xc0", b"\xc1")
            height, width, colours = struct.unpack(">HHB", data[place + 5 : place + 10].ljust(5, b"\0"))
            pixels = max(pixels, width * height)
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None


def is_plain_png(data: bytes) -> bool:
    """Look at the number and size of chunks; an animated PNG begins its first frame while it is opened."""
    if len(data) <= SMALL_FILE:
        return b"acTL" not in data or is_small_png(data)
    others = 0
    other_bytes = 0
    place = 8
    for _ in range(MOST_PNG_CHUNKS + len(data) // PNG_CHUNK_BYTES):
        if place >= len(data):
            return True
        length = int.from_bytes(data[place : place + 4], "big")
        kind = data[place + 4 : place + 8]
        if kind != b"IDAT":
            others += 1
            other_bytes += length
            if others > MOST_PNG_CHUNKS or other_bytes > MOST_PNG_METADATA:
                return False
            if kind == b"acTL" and not is_small_png(data):
                return False
        place += 12 + length
    return False


def is_small_png(data: bytes) -> bool:
    """Whether a PNG states once what size it has, and a small one."""
    width, height = struct.unpack(">II", data[16:24].ljust(8, b"\0"))
    return data.count(b"IHDR") == 1 and width * height <= MOST_OPENED_PIXELS


def is_plain_gif(data: bytes) -> bool:
    """Look at the first frame, and at the blocks before it and behind it."""
    if len(data) < 13:
        return True
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    place = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    start = skip_gif_extensions(data, place)
    if start is None or width * height > MOST_OPENED_PIXELS:
        return False
    if start + 10 > len(data):
        return True
    left, top, frame_width, frame_height, flags = struct.unpack_from("<HHHHB", data, start + 1)
    if max(width, left + frame_width) * max(height, top + frame_height) > MOST_OPENED_PIXELS:
        return False
    if len(data) <= SMALL_FILE:
        return True
    place = start + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    end = skip_gif_blocks(data, place, MOST_GIF_PIXEL_BLOCKS)
    return end is not None and skip_gif_extensions(data, end) is not None


def skip_gif_extensions(data: bytes, place: int) -> int | None:
    """Find the next frame, or the end; None if more stands before it than before any frame."""
    for _ in range(MOST_GIF_BLOCKS):
        kind = data[place : place + 1]
        if kind in (b"", b",", b";"):
            return place
        if kind == b"!":
            end = skip_gif_blocks(data, place + 2, MOST_GIF_BLOCKS)
            if end is None:
                return None
            place = end
        else:
            place += 1
    return None


def skip_gif_blocks(data: bytes, place: int, most: int) -> int | None:
    """Find the end of a row of blocks; None if there are more of them."""
    for _ in range(most):
        length = data[place] if place < len(data) else 0
        place += 1 + length
        if not length:
            return place
    return None


def is_plain_webp(data: bytes) -> bool:
    """Look at the number of chunks, frames among them, and at the canvas of an animation."""
    if len(data) > MOST_WEBP_BYTES:
        return False
    if data[12:16] == b"VP8X" and data[20:21] and data[20] & WEBP_ANIMATION:
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        if width * height > MOST_OPENED_PIXELS:
            return False
    place = 12
    for _ in range(MOST_WEBP_CHUNKS):
        if place >= len(data):
            return True
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8 + length + length % 2
    return False


def is_plain_bmp(data: bytes) -> bool:
    """Look at the compression of a BMP."""
    return is_plain_dib(data[14 : 14 + 40], len(data))


def is_plain_dib(header: bytes, length: int | None = None) -> bool:
    """Look at the compression that a header of a BMP without its first 14 bytes states."""
    if len(header) < 20 or header[0] < 40:
        return True
    width, height, _, _, compression = struct.unpack_from("<iiHHI", header, 4)
    if compression not in (1, 2):
        return True
    file_bytes = len(header) if length is None else length
    return abs(width * height) <= MOST_RLE_PIXELS and file_bytes <= MOST_RLE_PIXELS


def is_plain_icon(data: bytes) -> bool:
    """Look at the pictures in an icon, which are decoded while it is opened."""
    if len(data) > MOST_ICON_PIXELS or b"acTL" in data:
        return False
    count = int.from_bytes(data[4:6], "little")
    if count > MOST_ICONS or data.count(b"IHDR") > count:
        return False
    for number in range(count):
        start = int.from_bytes(data[18 + 16 * number : 22 + 16 * number], "little")
        head = data[start : start + 24]
        if head.startswith(b"\x89PNG"):
            width, height = struct.unpack(">II", head[16:24].ljust(8, b"\0"))
        else:
            width, height = struct.unpack("<ii", head[4:12].ljust(8, b"\0"))
        if abs(width * height) > MOST_ICON_PIXELS:
            return False
    return True


def is_plain_ppm(data: bytes) -> bool:
    """Look at the header, and at what is decoded in plain Python."""
    head = data[:PPM_HEADER_BYTES]
    size = PPM_SIZE.match(head)
    kind = data[1:2]
    if size is None:
        return len(data) <= PPM_HEADER_BYTES
    if kind in (b"1", b"2", b"3"):
        return len(data) <= MOST_PLAIN_TEXT and data.count(b"#") <= MOST_COMMENTS
    if kind not in (b"5", b"6") or int(size[1]) * int(size[2]) <= MOST_SCALED_PIXELS:
        return True
    greatest = PPM_GREATEST.match(head, size.end())
    return greatest is not None and (int(greatest[1]) == 255 or (int(greatest[1]) == 65535 and kind == b"5"))


def is_plain_tiff(data: bytes) -> bool:
    """Look at tags and tiles.

    Raises
    ------
    TooManyTags
        If there are more tags than a page can have.
    """
    layout = read_layout(data)
    if layout is None or layout.compression not in TIFF_COMPRESSIONS:
        return False
    if layout.entries > MOST_TIFF_TAGS or layout.tag_bytes > MOST_TIFF_TAG_BYTES:
        return False
    tiles = len(layout.offsets)
    if tiles > MOST_TIFF_TILES:
        return False
    if layout.compression == UNCOMPRESSED:
        gap = int(np.diff(np.sort(layout.offsets)).max(initial=0))
        return gap <= layout.tile_bytes + MOST_TIFF_GAP
    # Tiles that share their bytes make much work of a small file.
    if len(layout.byte_counts) != tiles or int(layout.byte_counts.sum()) > len(data):
        return False
    return layout.compression != JPEG_IN_TIFF or data.count(b"\xff\xda") <= tiles + COMMON_SCANS


CHECKS: tuple[tuple[bytes | tuple[bytes, ...], Callable[[bytes], bool]], ...] = (
    (b"\xff\xd8\xff", is_plain_jpeg),
    (b"\x89PNG", is_plain_png),
    ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"II\0*", b"MM*\0"), is_plain_tiff),
    (b"BM", is_plain_bmp),
    (b"GIF8", is_plain_gif),
    (b"RIFF", is_plain_webp),
    (b"P", is_plain_ppm),
    (b"\0\0\1\0", is_plain_icon),
    ((b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "), is_never_plain),
    (tuple(bytes((size, 0, 0, 0)) for size in (12, 40, 52, 56, 64, 108, 124)), is_plain_dib),
)
"""How files begin, and what is looked at; the formats that are missing hold nothing but a header and pixels."""
