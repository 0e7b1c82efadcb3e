"""What an extraction did, in figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from featx.data.listing import FailedImage
from featx.images.range_report import RangeReport
from featx.timing import describe_decoding

WORTH_PROPOSING = 16
"""Images that must have been extracted before anything is said of how fast that was."""


@dataclass(frozen=True)
class ExtractSummary:
    """What an extraction did.

    Attributes
    ----------
    images : int
        Every row of the data set, or of the shard asked for.
    extracted, cached, duplicates : int
        Images that were computed, that the store held, and that show the same as an earlier row.
    failed : list of FailedImage
        Images that cannot be read.
    skipped : list of FailedImage
        Files and folders that were passed over, since they are not images of the data set.
    notes : list of str
        What was taken for splits, and what was passed over: one line each.
    seconds : float
        From the request to this summary.
    layers : list of str
        Exact names.
    device : str
    engine : str
        Empty where nothing had to be computed.
    time : dict of step to float
        Seconds, added up over all threads.
    pictures : RangeReport
        What is to be said of the pictures that were extracted: ranges, further pages.
    large_jpegs : int
        JPEG files among them that were decoded as they are, though half of their size or less would do.
    handed_out_again : int
        Images that were given to another worker of a cluster, since the first one ended.
    """

    images: int = 0
    extracted: int = 0
    cached: int = 0
    duplicates: int = 0
    failed: list[FailedImage] = field(default_factory=list)
    skipped: list[FailedImage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    layers: list[str] = field(default_factory=list)
    device: str = "cpu"
    engine: str = ""
    time: dict[str, float] = field(default_factory=dict)
    pictures: RangeReport = field(default_factory=RangeReport)
    large_jpegs: int = 0
    handed_out_again: int = 0

    def propose_scaling(self) -> str | None:
        """Propose `--decode scaled` in a line, where large photos make decoding the bottleneck; else None."""
        remark = describe_decoding(self.time)
        if not remark or self.extracted < WORTH_PROPOSING or 2 * self.large_jpegs <= self.extracted:
            return None
        return (
            f"{remark} of the time, and {self.large_jpegs} of {self.extracted} images are large JPEG files: --decode "
            "scaled decodes these at a part of their size, two to three times as fast; features differ a little, "
            "accuracy by no more than chance where it was measured"
        )

    @property
    def images_per_second(self) -> float:
        """Images extracted a second, everything included."""
        return round(self.extracted / self.seconds, 2) if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        # Its groups have keys that JSON does not allow.
        fields = asdict(replace(self, pictures=RangeReport()))
        return {**fields, "pictures": self.pictures.to_dict(), "images_per_second": self.images_per_second}


def merge_summaries(summaries: Sequence[ExtractSummary]) -> ExtractSummary:
    """Add up what disjoint shards of one request did, but for the seconds, which passed side by side."""
    failed: list[FailedImage] = []
    time: dict[str, float] = {}
    pictures = RangeReport()
    large_jpegs = sum(summary.large_jpegs for summary in summaries)
    for summary in summaries:
        failed += summary.failed
        pictures.merge(summary.pictures)
        for step, seconds in summary.time.items():
            time[step] = time.get(step, 0.0) + seconds
    extracted = sum(summary.extracted for summary in summaries)
    cached = sum(summary.cached for summary in summaries)
    duplicates = sum(summary.duplicates for summary in summaries)
    engines = [summary.engine for summary in summaries if summary.engine]
    return ExtractSummary(
        images=extracted + cached + duplicates + len(failed),
        extracted=extracted,
        cached=cached,
        duplicates=duplicates,
        failed=sorted(failed, key=lambda image: image.path),
        skipped=summaries[0].skipped,
        notes=summaries[0].notes,
        layers=summaries[0].layers,
        device=", ".join(summary.device for summary in summaries),
        engine=engines[0] if engines else "",
        time=time,
        pictures=pictures,
        large_jpegs=large_jpegs,
    )
