"""Makes files of more than 8 bits as bytes, where Pillow writes none."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Values = NDArray[Any]


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_16_bits(values: Values, significant_bits: int | None = None) -> bytes:
    """A PNG of (height, width[, 2 to 4]) values."""
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    lines = values.astype(">u2").reshape(height, -1)
    pixels = b"".join(b"\0" + line.tobytes() for line in lines)
    chunks = [png_chunk(b"IHDR", header)]
    if significant_bits:
        chunks.append(png_chunk(b"sBIT", bytes([significant_bits] * channels)))
    chunks += [png_chunk(b"IDAT", zlib.compress(pixels)), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


KINDS = {("u", 2): 1, ("i", 2): 2, ("u", 4): 1, ("i", 4): 2, ("f", 4): 3, ("u", 1): 1}
"""Kind and bytes of numbers to the sample format of TIFF."""

FORMATS = {2: "B", 3: "H", 4: "I", 12: "d"}


def tiff_of(values: Values, order: str = "<", more: dict[int, tuple[int, tuple[Any, ...]]] | None = None) -> bytes:
    """A TIFF of (height, width[, 3]) values as they are; `more` gives type and values of further tags."""
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    pixels = values.astype(values.dtype.newbyteorder(order)).tobytes()
    tags: dict[int, tuple[int, tuple[Any, ...]]] = {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (8 * values.itemsize,) * channels),
        259: (3, (1,)),
        262: (3, (2 if channels == 3 else 1,)),
        273: (4, (0,)),
        277: (3, (channels,)),
        278: (4, (height,)),
        279: (4, (len(pixels),)),
        339: (3, (KINDS[values.dtype.kind, values.itemsize],) * channels),
        **(more or {}),
    }
    after_directory = 8 + 2 + 12 * len(tags) + 4
    longer = b""
    places = {}
    for tag, (kind, numbers) in tags.items():
        raw = struct.pack(f"{order}{len(numbers)}{FORMATS[kind]}", *numbers)
        places[tag] = raw.ljust(4, b"\0")
        if len(raw) > 4:
            places[tag] = struct.pack(order + "I", after_directory + len(longer))
            longer += raw
    places[273] = struct.pack(order + "I", after_directory + len(longer))
    entries = b""
    for tag in sorted(tags):
        kind, numbers = tags[tag]
        entries += struct.pack(order + "HHI", tag, kind, len(numbers)) + places[tag]
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return start + struct.pack(order + "H", len(tags)) + entries + bytes(4) + longer + pixels


def scaled(values: Values, greatest: int) -> Values:
    """8 bits as whole numbers up to `greatest`."""
    return np.rint(values.astype(np.float64) * greatest / 255).astype(np.uint16)
