"""No group is ever split, every class is trained on, and classes are balanced as far as groups allow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from featx.classifiers.mlp import MLP
from featx.evaluation.layer_scores import thin_rows
from featx.features.group_splits import UndividableGroups, describe_few_folds, hold_out_groups, make_group_folds
from featx.features.splits import FOLDS, LabelledRows, describe_split, hold_out, make_folds, split_parts, with_views

Codes = NDArray[np.intp]


@st.composite
def labelled_groups(draw: st.DrawFn) -> tuple[Codes, Codes]:
    """Draw classes and groups of rows: groups of one class each, of several, large and small ones."""
    n = draw(st.integers(4, 60))
    groups = draw(arrays(np.intp, n, elements=st.integers(0, draw(st.integers(1, 25)))))
    y = draw(arrays(np.intp, n, elements=st.integers(0, draw(st.integers(1, 5)))))
    if draw(st.booleans()):
        y = groups % (int(y.max()) + 1)
    return y, groups


def check_sides(y: Codes, groups: Codes, train: Codes, other: Codes) -> None:
    """Check that no group has rows on both sides, and every class is trained on."""
    assert len(other)
    assert not set(groups[train].tolist()) & set(groups[other].tolist())
    assert set(y[train].tolist()) == set(y.tolist())


@settings(max_examples=300, deadline=None)
@given(labelled_groups(), st.integers(0, 2**32 - 1))
def test_no_group_is_on_two_sides_of_anything(data: tuple[Codes, Codes], seed: int) -> None:
    y, groups = data
    if len(np.unique(groups)) == len(groups):
        groups = np.append(groups, groups[0])
        y = np.append(y, y[0])
    try:
        test = hold_out(y, groups, seed)
    except UndividableGroups:
        return
    check_sides(y, groups, np.flatnonzero(~test), np.flatnonzero(test))
    assert np.array_equal(test, hold_out(y, groups, seed))
    y_train, groups_train = y[~test], groups[~test]
    if len(np.unique(groups_train)) == len(groups_train):
        return
    try:
        folds = make_folds(y_train, groups_train, seed)
    except UndividableGroups:
        return
    validated: list[int] = []
    for train, val in folds:
        check_sides(y_train, groups_train, train, val)
        assert len(train) + len(val) == len(y_train)
        validated += val.tolist()
        for share in (0.125, 0.5):
            thinned = thin_rows(train, y_train, share, seed)
            check_sides(y_train, groups_train, thinned, val)
    assert len(validated) == len(set(validated))
    of_views = np.tile(groups_train, 3)
    for train, val in with_views(folds, len(y_train), 3, 2):
        assert not set(of_views[train].tolist()) & set(of_views[val].reshape(-1).tolist())
    parts = split_parts(y, groups, test, seed)
    assert set(y[parts.train].tolist()) == set(y_train.tolist())
    assert not set(groups[parts.train].tolist()) & set(groups[parts.val].tolist())
    assert len(parts.val)
    assert not set(groups[parts.train_val].tolist()) & set(groups[parts.test].tolist())


@settings(max_examples=100, deadline=None)
@given(labelled_groups(), st.integers(0, 1000))
def test_folds_of_advice_and_rows_that_stop_the_mlp_keep_groups_together(data: tuple[Codes, Codes], seed: int) -> None:
    y, groups = data
    groups = np.append(groups, groups[0])
    y = np.append(y, y[0])
    estimator = MLP(seed=seed)
    estimator.classes_ = np.unique(y)
    train, val = estimator._hold_out(np.unique(y, return_inverse=True)[1], groups)
    if not np.array_equal(train, val):
        check_sides(y, groups, train, val)
    try:
        folds = LabelledRows(y, groups).folds(seed)
    except UndividableGroups:
        return
    for train, val in folds:
        check_sides(y, groups, train, val)


def test_a_quarter_of_the_images_of_each_class_is_held_out() -> None:
    sizes = np.random.default_rng(0).integers(2, 13, 40)
    groups = np.repeat(np.arange(40), sizes)
    y = groups % 4
    test = hold_out_groups(y, groups, 42, 0.25)
    for code in range(4):
        assert 0.18 < test[y == code].mean() < 0.32


def test_patients_with_images_of_several_classes_are_balanced_too() -> None:
    random = np.random.default_rng(1)
    groups = np.repeat(np.arange(60), 10)
    y = (random.random(600) < random.uniform(0.1, 0.9, 60)[groups]).astype(np.intp)
    test = hold_out_groups(y, groups, 42, 0.25)
    assert test.mean() == pytest.approx(0.25, abs=0.02)
    assert y[test].mean() == pytest.approx(y.mean(), abs=0.04)
    for _, val in make_group_folds(y, groups, 42, FOLDS):
        assert y[val].mean() == pytest.approx(y.mean(), abs=0.05)


def test_a_class_of_two_groups_has_one_on_either_side() -> None:
    groups = np.repeat(np.arange(22), 5)
    y = np.where(groups < 2, 1, 0)
    for seed in range(20):
        test = hold_out_groups(y, groups, seed, 0.25)
        assert len(np.unique(groups[test & (y == 1)])) == 1


def test_the_only_group_of_a_class_trains_always() -> None:
    groups = np.repeat(np.arange(8), 5)
    y = np.where(groups == 0, 1, 0)
    assert not hold_out_groups(y, groups, 42, 0.25)[groups == 0].any()
    for train, _ in make_group_folds(y, groups, 42, FOLDS):
        assert set(range(5)) <= set(train.tolist())


def test_too_few_groups_make_fewer_folds_which_is_said() -> None:
    groups = np.repeat(np.arange(9), 4)
    y = np.where(groups < 3, 1, 0)
    folds = make_group_folds(y, groups, 42, FOLDS)
    assert len(folds) == 3
    assert describe_few_folds(folds, y, groups, FOLDS) == (
        "cross-validation has 3 folds instead of 5: of the 9 groups to train on, 9 can validate, "
        "and a class lies in 3 of them only"
    )
    groups = np.repeat(np.arange(20), 4)
    folds = make_group_folds(groups % 2, groups, 42, FOLDS)
    assert describe_few_folds(folds, groups % 2, groups, FOLDS) is None


def test_groups_that_each_are_a_class_cannot_be_divided() -> None:
    groups = np.repeat(np.arange(3), 4)
    with pytest.raises(UndividableGroups, match="each of the 3 groups is the only one of a class, so none can be held"):
        hold_out_groups(groups, groups, 42, 0.25)
    with pytest.raises(UndividableGroups, match="there is 1 group, so none can be validated on"):
        make_group_folds(np.array([0, 1, 0]), np.zeros(3, np.intp), 42, FOLDS)


def test_a_split_by_groups_is_said_in_words() -> None:
    groups = np.repeat(np.arange(4), 3)
    words = describe_split(None, groups == 0, 7, groups)
    assert words == (
        "held out: a quarter of the 4 groups, drawn with seed 7 (1 group, 3 images); trained on the rest (3 groups, 9)"
    )
    words = describe_split(None, groups < 2, 7, groups)
    assert words.startswith("held out: what of the 4 groups is nearest to a quarter, drawn with seed 7 (2 groups, 6 im")
