"""Groups of pictures that count: joined by copies, torn by a split, and not taken where only a name suggests them."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.base_choice import BaseChoice
from featx.data.listing import DigestedListing, Listing, RowGroups
from featx.data.sources.image_files import ON_DISK
from featx.errors import DataError
from featx.features.dataset import Dataset, join_dataset
from featx.features.groups import group_pictures
from featx.requests import CompareRequest


def digested(
    labels: str,
    names: list[str] | None,
    pictures: list[int] | None = None,
    splits: list[str] | None = None,
    guess: bool = False,
) -> DigestedListing:
    """List rows: a letter is a label; equal numbers are the same picture."""
    paths = [f"{row}.png" for row in range(len(labels))]
    groups = RowGroups(names, "column 'patient'", guess) if names else None
    listing = Listing("photos", paths, list(labels), splits or [""] * len(labels), ON_DISK, groups=groups)
    digests = np.zeros((len(labels), 32), np.uint8)
    digests[:, 0] = pictures or range(len(labels))
    return DigestedListing(listing, digests)


def join(listed: DigestedListing) -> Dataset:
    return join_dataset(CompareRequest("photos", BaseChoice("tiny")), listed)


def codes(listed: DigestedListing, rows: list[int]) -> NDArray[np.intp]:
    assert listed.listing.groups is not None
    return group_pictures(listed, listed.listing.groups, rows).codes


def test_rows_without_a_group_are_alone() -> None:
    assert codes(digested("aabb", ["p", "", "p", ""]), [0, 1, 2, 3]).tolist() == [0, 1, 0, 2]


def test_a_picture_in_two_groups_makes_them_one() -> None:
    listed = digested("aaabbb", ["p", "q", "r", "s", "q", ""], [0, 0, 2, 3, 4, 5])
    assert listed.listing.groups is not None
    grouping = group_pictures(listed, listed.listing.groups, [0, 2, 3, 4, 5])
    assert grouping.codes.tolist() == [0, 1, 2, 0, 3]
    assert grouping.remarks == [
        "1 picture lies in two groups: '0.png' and '1.png' are the same picture; such groups count as one"
    ]


def test_the_group_of_a_copy_is_that_of_the_picture() -> None:
    assert codes(digested("aabb", ["", "p", "p", ""], [0, 0, 2, 3]), [0, 2, 3]).tolist() == [0, 0, 1]


def test_a_picture_with_two_labels_joins_no_groups() -> None:
    assert codes(digested("abab", ["p", "q", "p", "q"], [0, 0, 2, 3]), [2, 3]).tolist() == [0, 1]


def test_groups_torn_by_the_own_split_are_said_and_the_split_is_obeyed(caplog: pytest.LogCaptureFixture) -> None:
    splits = ["train", "test", "train", "test", "train", "train", "train", "train"]
    dataset = join(digested("aabbabab", ["p", "p", "q", "q", "r", "r", "s", "s"], splits=splits))
    assert dataset.test.tolist() == [False, True, False, True] + [False] * 4
    assert dataset.torn_groups is not None
    assert dataset.torn_groups.startswith("2 groups lie on both sides of the data set's own split, of 4: '1.png' and")
    assert dataset.torn_groups in caplog.text


def test_a_column_that_only_has_the_name_of_groups_is_not_taken_where_it_cannot_divide(
    caplog: pytest.LogCaptureFixture,
) -> None:
    labels = "aaaabbbb"
    names = [*("x" * 4), *("y" * 4)]
    plain = join(digested(labels, None))
    guessed = join(digested(labels, names, guess=True))
    assert guessed.digest == plain.digest
    assert "column 'patient' is not taken for groups, since they cannot be divided: each of the 2 groups" in caplog.text
    with pytest.raises(DataError, match="'photos' cannot be divided by column 'patient': each of the 2 groups is"):
        join(digested(labels, names))


def test_groups_of_one_picture_each_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    labels = "ab" * 10
    dataset = join(digested(labels, [str(row) for row in range(20)]))
    assert dataset.digest == join(digested(labels, None)).digest
    assert not dataset.has_groups
    assert "no two pictures are of one group by column 'patient'" in caplog.text


def test_names_of_groups_do_not_matter_to_results_but_groups_do() -> None:
    names = [str(row // 4) for row in range(40)]
    dataset = join(digested("ab" * 20, names))
    renamed = join(digested("ab" * 20, [f"patient {name}" for name in names]))
    others = join(digested("ab" * 20, [str(row // 5) for row in range(40)]))
    assert dataset.has_groups
    assert dataset.digest == renamed.digest
    assert len({dataset.digest, others.digest, join(digested("ab" * 20, None)).digest}) == 3
    same_split = replace(dataset, groups=np.arange(40))
    assert same_split.digest != dataset.digest
