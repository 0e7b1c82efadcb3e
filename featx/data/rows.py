"""One row from its file to its pixels: the steps that threads and loading processes take alike."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from featx.errors import first_line
from featx.images.decode import BrokenImage
from featx.images.depth import RangeUse
from featx.types import Pixels

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """One row after reading.

    Attributes
    ----------
    row : int
        Place in the listing.
    digest : bytes or None
        sha256 of the file's bytes; None if it could not be read.
    views : tuple of int
        Views that were decoded; empty if the image was not selected or is broken.
    reason : str or None
        Why there are no pixels, if the file is unreadable or broken.
    pixels : dict of int to (height, width, 3) uint8
        What `prepare` made of the picture, by view; given up once it is computed.
    range_use : RangeUse or None
        Which values a picture of more than 8 bits holds.
    has_more_pages : bool
        Whether the file holds more pages or frames than the one that was decoded.
    jpeg_side : int
        Pixels of the shorter side of a JPEG as it lies in the file; 0 of other kinds.
    """

    row: int
    digest: bytes | None
    views: tuple[int, ...] = ()
    reason: str | None = None
    pixels: dict[int, Pixels] = field(default_factory=dict, repr=False)
    range_use: RangeUse | None = None
    has_more_pages: bool = False
    jpeg_side: int = 0


def describe_unreadable(error: OSError) -> str:
    """Say why a file cannot be read."""
    return error.strerror or str(error)


def prepare_picture(picture: Image.Image, prepare: Callable[[Image.Image], dict[int, Pixels]]) -> dict[int, Pixels]:
    """Make of a decoded picture what is wanted of it.

    Parameters
    ----------
    picture : PIL.Image.Image
    prepare : callable
        Picture to pixels by view.

    Returns
    -------
    dict of int to (height, width, 3) uint8

    Raises
    ------
    BrokenImage
        If that fails, whatever the reason: one picture must not stop a run.
    """
    try:
        return prepare(picture)
    except Exception as error:
        log.debug("a picture of %d x %d pixels", *picture.size, exc_info=True)
        reason = "not enough memory" if isinstance(error, MemoryError) else first_line(error)
        raise BrokenImage(f"{picture.width} x {picture.height} pixels cannot be resized: {reason}") from error
