from __future__ import annotations

import numpy as np
import pytest

from featx.data.listing import Listing, Manifest, check_classes, conflicts, held_out
from featx.errors import DataError


def manifest(labels: list[str], splits: list[str], digests: list[int]) -> Manifest:
    paths = [f"{n}.jpg" for n in range(len(labels))]
    packed = np.repeat(np.array(digests, np.uint8)[:, None], 32, axis=1)
    return Manifest(Listing("x", paths, labels, splits, lambda path: b""), packed)


def test_one_picture_in_two_splits_is_reported() -> None:
    found = conflicts(manifest(["a", "a", "b"], ["train", "test", "test"], [1, 1, 2]))
    assert found == ["1 image lie in two splits: '0.jpg' and '1.jpg' are the same picture"]


def test_one_picture_with_two_labels_is_reported() -> None:
    found = conflicts(manifest(["a", "b", "b"], ["", "", ""], [1, 1, 2]))
    assert found == ["1 image bear two labels: '0.jpg' and '1.jpg' are the same picture"]


def test_equal_pictures_that_agree_are_no_conflict() -> None:
    assert conflicts(manifest(["a", "a"], ["", ""], [1, 1])) == []


def test_test_is_held_out_and_val_joins_train() -> None:
    held = held_out(["train", "val", "test"])
    assert held is not None
    assert held.tolist() == [False, False, True]


def test_val_is_held_out_where_there_is_no_test() -> None:
    held = held_out(["train", "val"])
    assert held is not None
    assert held.tolist() == [False, True]


def test_a_data_set_without_splits_leaves_the_choice() -> None:
    assert held_out(["", ""]) is None


def test_a_held_out_part_without_a_training_part_is_an_error() -> None:
    with pytest.raises(DataError, match="none to train on"):
        held_out(["test", "test"])


@pytest.mark.parametrize(
    ("labels", "problem"), [(["a", "a"], r"one class only \('a'\)"), (["a", "a", "b"], "one image only of: b")]
)
def test_too_few_classes_or_images_are_named(labels: list[str], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        check_classes(labels, "photos")
