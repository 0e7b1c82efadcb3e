"""Outer folds: every image judged once a repeat, nothing shared with what trains, every class trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from featx.data.listing import DigestedListing, Listing
from featx.data.sources.image_files import ON_DISK
from featx.errors import DataError
from featx.evaluation.nested.folds import (
    OuterFolds,
    deal_to_folds,
    describe_outer_folds,
    describe_shortage,
    make_outer_folds,
)
from featx.features.dataset import Dataset
from featx.features.group_splits import TRAINS_ALWAYS, UndividableGroups
from featx.features.groups import has_company


def make_dataset(
    y: list[int],
    groups: list[int] | None = None,
    splits: list[str] | None = None,
    test: NDArray[np.bool_] | None = None,
) -> Dataset:
    """A data set without pictures."""
    n = len(y)
    names = [str(row) for row in range(n)]
    listing = Listing("made", names, names, splits or [""] * n, ON_DISK)
    digests = np.random.default_rng(0).integers(0, 256, (n, 32)).astype(np.uint8)
    classes = [chr(ord("a") + code) for code in range(max(y) + 1)]
    return Dataset(
        DigestedListing(listing, digests),
        classes,
        np.array(y),
        np.arange(n) if groups is None else np.array(groups),
        np.zeros(n, bool) if test is None else test,
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=4, max_size=60), st.integers(2, 8), st.integers(0, 5), st.booleans())
def test_every_image_is_judged_once_and_no_group_is_on_both_sides(
    y: list[int], folds: int, seed: int, grouped: bool
) -> None:
    codes = np.unique(np.array(y), return_inverse=True)[1]
    groups = np.arange(len(y)) // (3 if grouped else 1)
    try:
        of_row = deal_to_folds(codes, groups, folds, seed)
    except (UndividableGroups, DataError):
        return
    used = np.unique(of_row[of_row != TRAINS_ALWAYS])
    assert used.tolist() == list(range(len(used))), "folds have numbers without gaps"
    assert len(used) <= folds
    for fold in used:
        judged = of_row == fold
        assert not set(groups[judged]) & set(groups[~judged])
        assert set(codes[~judged]) == set(codes), "every class is trained on"
    if not has_company(groups):
        counts = np.bincount(codes)
        assert ((of_row == TRAINS_ALWAYS) == (counts[codes] == 1)).all(), (
            "only images alone in their class are judged never"
        )


def test_a_small_class_makes_no_fewer_folds_and_is_spread_over_as_many_as_it_has_images() -> None:
    y = np.array([0] * 20 + [1] * 20 + [2] * 3)
    of_row = deal_to_folds(y, np.arange(43), 5, 42)
    assert np.unique(of_row).tolist() == [0, 1, 2, 3, 4]
    assert len(set(of_row[y == 2])) == 3
    sizes = np.bincount(of_row)
    assert sizes.max() - sizes.min() <= 1


def test_repeats_are_drawn_with_further_seeds() -> None:
    outer = make_outer_folds(make_dataset([0, 1] * 20), 5, 3, 42)
    assert outer.repeats == 3
    again = make_outer_folds(make_dataset([0, 1] * 20), 5, 1, 43)
    assert np.array_equal(outer.fold_of_row[1], again.fold_of_row[0])
    assert not np.array_equal(outer.fold_of_row[0], outer.fold_of_row[1])


def test_what_a_data_set_holds_out_by_itself_is_not_touched() -> None:
    test = np.arange(40) >= 30
    splits = ["test" if held_out else "train" for held_out in test]
    outer = make_outer_folds(make_dataset([0, 1] * 20, splits=splits, test=test), 5, 1, 42)
    assert outer.dataset.listing.paths == [str(row) for row in range(30)]
    assert outer.untouched == 10
    words = describe_outer_folds(outer)
    assert "5 folds over the 30 images of the training part, drawn with seed 42" in words
    assert words.endswith("the held-out part (10) is not touched")


def test_what_featx_would_hold_out_is_judged_like_all_other_images() -> None:
    outer = make_outer_folds(make_dataset([0, 1] * 20, test=np.arange(40) < 10), 4, 1, 42)
    assert outer.judged().all()
    assert "all 40 images" in describe_outer_folds(outer)
    assert describe_shortage(outer) == []


def describe(outer: OuterFolds) -> str:
    return "; ".join(describe_shortage(outer))


def test_fewer_folds_and_images_that_are_never_judged_are_said() -> None:
    outer = make_outer_folds(make_dataset([0, 0, 0, 1, 1, 1, 2]), 5, 1, 42)
    assert describe(outer) == (
        "nested with 3 folds instead of 5, since no class has more than 3 images; "
        "1 image is judged in no fold, since no other image could be trained on in their place ('c')"
    )
    grouped = make_outer_folds(make_dataset([0, 1] * 12, groups=[row // 6 for row in range(24)]), 5, 1, 42)
    assert (
        describe(grouped) == "nested with 4 folds instead of 5, since of 4 groups, 4 can be judged while others train"
    )


def test_what_cannot_be_divided_is_an_error_of_one_line() -> None:
    with pytest.raises(DataError, match="'made' cannot be judged by nested cross-validation: no class has two images"):
        make_outer_folds(make_dataset([0, 1, 2]), 5, 1, 42)
    # Two groups: one judges, and the other cannot be divided once more.
    with pytest.raises(DataError, match="'made' has too few groups for nested cross-validation: there is 1 group"):
        make_outer_folds(make_dataset([0, 1] * 4, groups=[0] * 4 + [1] * 4), 5, 1, 42)


def test_the_digest_of_a_fold_is_its_own_and_the_same_in_every_run() -> None:
    def digests() -> list[str]:
        outer = make_outer_folds(make_dataset([0, 1] * 20), 5, 2, 42)
        masks = [mask for repeat in range(2) for mask in outer.list_masks(repeat)]
        return [replace(outer.dataset, test=mask).digest for mask in masks]

    assert len(set(digests())) == 10
    assert digests() == digests()
