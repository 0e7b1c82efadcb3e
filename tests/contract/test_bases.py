"""What every base promises, checked on each entry of the registry."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn

from featx.bases.base import ALIASES
from featx.bases.zoo import BASES, FAMILIES, layers_of, stages_of

LIGHT = ["tiny", "resnet18", "mobilenet_v2", "squeezenet1_0", "squeezenet1_1", "vgg11", "vgg11_bn", "resnext50_32x4d"]


@cache
def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    built = BASES[name].build().eval()
    for module in built.modules():  # fresh batch norms are nearly the identity, and would hide a wrong order
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return built


def images(name: str, n: int = 2) -> torch.Tensor:
    side = BASES[name].transform.crop
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", LIGHT)
def test_running_the_stages_in_order_is_the_network_bit_for_bit(name: str) -> None:
    x = images(name)
    with torch.inference_mode():
        whole = network(name)(x)
        for stage in stages_of(name, network(name)):
            x = stage.module(x)
    assert torch.equal(x, whole)


@pytest.mark.parametrize("name", BASES)
def test_the_stages_own_every_parameter_once_and_have_names_of_their_own(name: str) -> None:
    with torch.device("meta"):
        built = BASES[name].build()
        stages = stages_of(name, built)
    owned = [id(p) for stage in stages for p in stage.module.parameters()]
    assert sorted(owned) == sorted(id(p) for p in built.parameters())
    assert len({stage.name for stage in stages}) == len(stages)


@pytest.mark.parametrize("name", LIGHT)
def test_layers_have_the_shapes_that_the_table_states(name: str) -> None:
    x = images(name, 1)
    with torch.inference_mode():
        for stage, layer in zip(stages_of(name, network(name)), layers_of(name), strict=True):
            x = stage.module(x)
            assert (stage.name, tuple(x.shape[1:])) == (layer.name, layer.shape)


@pytest.mark.parametrize("name", [n for names in FAMILIES.values() for n in names])
def test_the_four_aliases_lie_at_strides_4_8_16_32(name: str) -> None:
    layers = layers_of(name)
    own = {layer.name: layer for layer in layers}
    found = {alias: layer for layer in layers for alias in layer.alias.split(",") if alias}
    deepest = max(layer.stride or 0 for layer in layers)
    for alias, stride in ALIASES.items():
        layer = own.get(alias) or found[alias]
        assert layer.stride == min(stride, deepest)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_a_deeper_alias_never_has_more_pixels(name: str) -> None:
    layers = {layer.name: layer for layer in layers_of(name)}
    layers |= {layer.alias: layer for layer in layers_of(name) if layer.alias}
    pixels = [layers[alias].shape[1] for alias in ALIASES]
    assert pixels == sorted(pixels, reverse=True)
