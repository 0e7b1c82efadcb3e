from __future__ import annotations

import pytest
import torch

from featx.base_choice import BaseChoice
from featx.bases.layer_table import layer_table
from featx.bases.registry import resolve
from tests.conftest import load_base

pytestmark = pytest.mark.slow


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


def test_attention_sees_the_whole_image() -> None:
    rows = {row.name: row for row in layer_table(resolve(BaseChoice("vit_b_32")))}
    assert rows["conv_proj"].receptive_field == 32
    assert rows["encoder.layers.encoder_layer_0"].receptive_field >= 224
    assert rows["encoder.ln"].bytes["cls"] == rows["encoder.ln"].bytes["avg"] == 4 * 768
