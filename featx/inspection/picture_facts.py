"""Cheap facts of pictures, from their files and from one decoding at a part of their size."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from joblib import cpu_count
from numpy.typing import NDArray
from PIL import Image

from featx.data.listing import FailedImage, Listing
from featx.data.reading import reading
from featx.images.decode import BrokenImage, decoding, list_formats
from featx.inspection.same_pixels import is_comparable, make_thumbnail
from featx.keys import ValueRange
from featx.types import Pixels, Progress

DECODED_SIDE = 128
"""Pixels that are left at least of the shorter side of a JPEG: enough for all that is measured."""

MEASURED_SIDE = 256
"""Pixels of the longer side that sharpness is measured at, so that it means the same for large pictures and small."""

BORDER = 0.04
"""Width of the border as a share of the sides."""

SLICE = 64
"""Pictures that a thread is handed at a time."""

Colour = tuple[float, float, float]
"""Red, green and blue, from 0 to 1."""


@dataclass(frozen=True)
class PictureFacts:
    """What is known of one picture beside what it shows.

    Attributes
    ----------
    width, height, file_bytes : int
        As the file lies there.
    kind, mode : str
        Format of the file, such as "JPEG", and colour mode of its pixels as Pillow names it, such as "L".
    quality : float
        Mean of the quantisation tables of a JPEG, smaller for a better quality; 0 of other kinds.
    dark_end, bright_end : float
        5th and 99th percentile of the brightness, from 0 to 1.
    entropy : float
        Of the histogram of its brightness, in bits.
    sharpness : float
        Deviation of the Laplacian over that of the brightness, at 256 pixels of the longer side.
    colour, border : tuple of three floats
        Mean of red, green and blue, from 0 to 1: of all pixels, and of those at the border.
    """

    width: int
    height: int
    file_bytes: int
    kind: str
    mode: str
    quality: float
    dark_end: float
    bright_end: float
    entropy: float
    sharpness: float
    colour: Colour
    border: Colour


@dataclass(frozen=True)
class LookedAt:
    """The pictures of a listing that could be decoded.

    Attributes
    ----------
    facts : dict of int to PictureFacts
        By row.
    thumbnails : dict of int to (96, 96) uint8
        Of the rows that were asked for.
    failed : list of FailedImage
    """

    facts: dict[int, PictureFacts]
    thumbnails: dict[int, NDArray[np.uint8]]
    failed: list[FailedImage]


def look_at_pictures(
    listing: Listing,
    thumbnails: Collection[int],
    value_range: ValueRange | None = None,
    progress: Progress | None = None,
) -> LookedAt:
    """Decode the pictures of a listing once, in threads, and measure them.

    Parameters
    ----------
    listing : Listing
    thumbnails : collection of int
        Rows whose thumbnails are kept.
    value_range : pair of float, optional
        Values that mean black and white in pictures of more than 8 bits.
    progress : callable, optional
        Called with the number of pictures done and to be done.
    """
    looked = LookedAt({}, {}, [])

    def look(row: int) -> tuple[int, PictureFacts | None, NDArray[np.uint8] | None, str]:
        try:
            with reading(listing, row) as data, decoding(data, value_range, least_side=DECODED_SIDE) as decoded:
                thumbnail = (
                    make_thumbnail(decoded.picture) if row in thumbnails and is_comparable(decoded.picture) else None
                )
                return row, measure_picture(data, decoded.picture), thumbnail, ""
        except (BrokenImage, OSError) as error:
            return row, None, None, str(getattr(error, "strerror", None) or error)

    for row, facts, thumbnail, reason in map_in_threads(look, range(len(listing))):
        if facts is None:
            looked.failed.append(FailedImage(listing.paths[row], reason))
        else:
            looked.facts[row] = facts
        if thumbnail is not None:
            looked.thumbnails[row] = thumbnail
        if progress:
            progress(row + 1, len(listing))
    return looked


def map_in_threads(function: Callable[[int], Look], rows: Iterable[int]) -> Iterator[Look]:
    """Call a function for rows in as many threads as there are cores; results come in order, a slice at a time."""
    remaining = iter(rows)
    with ThreadPoolExecutor(cpu_count(), thread_name_prefix="look") as pool:
        while taken := list(islice(remaining, SLICE * cpu_count())):
            yield from pool.map(function, taken)


Look = tuple[int, PictureFacts | None, "NDArray[np.uint8] | None", str]
"""A row, its facts and its thumbnail, or why it could not be read."""


def measure_picture(data: bytes, picture: Image.Image) -> PictureFacts:
    """Measure a file and the RGB picture that it was decoded to."""
    width, height, kind, mode, quality = read_header(data, picture)
    small = picture
    if max(picture.size) > MEASURED_SIDE:
        small = picture.copy()
        small.thumbnail((MEASURED_SIDE, MEASURED_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    grey = small.convert("L")
    histogram = np.array(grey.histogram(), np.float64)
    dark_end, bright_end = find_percentiles(histogram, (0.05, 0.99))
    colour, border = average_colours(np.asarray(small))
    return PictureFacts(
        width,
        height,
        len(data),
        kind,
        mode,
        quality,
        dark_end,
        bright_end,
        float(grey.entropy()),
        measure_sharpness(np.asarray(grey, np.float32)),
        colour,
        border,
    )


def read_header(data: bytes, picture: Image.Image) -> tuple[int, int, str, str, float]:
    """Read size, format, mode and mean quantisation off a file's header; of what Pillow cannot open, the picture's."""
    try:
        with Image.open(io.BytesIO(data), formats=list_formats(data)) as opened:
            tables = getattr(opened, "quantization", None) or {}
            quality = float(np.mean([np.mean(table) for table in tables.values()])) if tables else 0.0
            return *opened.size, opened.format or "", opened.mode, quality
    except Exception:  # decoders of other libraries have read it, or Pillow with more memory than it wants here
        return *picture.size, "other", picture.mode, 0.0


def find_percentiles(histogram: NDArray[np.float64], shares: Sequence[float]) -> list[float]:
    """Give the brightness, from 0 to 1, below which such shares of the pixels lie."""
    cumulated = np.cumsum(histogram) / histogram.sum()
    return [float(np.searchsorted(cumulated, share)) / (len(histogram) - 1) for share in shares]


def measure_sharpness(grey: NDArray[np.float32]) -> float:
    """Give the deviation of the Laplacian over that of the pixels; 0 of a picture without contrast.

    Parameters
    ----------
    grey : (height, width) float32
    """
    deviation = float(grey.std())
    if min(grey.shape) < 3 or deviation < 1.0:
        return 0.0
    neighbours = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((neighbours - 4 * grey[1:-1, 1:-1]).std()) / deviation


def average_colours(pixels: Pixels) -> tuple[Colour, Colour]:
    """Average all pixels, and those at the border, (height, width, 3) uint8: red, green and blue of each, 0 to 1."""
    height, width, _ = pixels.shape
    rows = max(1, round(BORDER * height))
    columns = max(1, round(BORDER * width))
    inner = pixels[rows : height - rows, columns : width - columns]
    # Sums of sides are quicker than a mask, and there may be millions of pictures.
    total = sum_colours(pixels)
    at_border = total - sum_colours(inner)
    border_pixels = height * width - inner.shape[0] * inner.shape[1]
    return to_colour(total / (255 * height * width)), to_colour(at_border / (255 * border_pixels))


def sum_colours(pixels: Pixels) -> NDArray[np.int64]:
    """Add up pixels (height, width, 3) uint8 by colour: (3,) int64."""
    # One axis after the other takes a thirtieth of the time that both at once do; a column's sum fits 32 bits.
    by_column = pixels.sum(axis=0, dtype=np.uint32)
    total: NDArray[np.int64] = by_column.sum(axis=0, dtype=np.int64)
    return total


def to_colour(values: NDArray[np.float64]) -> Colour:
    """Give red, green and blue as plain numbers."""
    red, green, blue = values.tolist()
    return red, green, blue
