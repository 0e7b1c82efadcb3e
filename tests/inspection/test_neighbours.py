from __future__ import annotations

import numpy as np
import pytest

from featx.inspection import neighbours as module
from featx.inspection.neighbours import (
    compare_exactly,
    find_alike,
    find_nearest_to,
    find_neighbours,
    project,
    search_tiles,
)


def make_rows(n: int, d: int = 12) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)


def brute_force(X: np.ndarray, count: int) -> np.ndarray:
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    similarities = unit @ unit.T
    np.fill_diagonal(similarities, -2)
    return np.argsort(-similarities, axis=1)[:, :count]


@pytest.mark.parametrize("tile", [7, 64, 1000])
def test_tiles_of_any_size_find_what_all_pairs_at_once_find(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TILE_ROWS", tile)
    monkeypatch.setattr(module, "TILE_COLUMNS", tile + 3)
    X = make_rows(150)
    found = find_neighbours(X, 4)
    assert np.array_equal(found.places, brute_force(X, 4))
    assert (np.diff(found.similarities, axis=1) <= 0).all()


def test_a_row_has_no_more_neighbours_than_there_are_other_rows() -> None:
    assert find_neighbours(make_rows(3), 5).places.shape == (3, 2)
    assert find_neighbours(make_rows(1), 5).places.shape == (1, 0)


def test_copies_are_found_through_principal_components() -> None:
    X = make_rows(600, 300)
    X[300:] = X[:300] + 0.05 * make_rows(300, 300)
    short = project(X, 32)
    rough = search_tiles(short / np.linalg.norm(short, axis=1, keepdims=True), 4)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    found = compare_exactly(unit, rough.places, 1)
    assert np.array_equal(found.places[:, 0], (np.arange(600) + 300) % 600)


def test_a_query_may_be_a_row_itself() -> None:
    X = make_rows(20)
    found = find_nearest_to(X[[3, 5]], X, 2)
    assert found.places[:, 0].tolist() == [3, 5]
    assert found.similarities[:, 0] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("tile", [7, 64, 1000])
def test_half_of_the_products_finds_what_is_nearest_to_each_mirror_image(
    tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TILE_ROWS", tile)
    monkeypatch.setattr(module, "TILE_COLUMNS", tile + 3)
    unit = make_rows(150)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    mirrored = unit[:, ::-1]
    similarities = unit @ mirrored.T
    np.fill_diagonal(similarities, -2)
    near = np.flatnonzero(similarities.max(axis=1) >= 0.6)
    assert 100 < len(near) < 150
    expected = np.column_stack([near, similarities[near].argmax(axis=1)])
    pairs, cosines = find_alike(unit, mirrored, 0.6)
    assert np.array_equal(pairs, expected)
    assert cosines == pytest.approx(similarities[near].max(axis=1), abs=1e-6)
    assert find_alike(unit[:1], mirrored[:1], -1)[0].shape == (0, 2)
