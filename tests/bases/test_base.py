from __future__ import annotations

import pytest
import torch

from featx.base_choice import BaseChoice
from featx.bases.base import Base, find_layer
from featx.bases.registry import resolve
from featx.errors import UnknownName
from tests.conftest import load_base


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("tiny", "random")


def test_several_layers_in_one_pass_equal_each_alone(base: Base) -> None:
    x = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        together = base.forward(x, {"layer1": ["avg"], "layer3": ["avg", "max"]})
        alone = base.forward(x, {"layer1": ["avg"]})
    assert set(together) == {("layer1", "avg"), ("layer3", "avg"), ("layer3", "max")}
    assert torch.equal(together["layer1", "avg"], alone["layer1", "avg"])


def test_the_pass_stops_at_the_deepest_layer_wanted(base: Base) -> None:
    ran: list[str] = []
    handles = [
        stage.module.register_forward_hook(lambda module, args, output, name=stage.name: ran.append(name))
        for stage in base.stages
    ]
    with torch.inference_mode():
        base.forward(torch.randn(1, 3, 32, 32), {"layer2": ["avg"], "stem": ["avg"]})
    for handle in handles:
        handle.remove()
    assert ran == ["stem", "layer1", "layer2"]


@pytest.mark.slow
def test_an_activation_is_pooled_before_an_in_place_relu_overwrites_it() -> None:
    vgg = load_base("vgg11", "random")
    x = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        convolved = vgg.forward(x, {"features.0": ["avg"], "features.1": ["avg"]})
        expected = vgg.stages[0].module(x).mean((2, 3))
    assert torch.equal(convolved["features.0", "avg"], expected)
    assert not torch.equal(convolved["features.0", "avg"], convolved["features.1", "avg"])


def test_an_alias_and_the_exact_name_are_one_layer() -> None:
    layers = resolve(BaseChoice("mobilenet_v2")).layers()
    assert find_layer("mobilenet_v2", layers, "layer3") is find_layer("mobilenet_v2", layers, "features.13")


def test_an_unknown_layer_names_the_nearest(base: Base) -> None:
    with pytest.raises(UnknownName, match=r"unknown layer of tiny 'layr3'\. Did you mean 'layer3'\?"):
        base.layer("layr3")


def test_random_weights_are_the_same_every_time() -> None:
    assert load_base("tiny", "random").id == load_base("tiny", "random").id
