"""Which images are labelled: nested draws, training images only, different groups first."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.data.listing import DigestedListing, Listing
from featx.data.sources.image_files import ON_DISK
from featx.evaluation.few_labels.draws import count_earlier, draw_labels
from featx.features.dataset import Dataset


def make_dataset(y: NDArray[np.intp], test: NDArray[np.bool_], groups: NDArray[np.intp] | None = None) -> Dataset:
    paths = [f"{row}.png" for row in range(len(y))]
    listing = Listing("made", paths, [str(code) for code in y], [""] * len(y), ON_DISK)
    digests = np.zeros((len(y), 32), np.uint8)
    digests[:, 0] = np.arange(len(y))
    classes = [str(code) for code in np.unique(y)]
    return Dataset(DigestedListing(listing, digests), classes, y, np.arange(len(y)) if groups is None else groups, test)


Y = np.repeat([0, 1, 2], [20, 12, 4])
TEST = np.arange(36) % 4 == 0


@pytest.mark.parametrize("seed", range(5))
def test_fewer_labels_are_a_part_of_more_and_none_is_held_out(seed: int) -> None:
    draw = draw_labels(make_dataset(Y, TEST), seed)
    taken = [set(draw.take(shots).tolist()) for shots in (1, 2, 5, 10, 20)]
    for fewer, more in pairwise(taken):
        assert fewer < more or fewer == more == set(np.flatnonzero(~TEST).tolist())
    assert taken[-1] == set(np.flatnonzero(~TEST).tolist())
    assert not any(TEST[list(rows)].any() for rows in taken)
    assert np.bincount(Y[draw.take(5)]).tolist() == [5, 5, 3], "the last class has three training images"


def test_the_same_seed_draws_the_same_images_and_another_one_others() -> None:
    dataset = make_dataset(Y, TEST)
    assert draw_labels(dataset, 3).take(2).tolist() == draw_labels(dataset, 3).take(2).tolist()
    assert len({tuple(draw_labels(dataset, seed).take(2)) for seed in range(10)}) > 5


def test_every_image_is_as_likely_to_be_labelled_as_any_other() -> None:
    dataset = make_dataset(Y, TEST)
    counts = np.zeros(len(Y))
    for seed in range(600):
        counts[draw_labels(dataset, seed).take(1)] += 1
    of_first = counts[(Y == 0) & ~TEST]
    assert len(of_first) == 15
    assert np.abs(of_first / 600 - 1 / 15).max() < 0.04


@pytest.mark.parametrize("seed", range(5))
def test_images_of_different_groups_come_first(seed: int) -> None:
    groups = np.arange(36) // 3
    held_out = np.isin(groups, [0, 6, 9])
    draw = draw_labels(make_dataset(Y, held_out, groups), seed)
    for rows in draw.by_class:
        count = len(np.unique(groups[rows]))
        assert len(np.unique(groups[rows[:count]])) == count
    assert not held_out[draw.take(100)].any()


def test_rows_before_one_of_the_same_group_are_counted() -> None:
    assert count_earlier(np.array([5, 7, 5, 5, 7, 1])).tolist() == [0, 0, 1, 2, 1, 0]
    assert count_earlier(np.array([], np.intp)).tolist() == []
