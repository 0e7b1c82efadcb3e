from __future__ import annotations

import itertools

import pytest
import torch

from featx.bases.layer_table import BUDGET, LayerRow, layer_table, shares, time_stages
from featx.bases.registry import resolve
from featx.errors import RequestError, UnknownName
from featx.requests import BaseChoice
from tests.conftest import load_base


@pytest.fixture(scope="module")
def rows() -> list[LayerRow]:
    return layer_table(resolve(BaseChoice("mobilenet_v2")))


@pytest.mark.parametrize(
    ("name", "layer", "pixels"),
    [("alexnet", "features.12", 195), ("vgg16", "features.30", 212), ("inception_v3", "Mixed_7c", 1311)],
)
def test_receptive_fields_are_those_of_the_literature(name: str, layer: str, pixels: int) -> None:
    """Araujo, Norris and Sim (2019), table 1."""
    assert next(row.receptive_field for row in layer_table(resolve(BaseChoice(name))) if row.name == layer) == pixels


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "googlenet", "shufflenet_v2_x0_5", "tiny"])
def test_no_pixel_outside_of_the_receptive_field_moves_a_place_and_those_at_its_edge_do(name: str) -> None:
    base = load_base(name, "random")
    layer = base.layer("layer2")
    field = layer_table(resolve(BaseChoice(name)))[layer.index].receptive_field
    x = torch.randn(1, 3, *2 * (base.id.transform.crop,), requires_grad=True)
    y = x
    for stage in base.stages[: layer.index + 1]:
        y = stage.module(y)
    middle = y.shape[2] // 2
    (gradient,) = torch.autograd.grad(y[0, :, middle, middle].square().sum(), x)
    seen = gradient[0].abs().sum((0, 1)).nonzero()
    assert int(seen.max() - seen.min()) + 1 == min(field, base.id.transform.crop)


def test_costs_add_up_and_shares_are_of_one_whole(rows: list[LayerRow]) -> None:
    for before, row in itertools.pairwise(rows):
        assert row.total_parameters == before.total_parameters + row.parameters
        assert row.total_multiply_adds == before.total_multiply_adds + row.multiply_adds
        assert row.receptive_field >= before.receptive_field
    assert sum(row.time_share for row in rows) == pytest.approx(1, abs=0.01)


def test_bytes_of_a_pooling_are_those_of_its_numbers(rows: list[LayerRow]) -> None:
    layer = next(row for row in rows if row.alias == "layer3")
    assert layer.bytes == {"avg": 384, "max": 384, "avg+max": 768, "pyramid": 1920, "flat": 4 * 96 * 14 * 14}


def test_attention_sees_the_whole_image() -> None:
    rows = {row.name: row for row in layer_table(resolve(BaseChoice("vit_b_32")))}
    assert rows["conv_proj"].receptive_field == 32
    assert rows["encoder.layers.encoder_layer_0"].receptive_field >= 224
    assert rows["encoder.ln"].bytes["cls"] == rows["encoder.ln"].bytes["avg"] == 4 * 768


def test_what_would_take_too_long_is_estimated_by_the_rate_of_the_others() -> None:
    stages = resolve(BaseChoice("tiny")).meta_stages()
    shapes = [(3, 32, 32), *[(32, 32, 32)] * 8]
    assert time_stages(stages, shapes, [int(1e12 * BUDGET)] * 8) == [None] * 8
    assert shares([2.0, None, 0.0], [10, 5, 0]) == pytest.approx([2 / 3, 1 / 3, 0])
    assert shares([None, None], [1, 3]) == pytest.approx([0.25, 0.75])


def test_a_size_that_a_network_does_not_take_is_one_clear_error() -> None:
    with pytest.raises(RequestError, match="does not take images of 200 x 200 pixels .*leave out --crop"):
        layer_table(resolve(BaseChoice("vit_b_32", crop=200)))


def test_an_unknown_base_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="unknown base 'resnet5'. Did you mean 'resnet50'"):
        layer_table(resolve(BaseChoice("resnet5")))
