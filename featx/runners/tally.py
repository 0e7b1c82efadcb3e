"""What became of each row of an extraction."""

from __future__ import annotations

from enum import Enum, auto

from featx.data.listing import FailedImage
from featx.data.rows import Loaded
from featx.images.formats.jpeg import choose_scale
from featx.images.range_report import RangeReport
from featx.keys import InputTransform
from featx.runners.claims import Claims


class RowOutcome(Enum):
    """What became of one row."""

    EXTRACTED = auto()
    CACHED = auto()
    DUPLICATE = auto()
    FAILED = auto()
    OTHER_SHARD = auto()


class Tally:
    """Counts rows by what became of them.

    Parameters
    ----------
    claims : Claims
    transform : InputTransform

    Attributes
    ----------
    counts : dict of RowOutcome to int
    failed : list of FailedImage
        In order of the rows.
    ranges : RangeReport
        What the pictures that were decoded hold.
    large_jpegs : int
        JPEG files that were decoded as they are, though half of their size or less would do.
    """

    def __init__(self, claims: Claims, transform: InputTransform) -> None:
        self.claims = claims
        self.transform = transform
        self.large_jpegs = 0
        self.counts = dict.fromkeys(RowOutcome, 0)
        self.failed: list[FailedImage] = []
        self.ranges = RangeReport()
        self._reasons: dict[bytes, str] = {}

    def add(self, outcome: RowOutcome, rows: int) -> None:
        """Count rows whose outcome is known without reading them."""
        self.counts[outcome] += rows

    def count(self, path: str, loaded: Loaded) -> RowOutcome:
        """Count one row, and say what became of it; rows come in their order."""
        outcome, reason = self.classify(loaded)
        if outcome is RowOutcome.EXTRACTED:
            self.ranges.add(loaded.range_use, loaded.has_more_pages)
            could_be_scaled = choose_scale(loaded.jpeg_side, self.transform.scaled_side) > 1
            self.large_jpegs += could_be_scaled and self.transform.decode == "exact"
        if outcome is RowOutcome.FAILED:
            self.failed.append(FailedImage(path, reason))
        self.counts[outcome] += 1
        return outcome

    def classify(self, loaded: Loaded) -> tuple[RowOutcome, str]:
        """Say what becomes of a row, and why if it failed."""
        digest = loaded.digest
        if digest is None:
            return RowOutcome.FAILED, loaded.reason or "unreadable"
        is_first = self.claims.settle(digest, loaded.row)
        if is_first and loaded.reason is not None:
            self._reasons[digest] = loaded.reason
        if digest in self._reasons:
            # Copies of a broken image were not decoded, and fail for its reason.
            return RowOutcome.FAILED, self._reasons[digest]
        if is_first:
            return RowOutcome.EXTRACTED, ""
        if digest in self.claims:
            return RowOutcome.DUPLICATE, ""
        return RowOutcome.CACHED, ""
