from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featx.base_choice import BaseChoice
from featx.features.cached_layers import CachedLayers, list_cached
from featx.features.catalog import find_base
from featx.features.dataset import list_dataset
from featx.keys import FeatureKey
from featx.requests import CompareRequest, ExtractRequest
from featx.store.base_json import StoredBase
from featx.store.store import FeatureStore
from featx.workflows.compare import compare_layer_sets
from featx.workflows.extract import extract_features

RANDOM = BaseChoice("tiny", "random")


class Measured:
    """A cache of one real layer, and of others that state what they cost."""

    def __init__(self, photos: Path, cache: Path) -> None:
        extract_features(ExtractRequest(str(photos), RANDOM, ("layer3",), cache=cache))
        self.request = CompareRequest(str(photos), RANDOM, classifiers=("dummy",), cache=cache)
        self.store = FeatureStore(cache)
        self.digests = np.unique(list_dataset(self.request).digests, axis=0)
        self.base: StoredBase = find_base(self.store, self.request, self.digests)

    def add(self, layer: str, ms_per_image: float | None, pooling: str = "avg", view: int = 0) -> None:
        """Add a layer that took so long, or does not say how long it took."""
        key = FeatureKey(self.base.id, layer, pooling, view=view)
        count = len(self.digests)
        provenance = {} if ms_per_image is None else {"seconds": ms_per_image * count / 1e3}
        self.store.add(key, self.digests, np.eye(count, 4, dtype=np.float32), provenance)

    def costs(self, views: int = 1) -> dict[tuple[str, str], float]:
        """Milliseconds of each layer that is cached."""
        cached: CachedLayers = list_cached(self.store, self.base, replace(self.request, views=views), self.digests)
        return {place: round(1e3 * layer.seconds_per_image, 6) for place, layer in cached.items()}


@pytest.fixture
def measured(photos: Path, cache: Path) -> Measured:
    return Measured(photos, cache)


def test_no_cut_costs_more_than_a_deeper_one_of_another_run(measured: Measured) -> None:
    measured.add("layer1", 700.0)
    measured.add("layer2", 0.0004)
    measured.add("layer4", 0.002)
    costs = measured.costs()
    assert costs["layer1", "avg"] == costs["layer2", "avg"] == 0.0004, "not the 700 ms of a busy machine"
    assert costs["layer3", "avg"] == costs["layer4", "avg"] == 0.002


def test_the_cheapest_run_of_a_layer_bounds_its_other_poolings(measured: Measured) -> None:
    measured.add("layer4", 5000.0)
    measured.add("layer4", 4000.0, pooling="max")
    assert measured.costs()["layer4", "avg"] == measured.costs()["layer4", "max"] == 4000


def test_what_does_not_say_its_cost_bounds_nothing(measured: Measured) -> None:
    measured.add("layer1", 0.0007)
    measured.add("layer2", 8000.0)
    measured.add("layer4", None)
    costs = measured.costs()
    assert costs["layer1", "avg"] == 0.0007
    assert 0 < costs["layer3", "avg"] < 8000
    assert costs["layer4", "avg"] == 0


def test_views_cost_what_all_of_them_took_and_are_held_against_as_many_views(measured: Measured) -> None:
    for view in range(2):
        measured.add("layer1", 9.0, view=view)
        measured.add("layer4", 3.0, view=view)
    measured.add("layer2", 0.5)
    assert measured.costs(views=2) == {("layer1", "avg"): 6, ("layer4", "avg"): 6}


def test_a_table_states_costs_that_do_not_fall_with_depth(measured: Measured) -> None:
    measured.add("layer1", 700.0)
    measured.add("layer4", 0.002)
    rows = compare_layer_sets(measured.request)
    assert [(row.layer, row.ms_per_image) for row in rows] == [(f"layer{depth}", 0.002) for depth in (1, 3, 4)]
    together = compare_layer_sets(replace(measured.request, layers=("layer1+layer4",)))
    assert [row.ms_per_image for row in together] == [0.002], "one pass goes to the deeper one"
