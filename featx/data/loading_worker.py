"""What a loading process does with a slice: it reads and hashes its files, then decodes those that are wanted.

It keeps the bytes in between, so that what is decoded is what was hashed, and writes pixels into memory that it shares
with its parent. It imports no torch. What needs torch, a process of its own or more memory than a share goes back to
the parent, with the bytes that were read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from featx.data.listing import ImageFile
from featx.data.reading import read_whole
from featx.data.rows import describe_unreadable, prepare_picture
from featx.files import write_all
from featx.images.decode import BrokenImage, decoding
from featx.images.decoding_process import NeedsMemory
from featx.images.depth import RangeUse
from featx.images.picture_digest import digest_picture
from featx.images.views import keep_raw, make_fixed_views
from featx.keys import InputTransform
from featx.types import Pixels

HANDED_OVER_BYTES = 2**24
"""Bytes of pixels after which a call returns, to be called again for the rest: 100 pictures of 224 x 224 pixels."""


@dataclass(frozen=True)
class DecodingTerms:
    """How a process decodes.

    Attributes
    ----------
    descriptor : int
        The file in memory that takes pixels.
    transform : InputTransform
    keeps_raw : bool
        Whether a device resizes the pictures that may stay as they were decoded.
    allowed : int
        Bytes that decoding one picture may take.
    """

    descriptor: int
    transform: InputTransform
    keeps_raw: bool
    allowed: int


class FileRead(NamedTuple):
    """A file as it was read.

    Attributes
    ----------
    digest : bytes or None
        None if it was not read.
    reason : str or None
        Why it cannot be read; neither digest nor reason means that it is too large to be read here.
    """

    digest: bytes | None = None
    reason: str | None = None


class PictureMade(NamedTuple):
    """What was made of a picture, and written.

    Attributes
    ----------
    shapes : tuple of (view, (height, width, 3))
        Of the pixels, in the order in which they were written.
    reason : str or None
        Why there are none.
    range_use : RangeUse or None
    has_more_pages : bool
    jpeg_side : int
    file_bytes : int or None
        Where the picture must be decoded by the parent: how many bytes its file has, which were written instead.
    """

    shapes: tuple[tuple[int, tuple[int, ...]], ...] = ()
    reason: str | None = None
    range_use: RangeUse | None = None
    has_more_pages: bool = False
    jpeg_side: int = 0
    file_bytes: int | None = None


Wanted = tuple[int, tuple[int, ...] | None]
"""Place of a file in the slice, and the views that are made of it; None hands its bytes back."""

Buffer = bytes | memoryview
"""Bytes that are written, without a copy."""

files_held: list[bytes] = []
"""The files that were read last, by their places; empty ones are not held, or not any more."""


def read_files(images: Sequence[ImageFile], most_bytes: int) -> tuple[list[FileRead], float]:
    """Read and hash the first of some files, as many as a share of memory holds, and keep their bytes.

    Parameters
    ----------
    images : sequence of ImageFile
    most_bytes : int
        The share; a file that is larger by itself is left to the parent.

    Returns
    -------
    list of FileRead
        At least one.
    float
        Seconds that it took.
    """
    started = time.perf_counter()
    files_held.clear()
    files: list[FileRead] = []
    total = 0
    for image in images:
        size = image.find_size()
        is_left = size > most_bytes
        if not is_left:
            total += size
        if files and total > most_bytes:
            break
        file, data = (FileRead(), b"") if is_left else read_one(image)
        files.append(file)
        files_held.append(data)
    return files, time.perf_counter() - started


def read_one(image: ImageFile) -> tuple[FileRead, bytes]:
    """Read and hash one file; never raises for a bad one."""
    try:
        data = read_whole(image)
    except OSError as error:
        return FileRead(reason=describe_unreadable(error)), b""
    return FileRead(digest_picture(data)), data


def decode_files(wanted: Sequence[Wanted], terms: DecodingTerms) -> tuple[list[PictureMade], float]:
    """Decode the first of the files that are wanted, until `HANDED_OVER_BYTES` are written.

    Parameters
    ----------
    wanted : sequence of Wanted
        Places among the files that were read last, each once.
    terms : DecodingTerms

    Returns
    -------
    list of PictureMade
        At least one.
    float
        Seconds that it took.

    Raises
    ------
    OSError
        If the shared memory cannot grow.
    """
    started = time.perf_counter()
    os.lseek(terms.descriptor, 0, os.SEEK_SET)
    made: list[PictureMade] = []
    written = 0
    for place, views in wanted:
        data = files_held[place]
        files_held[place] = b""
        picture, buffers = decode_one(data, views, terms)
        for buffer in buffers:
            write_all(terms.descriptor, buffer)
            written += len(buffer)
        made.append(picture)
        if written >= HANDED_OVER_BYTES:
            break
    return made, time.perf_counter() - started


def decode_one(data: bytes, views: tuple[int, ...] | None, terms: DecodingTerms) -> tuple[PictureMade, list[Buffer]]:
    """Decode one file: what is to be said of it, and what is to be written; never raises for a bad one."""
    handed_back = PictureMade(file_bytes=len(data))
    if views is None:
        return handed_back, [data]

    def prepare(picture: Image.Image) -> dict[int, Pixels]:
        kept: dict[int, Pixels] = {}
        left: Sequence[int] = views
        if terms.keeps_raw:
            kept, left = keep_raw(picture, terms.transform, views)
        return {**kept, **make_fixed_views(picture, terms.transform, left)}

    try:
        with decoding(data, terms.transform.value_range, terms.allowed, terms.transform.least_side) as decoded:
            pixels = prepare_picture(decoded.picture, prepare)
    except NeedsMemory:
        return handed_back, [data]
    except BrokenImage as error:
        return PictureMade(reason=str(error)), []
    shapes = tuple((view, array.shape) for view, array in pixels.items())
    made = PictureMade(shapes, None, decoded.range_use, decoded.has_more_pages, decoded.jpeg_side)
    return made, [np.ascontiguousarray(array).reshape(-1).data for array in pixels.values()]
