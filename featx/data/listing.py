"""A data set as columns: where each image lies, its label, its split and the digest of its bytes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

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


class ImageFile(Protocol):
    """An image file, wherever it lies: alone, in an archive or in memory."""

    def find_size(self) -> int:
        """Say how many bytes it has; 0 where nobody knows, or where it is too large to be read. Never raises."""
        ...

    def read(self) -> bytes:
        """Read it.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        ...


class ImageFiles(Protocol):
    """The image files of a listing: how each is found by its path, and how a change of it is noticed."""

    @property
    def are_stored(self) -> bool:
        """Whether they lie on disk, under names that somebody gave them; others lie in memory."""
        ...

    @property
    def are_shareable(self) -> bool:
        """Whether another process can read what `find` gives: it is small, and pickled."""
        ...

    @property
    def are_far(self) -> bool:
        """Whether some lie where a read is a request: several at a time take as long as one."""
        ...

    def find(self, path: str) -> ImageFile:
        """Find a file by its path in the listing. Never raises: what is not there fails when it is read."""
        ...

    def read_stamps(self, paths: Sequence[str]) -> NDArray[np.int64]:
        """Give what shows later changes of files.

        Returns
        -------
        (n, 4) int64
            Size in bytes, modification time and change time in ns, and a number that tells apart what lies on one file
            system, such as the inode; -1 each where there is nothing of the kind.
        """
        ...


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
    files : ImageFiles
        How the files are read.
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
    files: ImageFiles
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

    def read(self, path: str) -> bytes:
        """Read the image at a path.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        return self.files.find(path).read()

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
