"""A data set as columns: where each image lies, its label, its split and the digest of its bytes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError, shorten

SPLIT_WORDS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval", "evaluation", "holdout", "hold_out", "heldout", "held_out"),
}
"""Words that people use for each split that featx knows. Whatever is called an evaluation is never trained on."""


def list_split_names() -> dict[str, str]:
    """Map every spelling of a split in small letters to the split: `hold-out`, `training_set`, `testset`."""
    names: dict[str, str] = {}
    for split, words in SPLIT_WORDS.items():
        for word in words:
            for ending in ("", "_set", "set"):
                for separator in ("_", "-", " "):
                    names[f"{word}{ending}".replace("_", separator)] = split
    return names


SPLITS = list_split_names()
"""Names that people give to splits, in small letters, and the one that featx uses."""


WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
"""Words in a name, also where only a capital letter begins them."""


def find_split(name: str) -> str | None:
    """Give the split that a name stands for, in any case; None if it is not the name of a split."""
    return SPLITS.get(name.strip().lower())


def looks_like_split(name: str) -> bool:
    """Whether a name contains a word for a split without being one that is known: `train2017`, `TestImages`."""
    return any(word.lower() in SPLITS for word in WORDS.findall(name))


@dataclass(frozen=True)
class FailedImage:
    """A file that is named to the user instead of used: its path and the reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class RowGroups:
    """Which rows belong together, as pictures of one patient do.

    Attributes
    ----------
    names : sequence of str, one entry a row
        Rows of one name belong together; one of the name "" to no other.
    origin : str
        Where they are from, in words: "column 'patient'".
    is_guess : bool
        Whether the user did not say so, but a column has such a name.
    """

    names: Sequence[str]
    origin: str
    is_guess: bool = False

    def subset(self, rows: Sequence[int]) -> RowGroups:
        """Keep some rows, in the order given."""
        return replace(self, names=[self.names[row] for row in rows])


@dataclass(frozen=True)
class Listing:
    """The rows of a data set before any image is read.

    Attributes
    ----------
    name : str
        DATA as the user gave it.
    paths, labels, splits : sequences of str, one entry a row
        A label is the class's name; a split is "train", "val", "test" or "" where the data set has none.
    read : callable
        Path to the image file's bytes; raises OSError.
    on_disk : bool
        Whether the paths are files whose size and time can be asked.
    skipped : tuple of FailedImage
        Files and folders passed over: side files of operating systems, what is not a picture, and so on.
    notes : tuple of str
        What was taken for what, and what was passed over: one line each.
    weights : (n,) float64 or None
        How often each row counts in training: 2 as if it were there twice, 0 as if it were not there. None: once.
    groups : RowGroups or None
        Which rows belong together; None where nothing says so.
    """

    name: str
    paths: Sequence[str]
    labels: Sequence[str]
    splits: Sequence[str]
    read: Callable[[str], bytes]
    on_disk: bool = True
    skipped: tuple[FailedImage, ...] = ()
    notes: tuple[str, ...] = ()
    weights: NDArray[np.float64] | None = None
    groups: RowGroups | None = None

    @property
    def is_labelled(self) -> bool:
        """Whether the data set has classes; pictures that lie in no class folder have none."""
        return any(self.labels)

    def __len__(self) -> int:
        return len(self.paths)

    def subset(self, rows: Iterable[int]) -> Listing:
        """Keep some rows, in the order given."""
        kept = list(rows)
        return replace(
            self,
            paths=[self.paths[row] for row in kept],
            labels=[self.labels[row] for row in kept],
            splits=[self.splits[row] for row in kept],
            weights=None if self.weights is None else self.weights[kept],
            groups=self.groups and self.groups.subset(kept),
        )


@dataclass(frozen=True)
class DigestedListing:
    """A listing whose images have been digested.

    Attributes
    ----------
    listing : Listing
        Only rows that could be read.
    digests : (n, 32) uint8
        sha256 of each image file's bytes.
    unreadable : tuple of FailedImage
        The rows that could not be read.
    """

    listing: Listing
    digests: NDArray[np.uint8]
    unreadable: tuple[FailedImage, ...] = ()

    def __len__(self) -> int:
        return len(self.listing)


def group_copies(digests: NDArray[np.uint8]) -> list[list[int]]:
    """Group the rows that show the same image, where there are several: (n, 32) uint8 digests to lists of rows."""
    rows_of: defaultdict[bytes, list[int]] = defaultdict(list)
    for row, digest in enumerate(digests):
        rows_of[digest.tobytes()].append(row)
    return [rows for rows in rows_of.values() if len(rows) > 1]


def describe_pair(rows: Sequence[int], column: Sequence[str], paths: Sequence[str]) -> str:
    """Name two copies of one image that differ in a column."""
    first = rows[0]
    other = next(row for row in rows if column[row] != column[first])
    return f"'{paths[first]}' and '{paths[other]}'"


def find_held_out(splits: Sequence[str]) -> NDArray[np.bool_] | None:
    """Find the rows that a data set's own splits hold out: `test`, else `val`.

    Returns
    -------
    (n,) bool, or None
        None where the data set has no split of its own.

    Raises
    ------
    DataError
        If there is a held-out part but nothing to train on.
    """
    counts = Counter(splits)
    if not (counts["test"] or counts["val"]):
        return None
    held_out_split = "test" if counts["test"] else "val"
    is_held_out = np.array([split == held_out_split for split in splits])
    if is_held_out.all():
        raise DataError(
            f"there are only '{splits[0]}' images, none to train on: add images of the split 'train' "
            "(a folder train/, or rows whose split is 'train')"
        )
    return is_held_out


def check_classes(labels: Sequence[str], name: str) -> None:
    """Raise unless there are two classes or more, each with at least two images.

    Parameters
    ----------
    labels : sequence of str
        One a row.
    name : str
        DATA, for the message.

    Raises
    ------
    DataError
        With the counts, so that the folder at fault is seen at once.
    """
    counts = Counter(labels)
    if set(counts) == {""}:
        raise DataError(
            f"'{name}' has no classes: its pictures lie in no class folders, and a classifier needs at least two, "
            "such as CLASS/photo.jpg"
        )
    if len(counts) < 2:
        only = next(iter(counts), "none")
        raise DataError(f"'{name}' has one class only ('{only}'): a classifier needs at least two class folders")
    single = sorted(label for label, count in counts.items() if count < 2)
    if single:
        raise DataError(
            f"'{name}' has only one image of: {shorten(single)}. "
            "Every class needs at least two, one to train on and one to hold out: add images or remove the class"
        )
