from __future__ import annotations

import numpy as np
import pytest

from featx.data.listing import DigestedListing, Listing, check_classes, find_conflicts, find_held_out
from featx.errors import DataError


def make_digested(labels: list[str], splits: list[str], digests: list[int]) -> DigestedListing:
    paths = [f"{n}.jpg" for n in range(len(labels))]
    repeated = np.repeat(np.array(digests, np.uint8)[:, None], 32, axis=1)
    return DigestedListing(Listing("x", paths, labels, splits, lambda path: b""), repeated)


def test_one_picture_in_two_splits_is_reported() -> None:
    conflicts = find_conflicts(make_digested(["a", "a", "b"], ["train", "test", "test"], [1, 1, 2]))
    assert conflicts == ["1 image lies in two splits: '0.jpg' and '1.jpg' are the same picture"]


def test_one_picture_with_two_labels_is_reported() -> None:
    conflicts = find_conflicts(make_digested(["a", "b", "b"], ["", "", ""], [1, 1, 2]))
    assert conflicts == ["1 image bears two labels: '0.jpg' and '1.jpg' are the same picture"]


def test_several_conflicts_are_counted() -> None:
    twice = make_digested(["a", "b", "a", "b"], ["train", "test", "test", "train"], [1, 1, 2, 2])
    assert find_conflicts(twice) == [
        "2 images lie in two splits: '0.jpg' and '1.jpg' are the same picture",
        "2 images bear two labels: '0.jpg' and '1.jpg' are the same picture",
    ]


def test_equal_pictures_that_agree_are_not_a_conflict() -> None:
    assert find_conflicts(make_digested(["a", "a"], ["", ""], [1, 1])) == []


def test_test_is_held_out_and_val_joins_train() -> None:
    held = find_held_out(["train", "val", "test"])
    assert held is not None
    assert held.tolist() == [False, False, True]


def test_val_is_held_out_where_there_is_no_test() -> None:
    held = find_held_out(["train", "val"])
    assert held is not None
    assert held.tolist() == [False, True]


def test_a_data_set_without_splits_leaves_the_choice() -> None:
    assert find_held_out(["", ""]) is None


def test_a_held_out_part_without_a_training_part_is_an_error() -> None:
    with pytest.raises(DataError, match="none to train on"):
        find_held_out(["test", "test"])


@pytest.mark.parametrize(
    ("labels", "problem"), [(["a", "a"], r"one class only \('a'\)"), (["a", "a", "b"], "only one image of: b")]
)
def test_too_few_classes_or_images_are_named(labels: list[str], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        check_classes(labels, "photos")
