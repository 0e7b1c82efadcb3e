from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import featx as api

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("clf", ["logreg", "svm", "mlp", "knn", "dummy"])
def test_every_kind_of_model_tells_strangers_and_all_but_the_dummy_give_sets(
    photos: Path, cache: Path, tmp_path: Path, clf: str
) -> None:
    api.extract(photos, base="tiny", layers="layer2", cache=cache)
    model = api.fit(photos, base="tiny", layer="layer2", clf=clf, cache=cache).model
    assert model.known is not None
    assert (model.sets is None) == (clf == "dummy")
    model.save(tmp_path / "m.featx")
    loaded = api.load_model(tmp_path / "m.featx")
    data = api.load_features(photos, base="tiny", layer="layer2", cache=cache)
    assert np.array_equal(loaded.rate_strangeness(data.X), model.rate_strangeness(data.X))
    if model.sets is not None:
        assert len(model.sets.errors) == len(data.train)
        assert np.array_equal(loaded.sets.errors, model.sets.errors)


def test_a_model_of_all_images_knows_all_of_them(photos: Path, cache: Path) -> None:
    api.extract(photos, base="tiny", layers="layer2", cache=cache)
    model = api.fit(photos, base="tiny", layer="layer2", clf="logreg", whole=True, cache=cache).model
    assert len(model.sets.errors) == 36
    assert len(model.known.landmarks) == 36


def test_features_that_do_not_fit_memory_give_a_model_without(photos: Path, cache: Path) -> None:
    api.extract(photos, base="tiny", layers="layer2", cache=cache)
    model = api.fit(photos, base="tiny", layer="layer2", clf="logreg", memory=10_000, cache=cache).model
    assert model.known is None
    assert model.sets is None
