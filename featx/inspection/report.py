"""What an inspection found, in plain values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from featx.inspection.shift import Shift
from featx.inspection.shortcuts import Shortcut

DROPPED = ("blank", "unreadable")
"""Problems of pictures that are worth leaving them out by themselves; a dark picture may still be a picture."""


@dataclass(frozen=True)
class DuplicateGroup:
    """Pictures that show the same.

    Attributes
    ----------
    paths, labels, splits : list of str
        One entry a picture.
    held_out : list of bool
        Whether each lies in the held-out part: the data set's own, or the one that `fit` and `compare` draw.
    similarity : float
        The smallest cosine by which they are joined.
    is_leak : bool
        Whether they lie in both the training part and the held-out part.
    is_conflict : bool
        Whether they have several labels.
    """

    paths: list[str]
    labels: list[str]
    splits: list[str]
    held_out: list[bool]
    similarity: float
    is_leak: bool
    is_conflict: bool


class SuspectLabel(NamedTuple):
    """A label that other pictures contradict: the class that they suggest, and how far the label is behind it."""

    path: str
    label: str
    suggested: str
    margin: float


class Stranger(NamedTuple):
    """A picture unlike all classes, and how familiar it is: 1 in the middle of a class, 0 far from all."""

    path: str
    label: str
    familiarity: float


class Poor(NamedTuple):
    """A picture of which something is odd, and the figure that says so; None where it could not be read."""

    path: str
    problem: str
    value: float | None


class Line(NamedTuple):
    """One finding about one picture, as a line of the CSV file."""

    finding: str
    path: str
    label: str
    figure: float | None
    detail: str


@dataclass(frozen=True)
class Inspection:
    """What `inspect` gives.

    Attributes
    ----------
    images, classes : int
    base, layer, pooling : str
        Whose features were looked at.
    near_duplicates : list of DuplicateGroup
    has_drawn_split : bool
        Whether the held-out part is drawn, as the data set has none of its own.
    threshold : float
        The least cosine of pairs that were compared.
    suspect_labels : list of SuspectLabel
        The most suspect first.
    estimated_wrong : float or None
        How many labels are wrong, by estimate; None where labels could not be judged.
    strangers : list of Stranger
        The strangest first.
    poor_pictures : list of Poor
        By problem, the oddest first.
    shortcuts : list of Shortcut
        The best first.
    shift : Shift or None
        None where the data set has no held-out part of its own.
    group_hint : str
        Groups that names suggest; empty where they suggest none.
    notes : list of str
        What was not looked at, and why.
    """

    images: int
    classes: int
    base: str
    layer: str
    pooling: str
    near_duplicates: list[DuplicateGroup] = field(default_factory=list)
    has_drawn_split: bool = False
    threshold: float = 1.0
    suspect_labels: list[SuspectLabel] = field(default_factory=list)
    estimated_wrong: float | None = None
    strangers: list[Stranger] = field(default_factory=list)
    poor_pictures: list[Poor] = field(default_factory=list)
    shortcuts: list[Shortcut] = field(default_factory=list)
    shift: Shift | None = None
    group_hint: str = ""
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        values = asdict(self)
        for name in ("suspect_labels", "strangers", "poor_pictures"):
            values[name] = [each._asdict() for each in getattr(self, name)]
        return values

    def list_lines(self) -> Iterator[Line]:
        """List every finding about a picture, in the order of the report."""
        for number, group in enumerate(self.near_duplicates, 1):
            kinds = [kind for kind, holds in (("leak", group.is_leak), ("conflict", group.is_conflict)) if holds]
            for path, label in zip(group.paths, group.labels, strict=True):
                detail = " ".join([f"group {number}", *kinds])
                yield Line("near-duplicate", path, label, group.similarity, detail)
        for suspect in self.suspect_labels:
            yield Line("suspect label", suspect.path, suspect.label, suspect.margin, suspect.suggested)
        for stranger in self.strangers:
            yield Line("stranger", stranger.path, stranger.label, stranger.familiarity, "")
        for poor in self.poor_pictures:
            yield Line("poor picture", poor.path, "", poor.value, poor.problem)

    def list_drops(self) -> dict[str, str]:
        """List the paths that may be left out, each with why: its first reason.

        Of near-duplicates the first stays, a held-out one before others where they are on both sides; where they have
        several labels, none does.
        """
        drops: dict[str, str] = {}
        for group in self.near_duplicates:
            kept = group.held_out.index(True) if group.is_leak else 0
            for place, path in enumerate(group.paths):
                if group.is_conflict:
                    drops.setdefault(path, f"shows the same as others of {len(set(group.labels))} labels")
                elif place != kept:
                    drops.setdefault(path, f"shows the same as {group.paths[kept]}")
        for suspect in self.suspect_labels:
            drops.setdefault(suspect.path, f"labelled {suspect.label}, looks like {suspect.suggested}")
        for stranger in self.strangers:
            drops.setdefault(stranger.path, "unlike all classes")
        for poor in self.poor_pictures:
            if poor.problem in DROPPED:
                drops.setdefault(poor.path, poor.problem)
        return drops


def write_drop_list(drops: dict[str, str]) -> str:
    """Write paths for `--exclude`, one a line, below the reason of each as a line that begins with "#"."""
    lines = []
    for path, reason in drops.items():
        # A path that begins so would be taken for a reason.
        written = f"./{path}" if path.startswith("#") else path
        one_line = reason.replace("\n", " ").replace("\r", " ")
        lines.append(f"# {one_line}\n{written}\n")
    return "".join(lines)
