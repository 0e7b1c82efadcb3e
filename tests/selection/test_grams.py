from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from featx.errors import DataError
from featx.features.scaling import join
from featx.linear.spaces import BLOCK, compute_gram, fit_scaling
from featx.selection.grams import average_views, compute_block_gram, sum_blocks


def make_layers(n: int = 40) -> dict[str, np.ndarray]:
    """Layers of other lengths and spreads, one of them wider than a block of columns, one with constant columns."""
    random = np.random.default_rng(0)
    few_active = random.exponential(size=(n, 30)) * np.geomspace(1e-3, 1, 30)
    few_active[:, 3:6] = 0
    return {
        "narrow": random.normal(size=(n, 7)),
        "few active": few_active,
        "wide": random.exponential(size=(n, BLOCK + 50)),
    }


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_gram_of_a_set_is_the_one_of_its_concatenated_columns(count: int) -> None:
    layers = make_layers()
    blocks = {name: compute_block_gram(join([layer])) for name, layer in layers.items()}
    for names in combinations(layers, count):
        X = join([layers[name] for name in names])
        wanted = compute_gram(X, fit_scaling(X))
        summed = sum_blocks([blocks[name] for name in names])
        assert summed.columns == X.shape[1]
        np.testing.assert_allclose(summed.gram, wanted, atol=1e-5 * np.trace(wanted) / len(X))


def test_a_column_that_varies_by_rounding_only_adds_nothing() -> None:
    X = join([np.random.default_rng(0).normal(size=(30, 5))])
    with_constant = np.hstack([X, np.full((30, 4), np.float32(0.1))])
    assert np.array_equal(compute_block_gram(with_constant).products, compute_block_gram(X).products)
    assert compute_block_gram(with_constant).total_deviation == compute_block_gram(X).total_deviation


def test_features_that_are_not_finite_are_refused() -> None:
    X = np.ones((4, 3), np.float32)
    X[2, 1] = np.nan
    with pytest.raises(DataError, match="hold NaN or infinity in 1 of 4 rows"):
        compute_block_gram(X)


def test_features_that_tell_nothing_apart_have_a_gram_of_zeros() -> None:
    block = compute_block_gram(np.ones((10, 4), np.float32))
    assert not block.gram.any()


def test_views_of_an_image_are_averaged() -> None:
    X = np.arange(12, dtype=np.float32).reshape(6, 2)
    assert average_views(X, 3).tolist() == [[4, 5], [6, 7]]
    assert average_views(X, 1) is X
