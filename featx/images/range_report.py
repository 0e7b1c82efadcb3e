"""What one run met among its pictures that has to be said: ranges that hardly fit, further pages, ignored flags."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import Any

from featx.images.depth import RangeUse
from featx.keys import format_value_range

LEAST_SHARE = 1 / 8
"""Part of the range that a picture should use: one of 12 bits in 16 uses a sixteenth."""

END_TOLERANCE = 1e-6
"""Part of the range by which float32 may miss its ends."""

WHOLE_RANGES = (255, 511, 1023, 2047, 4095, 8191, 16383, 32767, 65535)
"""Greatest values of 8 to 16 bits."""

log = logging.getLogger(__name__)

Group = tuple[bool, float, float]
"""Whether pictures are floating-point, and the range that they were read by."""


@dataclass
class GroupReport:
    """Pictures that were read by one range.

    Attributes
    ----------
    pictures : int
    misfits : int
        Those that leave the range, or use less than `LEAST_SHARE` of it.
    beyond : int
        Those that leave it.
    least, greatest : float
        Of the values of the misfits.
    """

    pictures: int = 0
    misfits: int = 0
    beyond: int = 0
    least: float = math.inf
    greatest: float = -math.inf

    def add(self, use: RangeUse) -> None:
        """Count a picture."""
        self.pictures += 1
        tolerance = END_TOLERANCE * (use.high - use.low)
        is_beyond = use.least < use.low - tolerance or use.greatest > use.high + tolerance
        is_empty = use.least == use.greatest == 0
        share = (use.greatest - use.least) / (use.high - use.low)
        if is_beyond or (share < LEAST_SHARE and not is_empty):
            self.misfits += 1
            self.beyond += is_beyond
            self.least = min(self.least, use.least)
            self.greatest = max(self.greatest, use.greatest)

    def merge(self, other: GroupReport) -> None:
        """Add what another process counted."""
        self.pictures += other.pictures
        self.misfits += other.misfits
        self.beyond += other.beyond
        self.least = min(self.least, other.least)
        self.greatest = max(self.greatest, other.greatest)


@dataclass
class RangeReport:
    """Counts the pictures of a run by what is to be said of them.

    Attributes
    ----------
    groups : dict of Group to GroupReport
    with_nan : int
    more_pages : int
        Files of several pages or frames, of which the first was read.
    alignments : dict of str to int
        PNG pictures that state fewer bits than they have: "low" where their values lie in these bits, else "high".
    of_8_bits : int
        Pictures to which a value range does not apply.
    """

    groups: dict[Group, GroupReport] = field(default_factory=dict)
    with_nan: int = 0
    more_pages: int = 0
    alignments: dict[str, int] = field(default_factory=lambda: {"low": 0, "high": 0})
    of_8_bits: int = 0

    def add(self, use: RangeUse | None, has_more_pages: bool) -> None:
        """Count a picture that was decoded."""
        self.more_pages += has_more_pages
        if use is None:
            self.of_8_bits += 1
            return
        self.with_nan += use.has_nan
        if use.alignment:
            self.alignments[use.alignment] += 1
        self.groups.setdefault((use.is_float, use.low, use.high), GroupReport()).add(use)

    def merge(self, other: RangeReport) -> None:
        """Add what another process counted."""
        for group, report in other.groups.items():
            self.groups.setdefault(group, GroupReport()).merge(report)
        self.with_nan += other.with_nan
        self.more_pages += other.more_pages
        self.of_8_bits += other.of_8_bits
        for alignment, count in other.alignments.items():
            self.alignments[alignment] += count

    def warn(self, is_range_given: bool) -> None:
        """Log what the user must know, in a line for each kind of trouble."""
        for line in self.list_warnings(is_range_given):
            log.warning("%s", line)

    def list_warnings(self, is_range_given: bool) -> list[str]:
        """Write what the user must know."""
        lines = []
        misfits = [describe_misfits(group, report) for group, report in self.groups.items() if report.misfits]
        if misfits:
            lines.append("; ".join(misfits))
        if self.with_nan:
            lines.append(f"{count_pictures(self.with_nan)} with NaN: NaN was read as black")
        if all(self.alignments.values()):
            lines.append(
                f"of the 16-bit PNG pictures that state fewer bits (sBIT), {self.alignments['high']} fill 16 bits and "
                f"{self.alignments['low']} hold no value beyond those stated and were read by these: "
                "if they are only dark, give --value-range 0:65535"
            )
        if is_range_given and self.of_8_bits:
            verb = "was" if self.of_8_bits == 1 else "were"
            pictures = count_pictures(self.of_8_bits)
            lines.append(f"--value-range is for more than 8 bits: {pictures} of 8 bits {verb} read without it")
        return lines

    def list_notes(self) -> list[str]:
        """Write what belongs into the summary."""
        if not self.more_pages:
            return []
        files = "1 file holds" if self.more_pages == 1 else f"{self.more_pages} files hold"
        return [f"{files} several pages or frames: the first was read"]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        ranges = []
        for (is_float, low, high), report in self.groups.items():
            values = [report.least, report.greatest] if report.misfits else None
            ranges.append(
                {
                    "float": is_float,
                    "range": [low, high],
                    "images": report.pictures,
                    "misfits": report.misfits,
                    "values_of_misfits": values,
                }
            )
        return {"ranges": ranges, "with_nan": self.with_nan, "more_pages": self.more_pages}


def count_pictures(count: int) -> str:
    """Write "1 picture" or "2 pictures"."""
    return f"{count} picture" if count == 1 else f"{count} pictures"


def describe_misfits(group: Group, report: GroupReport) -> str:
    """Say what values pictures hold beside the range that they were read by, and which flag mends it."""
    is_float, low, high = group
    pictures = count_pictures(report.misfits)
    if report.misfits < report.pictures:
        pictures = f"{report.misfits} of {count_pictures(report.pictures)}"
    kind = "floating-point numbers" if is_float else "more than 8 bits"
    held = f"{write(report.least, is_float)} to {write(report.greatest, is_float)}"
    verb = "hold" if report.beyond else "use"
    if report.misfits == 1:
        verb += "s"
    where = ", beyond" if report.beyond else " of"
    flag = format_value_range(*suggest_range(report.least, report.greatest, is_float))
    return (
        f"{pictures} of {kind} {verb} {held}{where} {write(low, is_float)} to {write(high, is_float)}: "
        f"give --value-range {flag}"
    )


def write(value: float, is_float: bool) -> str:
    """Write a value: six digits of a floating-point one."""
    return f"{value:.6g}" if is_float else str(math.floor(value))


def suggest_range(least: float, greatest: float, is_float: bool) -> tuple[float, float]:
    """Choose the plain range that holds the values: 0 to 1, to all of 8 to 16 bits, or as they are."""
    if least >= 0:
        if is_float and 1 / 8 <= greatest <= 1:
            return 0.0, 1.0
        # Little of the least of these ranges would again be hardly anything.
        if greatest > 1 or not is_float:
            for whole in WHOLE_RANGES:
                if greatest <= whole and greatest >= whole * LEAST_SHARE and least <= greatest - whole * LEAST_SHARE:
                    return 0.0, float(whole)
    low = float(f"{least:.6g}") if is_float else math.floor(least)
    high = float(f"{greatest:.6g}") if is_float else math.ceil(greatest)
    # Pictures of one value only have no range of their own.
    return (float(low), float(high)) if low < high else (float(low), float(low) + 1)
