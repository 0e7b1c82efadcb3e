from __future__ import annotations

import itertools
import time

import pytest
from torch import Tensor, nn

from featx.base_choice import BaseChoice
from featx.bases.base import Stage
from featx.bases.layer_table import TIME_BUDGET, LayerRow, layer_table, share_time, time_stages
from featx.bases.registry import resolve
from featx.errors import RequestError, UnknownName


@pytest.fixture(scope="module")
def rows() -> list[LayerRow]:
    return layer_table(resolve(BaseChoice("mobilenet_v2")))


def test_costs_add_up_and_shares_are_of_one_whole(rows: list[LayerRow]) -> None:
    for before, row in itertools.pairwise(rows):
        assert row.total_parameters == before.total_parameters + row.parameters
        assert row.total_multiply_adds == before.total_multiply_adds + row.multiply_adds
        assert row.receptive_field >= before.receptive_field
    assert sum(row.time_share for row in rows) == pytest.approx(1, abs=0.01)


def test_bytes_of_a_pooling_are_those_of_its_numbers(rows: list[LayerRow]) -> None:
    layer = next(row for row in rows if row.alias == "layer3")
    assert layer.bytes == {"avg": 384, "max": 384, "avg+max": 768, "pyramid": 1920, "flat": 4 * 96 * 14 * 14}


def test_what_would_take_too_long_is_estimated_by_the_rate_of_the_others() -> None:
    stages = resolve(BaseChoice("tiny")).meta_stages()
    shapes = [(3, 32, 32), *[(32, 32, 32)] * 8]
    assert time_stages(stages, shapes, [int(1e12 * TIME_BUDGET)] * 8) == [None] * 8
    assert share_time([2.0, None, 0.0], [10, 5, 0]) == pytest.approx([2 / 3, 1 / 3, 0])
    assert share_time([None, None], [1, 3]) == pytest.approx([0.25, 0.75])


class Disturbed(nn.Module):
    """A stage whose first runs take long, as where a machine starts up or is busy for a moment."""

    def __init__(self, slow_runs: int) -> None:
        super().__init__()
        self.slow_runs = slow_runs

    def forward(self, x: Tensor) -> Tensor:
        if self.slow_runs > 0:
            time.sleep(0.1)
        self.slow_runs -= 1
        return x


def test_what_disturbs_the_first_runs_of_a_stage_is_not_in_its_time() -> None:
    stages = [Stage("quiet", Disturbed(0)), Stage("disturbed", Disturbed(3)), Stage("after", Disturbed(0))]
    seconds = time_stages(stages, [(3, 8, 8)] * 4, [1000] * 3)
    assert max(each for each in seconds if each is not None) < 0.1
    assert None not in seconds


def test_measured_again_shares_are_about_the_same(rows: list[LayerRow]) -> None:
    again = layer_table(resolve(BaseChoice("mobilenet_v2")))
    for row, second in zip(rows, again, strict=True):
        assert row.time_share == pytest.approx(second.time_share, abs=0.1)


def test_a_size_that_a_network_does_not_take_is_one_clear_error() -> None:
    with pytest.raises(RequestError, match="does not take images of 200 x 200 pixels .*leave out --crop"):
        layer_table(resolve(BaseChoice("vit_b_32", crop=200)))


def test_an_unknown_base_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="unknown base 'resnet5'. Did you mean 'resnet50'"):
        layer_table(resolve(BaseChoice("resnet5")))
