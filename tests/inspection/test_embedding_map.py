from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from featx.inspection import embedding_map as module
from featx.inspection.embedding_map import draw_stratified, make_map, recall_map


def make_clusters() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 30)
    return (rng.normal(0, 0.3, (90, 20)) + 3 * np.eye(20)[labels]).astype(np.float32), labels


def test_pictures_of_a_class_lie_together_and_a_seed_gives_the_same_map() -> None:
    X, labels = make_clusters()
    found = make_map(X, labels, 42)
    places = np.column_stack([found.x, found.y])
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (labels[distances.argmin(axis=1)] == labels).mean() > 0.95
    assert make_map(X, labels, 42) == found
    assert make_map(X[:3], labels[:3], 42).rows == []


def test_a_map_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    X, labels = make_clusters()
    first = recall_map(X, labels, 42, tmp_path, {"rows": "a"})
    monkeypatch.setattr(module, "make_map", lambda *arguments: pytest.fail("it was kept"))
    assert recall_map(X, labels, 42, tmp_path, {"rows": "a"}) == first
    with pytest.raises(pytest.fail.Exception):
        recall_map(X, labels, 42, tmp_path, {"rows": "b"})


def test_a_sample_has_every_class_by_its_share() -> None:
    labels = np.repeat(np.arange(3), [900, 99, 1])
    rows = draw_stratified(labels, 100, 42)
    assert np.bincount(labels[rows]).tolist() == [90, 9, 1]
    assert np.array_equal(draw_stratified(labels, 1000, 42), np.arange(1000))
