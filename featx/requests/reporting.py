"""The request for a report: one page on what was evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from featx.fields import CheckedFields
from featx.requests.evaluation import CompareRequest

MOST_IMAGES = 2000
"""Pictures of a page where no number is said: some 8 MB of small ones."""

MOST_MEGABYTES = 15.0
"""Size of a page where none is said: mail servers take attachments of 20 to 25 MB, and encoding adds a third."""


@dataclass(frozen=True)
class ReportRequest(CheckedFields):
    """A report: one HTML page that opens offline, on results, features and pictures that are there.

    Attributes
    ----------
    features : CompareRequest
        Data set, bases, and what of them is shown. Without layers and classifiers: every result that is there; where
        there is none, the usual classifiers are evaluated on every layer that is cached.
    out : pathlib.Path
        The page to be written.
    model : str, pathlib.Path, Model or None
        What is shown in detail: a model that was fitted on layers of the first base. None: the best row.
    images : bool
        Whether pictures are shown.
    anonymous : bool
        Whether neither pictures nor paths are shown, nor the name of the data set.
    max_images : int
        Pictures that are shown at most.
    max_mb : float
        Size of the page at most, in 10^6 bytes; pictures are left out to keep to it.
    figures : pathlib.Path or None
        Folder where the charts are written, too, as SVG and PNG.
    inspect : bool
        Whether the data are looked at, too: copies, labels, strangers, shortcuts.
    """

    features: CompareRequest
    out: Path
    model: Any = None
    images: bool = True
    anonymous: bool = False
    max_images: Annotated[int, Meta(ge=0)] = MOST_IMAGES
    max_mb: Annotated[float, Meta(gt=0)] = MOST_MEGABYTES
    figures: Path | None = None
    inspect: bool = True

    @property
    def shows_images(self) -> bool:
        """Whether any picture is shown."""
        return self.images and not self.anonymous and self.max_images > 0
