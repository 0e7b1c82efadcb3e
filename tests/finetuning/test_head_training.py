from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.errors import RequestError
from featx.features.scaling import join
from featx.finetuning.head_training import FrozenFeatures
from featx.keys import FeatureKey
from featx.linear.weighting import Weighting
from featx.store.store import FeatureStore
from tests.conftest import load_base


@pytest.fixture
def features(cache: Path, digests: Callable[[int], NDArray[np.uint8]]) -> FrozenFeatures:
    store = FeatureStore(cache)
    base = load_base("tiny", "random").id
    keys = [FeatureKey(base, "layer4", "avg", view=view) for view in range(3)]
    for view, key in enumerate(keys):
        store.add(key, digests(20), np.random.default_rng(view).random((20, 7), np.float32), {})
    return FrozenFeatures(store, keys, digests(20), np.arange(20) % 4, np.arange(20), 4)


def test_only_the_rows_and_views_asked_for_are_read_view_by_view(features: FrozenFeatures) -> None:
    rows = np.array([3, 19, 0])
    pooled = features.read(rows, 2)
    expected = [join([features.store.get(key, features.digests[rows])]) for key in features.keys[:2]]
    assert np.array_equal(pooled, np.concatenate(expected))
    assert np.array_equal(features.read_by_image(rows, 2), np.stack(expected, axis=1))
    assert np.allclose(np.linalg.norm(pooled, axis=1), 1)


def test_features_beyond_the_memory_are_refused_in_one_clear_line(features: FrozenFeatures) -> None:
    features.check_memory(20, 3, limit=20 * 3 * 7 * 4)
    with pytest.raises(
        RequestError,
        match=r"the head needs 'layer4' of 1,000,000 images in 6 views at a time, 0.2 GB: more than half of this "
        r"machine's memory \(0.1 GB\). Ask for fewer views, or for a part of the images",
    ):
        features.check_memory(1_000_000, 6, limit=10**8)


def test_losses_are_weighed_by_class_and_row_with_a_mean_of_one_over_what_is_trained_on(
    features: FrozenFeatures,
) -> None:
    assert features.weigh_losses(np.arange(10)) is None
    rows = 1.0 + np.arange(20) % 2
    weighted = replace(features, weighting=Weighting({0: 3.0}, rows))
    weights = weighted.weigh_losses(np.arange(10))
    assert weights is not None
    expected = rows * np.where(features.y == 0, 3.0, 1.0)
    np.testing.assert_allclose(weights.numpy(), expected / expected[:10].mean(), rtol=1e-6)
