"""What a model says of a batch of images, whatever runs it. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.data.listing import FailedImage, Listing
from featx.data.rows import Loaded
from featx.images.range_report import RangeReport


@dataclass(frozen=True)
class Labelled:
    """A batch of labelled images.

    Attributes
    ----------
    rows : list of int
        The m rows of the listing that could be read.
    digests : list of bytes
        sha256 of their files.
    codes : (m,) int
        Places of the predicted classes.
    probabilities : (m, k) float64
    failed : list of FailedImage
        The rows that could not be read.
    strangeness : (m,) float64 or None
        None where the model does not tell.
    """

    rows: list[int]
    digests: list[bytes]
    codes: NDArray[np.intp]
    probabilities: NDArray[np.float64]
    failed: list[FailedImage]
    strangeness: NDArray[np.float64] | None = None


def list_readable(
    loaded: Sequence[Loaded], listing: Listing, ranges: RangeReport | None
) -> tuple[list[int], list[bytes], list[FailedImage]]:
    """Tell the images of a batch that could be read from the others.

    Parameters
    ----------
    loaded : sequence of Loaded
    listing : Listing
    ranges : RangeReport or None
        Receives what is to be said of the pictures.

    Returns
    -------
    list of int
        Rows of the images that could be read.
    list of bytes
        sha256 of their files.
    list of FailedImage
    """
    rows: list[int] = []
    digests: list[bytes] = []
    failed: list[FailedImage] = []
    for image in loaded:
        if image.views:
            rows.append(image.row)
            digests.append(image.digest or b"")
            if ranges is not None:
                ranges.add(image.range_use, image.has_more_pages)
        else:
            failed.append(FailedImage(listing.paths[image.row], image.reason or "unreadable"))
    return rows, digests, failed
