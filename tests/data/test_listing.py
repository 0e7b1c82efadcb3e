from __future__ import annotations

import pytest

from featx.data.listing import check_classes, find_held_out
from featx.errors import DataError


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
