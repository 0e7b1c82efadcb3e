"""Where channels answer: its mean is the cached feature; weights that only a cache names are not opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from featx.base_choice import BaseChoice
from featx.bases.architectures.tiny import tiny
from featx.errors import WeightsError
from featx.evaluation.comparison import open_comparison
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.extract import extract_features
from featx.workflows.report_evidence import answer_rows


def test_the_mean_of_where_a_channel_answers_is_its_feature(photos: Path, tmp_path: Path) -> None:
    choice = BaseChoice("tiny")
    extract_features(ExtractRequest(str(photos), choice, ("layer1", "layer4"), cache=tmp_path))
    comparison = open_comparison(CompareRequest(str(photos), choice, ("layer1", "layer4"), cache=tmp_path))
    places = [("layer1", 3, 0), ("layer4", 7, 0), ("layer4", 8, 5)]
    found = answer_rows(comparison.request, comparison.base, comparison.dataset.listing, places)
    assert set(found) == set(places)
    assert found["layer1", 3, 0].shape == (24, 24)
    for layer, number, row in places[1:]:
        layer_set = next(each for each in comparison.layer_sets if each.name == layer)
        features = comparison.unloaded(layer_set).take(np.array([row]))[0]
        values = found[layer, number, row]
        # Features have length one; maps are as the layer gives them.
        others = answer_rows(
            comparison.request,
            comparison.base,
            comparison.dataset.listing,
            [(layer, other, row) for other in range(len(features))],
        )
        means = np.array([others[layer, other, row].mean() for other in range(len(features))])
        assert np.allclose(means / np.linalg.norm(means), features / np.linalg.norm(features), atol=1e-5)
        assert np.isclose(values.mean(), means[number])


def test_weights_that_only_the_cache_names_are_not_opened(photos: Path, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    save_file(tiny().state_dict(), weights)
    named = BaseChoice("tiny", str(weights))
    cache = tmp_path / "cache"
    extract_features(ExtractRequest(str(photos), named, ("layer4",), cache=cache))
    comparison = open_comparison(CompareRequest(str(photos), BaseChoice("tiny"), ("layer4",), cache=cache))
    with pytest.raises(WeightsError, match="opened only where you name it"):
        answer_rows(comparison.request, comparison.base, comparison.dataset.listing, [("layer4", 0, 0)])
