"""Small pictures for the page: turned upright, without metadata, as many as there is room for."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from joblib import cpu_count
from PIL import Image

from featx.data.listing import Listing
from featx.data.reading import reading
from featx.images.decode import BrokenImage, decoding
from featx.keys import ValueRange
from featx.types import Progress

LONG_SIDE = 160
"""Pixels of the longer side: sharp at the size at which the page shows them."""

QUALITY = 70

TINY = 64
"""Pictures of no more pixels a side are kept as they are, without loss: the page enlarges them."""

BATCH = 64
"""Pictures between two looks at the room that is left."""


@dataclass(frozen=True)
class Pictures:
    """The pictures of a page.

    Attributes
    ----------
    sources : dict of int to str
        WebP in base64, by row of the data set.
    wanted : int
        Pictures that the page would show.
    unreadable : int
        Of these, images that cannot be read any more.
    limit : str or None
        The option that kept further ones away.
    """

    sources: dict[int, str] = field(default_factory=dict)
    wanted: int = 0
    unreadable: int = 0
    limit: str | None = None

    @property
    def left_out(self) -> int:
        """Pictures that there was no room for."""
        return self.wanted - len(self.sources) - self.unreadable


def order_wanted(*lists: Iterable[int]) -> list[int]:
    """Put the rows whose pictures are wanted into one list, the most wanted first, each once."""
    return list(dict.fromkeys(row for rows in lists for row in rows))


def make_pictures(
    listing: Listing,
    wanted: Sequence[int],
    most: int,
    room: int,
    value_range: ValueRange | None = None,
    progress: Progress | None = None,
) -> Pictures:
    """Read and shrink pictures until there are enough of them, or no room is left.

    Parameters
    ----------
    wanted : sequence of int
        Rows, the most wanted first.
    most : int
        How many at most (`--max-images`).
    room : int
        Bytes of the page that they may take (`--max-mb`).
    value_range : pair of float, optional
        As for `featx.images.decode.decode`.
    """
    sources: dict[int, str] = {}
    unreadable = 0
    taken = 0
    chosen = wanted[:most]
    limit = "--max-images" if len(wanted) > most else None
    with ThreadPoolExecutor(cpu_count()) as pool:
        for first in range(0, len(chosen), BATCH):
            rows = chosen[first : first + BATCH]
            made = list(pool.map(lambda row: make_picture(listing, row, value_range), rows))
            for row, source in zip(rows, made, strict=True):
                if source is None:
                    unreadable += 1
                    continue
                # A name of the row, quotes and a comma stand beside each.
                taken += len(source) + len(str(row)) + 6
                if taken > room:
                    return Pictures(sources, len(wanted), unreadable, "--max-mb")
                sources[row] = source
            if progress:
                progress(len(sources) + unreadable, len(chosen))
    return Pictures(sources, len(wanted), unreadable, limit)


def make_picture(listing: Listing, row: int, value_range: ValueRange | None) -> str | None:
    """Read and shrink one picture: WebP in base64, or None if it cannot be read."""
    try:
        with reading(listing, row) as data, decoding(data, value_range, least_side=LONG_SIDE) as decoded:
            small = shrink(decoded.picture)
    except (OSError, BrokenImage):
        return None
    content = io.BytesIO()
    is_tiny = max(small.size) <= TINY
    small.save(content, "WEBP", lossless=is_tiny, quality=QUALITY, method=4)
    return base64.b64encode(content.getvalue()).decode()


def shrink(picture: Image.Image) -> Image.Image:
    """Make a small copy of a picture that holds pixels and nothing else."""
    copy = picture.copy()
    copy.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    # Colour profiles and texts would be written, too.
    copy.info.clear()
    return copy
