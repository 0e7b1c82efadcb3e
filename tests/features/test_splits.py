from __future__ import annotations

import numpy as np
import pytest

from featx.errors import DataError
from featx.features.splits import (
    ONE_FOLD_FROM,
    describe_split,
    hold_out,
    make_folds,
    make_search_folds,
    split_parts,
    validates_once,
)

Y = np.repeat(np.arange(3), 40)
ALONE = np.arange(120)


def test_a_stratified_quarter_is_held_out() -> None:
    held = hold_out(Y, ALONE, 42)
    assert np.bincount(Y[held]).tolist() == [10, 10, 10]


def test_the_same_seed_holds_out_the_same_rows_and_another_seed_others() -> None:
    assert np.array_equal(hold_out(Y, ALONE, 42), hold_out(Y, ALONE, 42))
    assert not np.array_equal(hold_out(Y, ALONE, 42), hold_out(Y, ALONE, 43))


def test_rows_of_one_picture_are_never_split() -> None:
    groups = np.arange(120) // 2
    held = hold_out(Y, groups, 42)
    assert np.array_equal(held[::2], held[1::2])
    for train, val in make_folds(Y, groups, 42):
        assert not set(groups[train]) & set(groups[val])


def test_every_row_validates_in_one_fold() -> None:
    folds = make_folds(Y, ALONE, 42)
    assert len(folds) == 5
    assert sorted(np.concatenate([val for _, val in folds])) == list(range(120))
    for train, val in folds:
        assert not set(train) & set(val)


@pytest.mark.parametrize(("smallest", "count"), [(2, 2), (3, 3), (9, 5)])
def test_there_are_no_more_folds_than_images_of_the_smallest_class(smallest: int, count: int) -> None:
    y = np.array([0] * 20 + [1] * smallest)
    assert len(make_folds(y, np.arange(len(y)), 42)) == count


@pytest.mark.parametrize("counts", [[2] * 10, [2, 3] * 20, [2, 12, 12], [40, 2], [2, 2, 3], [2, 2]])
@pytest.mark.parametrize("seed", [1, 2, 42])
def test_a_class_of_two_or_three_has_an_image_on_either_side(counts: list[int], seed: int) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    held = hold_out(y, np.arange(len(y)), seed)
    assert np.bincount(y[held], minlength=len(counts)).min() >= 1
    assert np.bincount(y[~held], minlength=len(counts)).min() >= 1
    assert np.array_equal(held, hold_out(y, np.arange(len(y)), seed))


def test_a_class_of_one_image_is_trained_on_and_validates_nowhere() -> None:
    y = np.array([0, 0, 0, 0, 1, 2, 2])
    held = hold_out(y, np.arange(7), 42)
    assert not held[4]
    for train, val in make_folds(y, np.arange(7), 42):
        assert 4 in train
        assert 4 not in val
        assert set(y[train]) == {0, 1, 2}


def test_where_no_class_has_two_images_one_fold_trains_and_validates_on_all() -> None:
    ((train, val),) = make_folds(np.arange(4), np.arange(4), 42)
    assert train.tolist() == val.tolist() == [0, 1, 2, 3]


def test_a_validation_part_needs_a_class_with_two_images() -> None:
    y = np.array([0, 1, 2, 0])
    with pytest.raises(DataError, match="has 3 images of 3 classes, and two of none: too few to split"):
        split_parts(y, np.arange(4), np.array([False, False, False, True]), 42)
    parts = split_parts(np.array([0, 0, 1, 2, 2]), np.arange(5), np.array([False] * 4 + [True]), 42)
    assert len(parts.val) == 1
    assert parts.val[0] in (0, 1)


@pytest.mark.parametrize(
    ("splits", "test", "words"),
    [
        (None, [1, 0, 0], "held out: a quarter, drawn with seed 7 (1 image); trained on the rest (2)"),
        (["test", "test", "train"], [1, 1, 0], "held out: test (2 images); trained on train (1)"),
        (["val", "train", "test", ""], [0, 0, 1, 0], "trained on train and val and images without a split (3)"),
        (["val", "train"], [1, 0], "held out: val (1 image); trained on train (1)"),
    ],
)
def test_a_split_is_said_in_words(splits: list[str] | None, test: list[int], words: str) -> None:
    assert words in describe_split(splits, np.array(test, bool), 7)


@pytest.mark.parametrize("copies", [1, 2])
def test_of_many_images_one_fold_validates_and_it_is_stratified_and_keeps_groups_together(copies: int) -> None:
    y = np.repeat(np.arange(10), ONE_FOLD_FROM // 10)
    groups = np.arange(len(y)) // copies
    ((train, val),) = make_search_folds(y, groups, 42)
    assert sorted([*train, *val]) == list(range(len(y)))
    assert not set(groups[train]) & set(groups[val])
    shares = np.bincount(y[val]) / np.bincount(y)
    assert shares == pytest.approx(0.2, abs=0.01)
    first_train, first_val = make_folds(y, groups, 42)[0]
    assert np.array_equal(train, first_train)
    assert np.array_equal(val, first_val)


def test_fewer_images_are_validated_in_every_fold() -> None:
    y = np.arange(ONE_FOLD_FROM - 1) % 3
    assert len(make_search_folds(y, np.arange(len(y)), 42)) == 5
    assert not validates_once(len(y))
