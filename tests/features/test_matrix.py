"""X is the same whether it is held in memory or read a block at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from featx.base_choice import BaseChoice
from featx.evaluation.comparison import open_comparison
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.extract import extract_features

RANDOM = BaseChoice("tiny", "random")


def test_rows_of_views_are_the_same_from_memory_and_from_the_store(photos: Path, cache: Path) -> None:
    extract_features(ExtractRequest(str(photos), RANDOM, ("layer1", "layer3"), cache=cache, views=2))
    request = CompareRequest(str(photos), RANDOM, ("layer1+layer3",), ("svm",), cache=cache, views=2)
    comparison = open_comparison(request)
    in_memory = comparison.features(comparison.layer_sets[0])
    assert in_memory.array is not None
    assert in_memory.array.shape == (2 * 36, 160)
    on_disk = replace(in_memory, array=None)
    rows = np.array([3, 1, 4, 36 + 2, 36 + 7])
    assert np.array_equal(on_disk.take(rows), in_memory.array[rows])
    assert np.allclose(np.linalg.norm(in_memory.array[:, :32], axis=1), 1, atol=1e-6)
    assert in_memory.rows(np.array([2, 5]), 2).tolist() == [2, 5, 38, 41]


def test_a_block_stays_within_its_memory_and_is_never_empty(photos: Path, cache: Path) -> None:
    extract_features(ExtractRequest(str(photos), RANDOM, ("layer1",), cache=cache))
    request = CompareRequest(str(photos), RANDOM, ("layer1",), ("svm",), cache=cache, memory=8 * 4 * 32 * 5)
    comparison = open_comparison(request)
    features = comparison.features(comparison.layer_sets[0])
    assert features.array is None, "more than the memory allowed"
    assert features.block == 5
    assert replace(features, block_bytes=1).block == 1
    assert features.load().block == 36
