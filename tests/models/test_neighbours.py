"""Neighbours are found in blocks as they are all at once, in an order that is always the same."""

from __future__ import annotations

import numpy as np
import pytest

from featx.features.scaling import unit_length
from featx.models import neighbours
from featx.models.neighbours import count_votes, find_nearest


def rows(n: int, seed: int = 0) -> np.ndarray:
    return unit_length(np.random.default_rng(seed).normal(size=(n, 8)))


def test_neighbours_are_those_of_the_whole_sorted_product() -> None:
    train, queries = rows(60), rows(25, 1)
    expected = np.argsort(-(queries @ train.T), axis=1)[:, :7]
    assert np.array_equal(find_nearest(queries, train, 60, 7), expected)
    assert find_nearest(queries, train, 60, 60).shape == (25, 60)


def test_blocks_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    train, queries = rows(60), rows(25, 1)
    whole = find_nearest(queries, train, 60, 7)
    monkeypatch.setattr(neighbours, "BLOCK_SIMILARITIES", 130)
    assert np.array_equal(find_nearest(queries, train, 60, 7), whole)


def test_the_most_similar_view_stands_for_a_picture() -> None:
    first, second, queries = rows(30), rows(30, 2), rows(9, 1)
    best = np.maximum(queries @ first.T, queries @ second.T)
    found = find_nearest(queries, np.concatenate([first, second]), 30, 5)
    assert np.array_equal(found, np.argsort(-best, axis=1)[:, :5])


def test_of_equally_similar_pictures_the_first_comes_first() -> None:
    same = np.repeat(rows(1), 4, axis=0)
    assert find_nearest(same[:1], same, 4, 4).tolist() == [[0, 1, 2, 3]]


def test_shares_sum_to_one_and_the_nearer_of_equally_many_win() -> None:
    nearest = np.array([[2, 1, 0, 3]])
    labels = np.array([0, 0, 1, 1])
    two, four = count_votes(nearest, labels, 3, [2, 4])
    assert two.sum() == pytest.approx(1)
    # Of two votes the nearer one is for class 1; places 0 and 3 against places 1 and 2 are a tie in places as well.
    assert two.argmax() == 1
    assert four[0, 2] == pytest.approx(0.05 / 4.15, rel=1e-5)
    assert two[0, 2] == pytest.approx(0.05 / 2.15, rel=1e-5)
