"""What a layer has cost: its share of a pass, and a pass to it alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from featx.base_choice import BaseChoice
from featx.bases.layer_table import layer_table
from featx.bases.registry import resolve
from featx.requests import ExtractRequest
from featx.runners.pass_costs import PassCost, measure_depths
from featx.store.store import FeatureStore
from featx.workflows.extract import extract_features

TINY = BaseChoice("tiny", "random")


def test_depths_are_multiply_adds_up_to_a_layer() -> None:
    architecture = resolve(TINY)
    totals = {row.name: row.total_multiply_adds for row in layer_table(architecture)}
    depths = measure_depths(architecture, {"layer1", "layer3"})
    assert depths == {"layer1": totals["layer1"] / totals["layer3"], "layer3": 1.0}


def test_a_single_layer_is_the_whole_pass() -> None:
    assert measure_depths(resolve(TINY), {"layer2"}) == {"layer2": 1.0}


def test_shares_add_up_to_the_pass_and_only_the_network_takes_less_time_for_a_shallower_layer() -> None:
    cost = PassCost(seconds=0.01, network=0.75)
    deep, shallow = cost.of_row(4, 1, 1.0), cost.of_row(4, 1, 0.2)
    assert 4 * deep.share == 4 * shallow.share == 0.01
    assert deep.alone == pytest.approx(0.01)
    assert shallow.alone == pytest.approx(0.0025 + 0.0075 * 0.2)
    assert 2 * cost.of_row(8, 2, 1.0).alone == pytest.approx(0.01), "two views of one pass"


def test_what_layers_of_one_pass_would_have_cost_alone_grows_with_depth(photos: Path, cache: Path) -> None:
    extract_features(ExtractRequest(str(photos), TINY, ("layer1", "layer2", "layer4"), cache=cache))
    keys = sorted(FeatureStore(cache).keys(), key=lambda summary: summary.key.layer)
    assert [summary.key.layer for summary in keys] == ["layer1", "layer2", "layer4"]
    alone = [summary.seconds_alone for summary in keys]
    assert alone == sorted(alone)
    assert 0 < alone[0] < alone[2]
    assert alone[2] == pytest.approx(sum(summary.seconds for summary in keys), abs=1e-3)
