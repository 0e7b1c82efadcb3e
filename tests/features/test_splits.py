from __future__ import annotations

import numpy as np
import pytest

from featx.features.splits import hold_out, make_folds

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
