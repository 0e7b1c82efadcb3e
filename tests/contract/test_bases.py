"""What every base promises, checked on each entry of the registry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

from featx.base_choice import BaseChoice
from featx.bases.architectures.torchvision_stages import ADAPTERS
from featx.bases.base import ALIASES, arrange_layers, find_layer
from featx.bases.layer_table import trace
from featx.bases.meta_device import MetaParameters
from featx.bases.names import BASE_NAMES, HANDCRAFTED_BASES, POOLING_NAMES, suggested_layer
from featx.bases.names import TORCHVISION_FAMILIES as FAMILIES
from featx.bases.pooling import POOLINGS, as_map, places, pooled_shape
from featx.bases.registry import BASES, resolve
from featx.errors import UnsupportedLayout
from featx.images.normalise import to_input
from featx.images.transform import to_pixels
from featx.keys import InputTransform
from tests.conftest import load_base

pytestmark = pytest.mark.slow

TORCHVISION = [name for names in FAMILIES.values() for name in names]
NETWORKS = ["tiny", *TORCHVISION]
LAYERED = [name for name in TORCHVISION if name not in FAMILIES["vit"]]

FIXED_SIZE = ("vit", "maxvit")
"""Beginnings of the names of networks that take images of one size only."""


def published(name: str, fact: str) -> float:
    """What torchvision publishes of a base; of `tiny`, what it was when it was trained."""
    if name == "tiny":
        return {"num_params": 1252100, "_ops": 0.0639}[fact]
    return float(torchvision.models.get_model_weights(name)[BASES[name].default_weights].meta[fact])


def millions(name: str) -> float:
    """Parameters of a network, in 10^6."""
    return published(name, "num_params") / 1e6


def mark_by_weight(name: str) -> Any:
    """Mark bases by weight: heavy ones are slow, the heaviest are built with numbers where FEATX_STRESS is set."""
    if millions(name) <= 20:
        return name
    needed = name in ("alexnet", "vit_b_32", "vgg11_bn") or millions(name) <= 32 or "FEATX_STRESS" in os.environ
    heavy = pytest.mark.skipif(not needed, reason="more than 32 million parameters: set FEATX_STRESS")
    return pytest.param(name, marks=[pytest.mark.slow, pytest.mark.stress, heavy])


NUMBERS = torch.randn(2**18, generator=torch.Generator().manual_seed(0))


def fill(tensor: torch.Tensor, is_variance: bool = False) -> torch.Tensor:
    """Random numbers in the shape of a tensor without: quicker than any initialisation, and never nearly zero."""
    scale = max(1, tensor[0].numel() if tensor.ndim > 1 else 4) ** -0.5
    numbers = torch.empty(tensor.shape)
    for place, chunk in enumerate(numbers.view(-1).split(len(NUMBERS))):
        torch.mul(NUMBERS.roll(97 * place)[: len(chunk)], scale, out=chunk)
    return numbers.abs_().add_(0.5) if is_variance else numbers


def network(name: str) -> nn.Module:
    """The network with random weights, class tokens and running statistics."""
    with MetaParameters():
        built = BASES[name].build().eval().requires_grad_(False)
    for module in built.modules():
        for name_inside, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name_inside] = nn.Parameter(fill(parameter), requires_grad=False)
        for name_inside, buffer in module._buffers.items():
            if buffer is not None and buffer.is_meta:
                module._buffers[name_inside] = fill(buffer, is_variance=name_inside == "running_var")
    return built


def side_of(name: str) -> int:
    """Images about as small as the network takes them."""
    return BASES[name].input.crop if name.startswith(FIXED_SIZE) or name == "tiny" else 80


@pytest.mark.parametrize("name", [mark_by_weight(name) for name in NETWORKS])
def test_running_the_stages_is_the_network_bit_for_bit(name: str) -> None:
    built = network(name)
    side = side_of(name)
    x = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = built(x.clone())
        layers = []
        for stage in BASES[name].stages(built):
            x = stage.module(x)
            layers.append((stage.name, tuple(x.shape[1:])))
    assert whole.isfinite().all()
    assert whole.std() > 0
    assert torch.equal(x, whole)
    assert layers == [(layer.name, layer.shape) for layer in resolve(BaseChoice(name)).layers(side)]


@pytest.mark.parametrize("name", ["tiny", "resnet18", "mobilenet_v3_small", "swin_t"])
def test_the_same_images_give_the_same_features_twice(name: str) -> None:
    base = load_base(name, "random")
    x = torch.randn(2, 3, base.id.transform.crop, base.id.transform.crop)
    wanted = {layer.name: ["flat"] for layer in base.layers}
    with torch.inference_mode():
        first, second = base.forward(x.clone(), wanted), base.forward(x.clone(), wanted)
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_stages_own_and_cost_what_is_published_and_layers_lie_where_aliases_say(name: str) -> None:
    stages = resolve(BaseChoice(name)).meta_stages()
    owned = [id(p) for stage in stages for p in stage.module.parameters()]
    assert len(set(owned)) == len(owned)
    assert sum(p.numel() for stage in stages for p in stage.module.parameters()) == parameters(name)
    assert len({stage.name for stage in stages}) == len(stages)
    traced = trace(stages, BASES[name].input.crop)
    assert sum(traced.multiply_adds) / 1e9 == pytest.approx(published(name, "_ops"), rel=1e-3, abs=6e-4)
    layers = arrange_layers(stages, traced.shapes, BASES[name].input.crop)
    check_layouts(layers)
    if name in LAYERED:
        check_aliases(layers)


def parameters(name: str) -> int:
    """Published parameters, but for Inception's branch that exists in training only."""
    return int(published(name, "num_params")) - (3326696 if name == "inception_v3" else 0)


def check_layouts(layers: Any) -> None:
    """Every activation with places can be viewed as a map of them, and pooled to one number a channel."""
    for layer in layers:
        size = places(layer.shape, layer.layout)
        if size is None:
            assert len(layer.shape) == 1
            continue
        viewed = as_map(torch.empty(1, *layer.shape, device="meta"), layer.layout)
        assert tuple(viewed.shape[2:]) == size
        assert pooled_shape("avg", layer.shape, layer.layout) == (viewed.shape[1],)
        assert viewed.shape[1] not in size or layer.layout == "map"


def check_aliases(layers: Any) -> None:
    """The four aliases lie at strides 4, 8, 16 and 32, and ever deeper."""
    deepest = max(layer.stride or 0 for layer in layers)
    aliased = [find_layer("base", layers, alias) for alias in ALIASES]
    assert [layer.stride for layer in aliased] == [min(stride, deepest) for stride in ALIASES.values()]
    assert [layer.index for layer in aliased] == sorted(layer.index for layer in aliased)


@pytest.mark.parametrize("name", FAMILIES["vit"])
def test_a_vision_transformer_has_tokens_and_no_aliases(name: str) -> None:
    layers = resolve(BaseChoice(name)).layers()
    assert not any(layer.alias for layer in layers)
    tokens = [layer for layer in layers if layer.layout == "tokens"]
    assert {pooled_shape("cls", layer.shape, layer.layout) for layer in tokens} == {tokens[0].shape[1:]}


def test_names_and_registries_agree() -> None:
    assert tuple(BASES) == BASE_NAMES
    assert tuple(POOLINGS) == POOLING_NAMES
    assert set(ADAPTERS) == set(FAMILIES)
    assert tuple(name for name in BASES if BASES[name].is_handcrafted) == HANDCRAFTED_BASES


def test_every_base_is_a_network_or_made_by_hand() -> None:
    assert {name for name in BASES if BASES[name].default_weights != "none"} == set(NETWORKS)


@pytest.mark.parametrize("name", BASES)
def test_the_layer_suggested_without_torch_is_the_default_layer(name: str) -> None:
    architecture = resolve(BaseChoice(name))
    suggested = suggested_layer(name)
    if suggested is None:
        assert not any(layer.alias for layer in architecture.layers())
        assert architecture.default_layer() != "layer4"
    else:
        assert architecture.default_layer() == suggested
        assert architecture.layer(suggested)


def test_every_architecture_that_torchvision_has_for_classification_is_a_base() -> None:
    assert set(TORCHVISION) == set(torchvision.models.list_models(module=torchvision.models))


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_transform_of_every_named_weights_is_the_one_that_torchvision_states(name: str) -> None:
    for choice in torchvision.models.get_model_weights(name):
        preset, ours = choice.transforms(), BASES[name].presets[choice.name]
        assert [ours.crop] == preset.crop_size
        assert [ours.resize] == preset.resize_size
        assert (ours.interpolation, ours.mean, ours.std) == (
            preset.interpolation.value,
            tuple(preset.mean),
            tuple(preset.std),
        )
    assert BASES[name].input == BASES[name].presets[BASES[name].default_weights]


def distinct_presets() -> dict[InputTransform, Any]:
    """Every transform of ours that torchvision's weights ask for, with the first preset that it stands for."""
    presets: dict[InputTransform, Any] = {}
    for name in TORCHVISION:
        for choice in torchvision.models.get_model_weights(name):
            presets.setdefault(BASES[name].presets[choice.name], choice.transforms())
    return presets


@pytest.mark.slow
@pytest.mark.weights
def test_every_transform_equals_torchvisions_preset_on_twenty_photos(shared: Path) -> None:
    photos = sorted((shared / "data" / "hymenoptera" / "val").rglob("*.jpg"))[::7][:20]
    assert len(photos) == 20
    for photo in photos:
        with Image.open(photo) as file:
            image = file.convert("RGB")
        for transform, preset in distinct_presets().items():
            ours = to_input(torch.from_numpy(np.array(to_pixels(image, transform)))[None], transform)[0]
            assert torch.equal(ours, preset(image)), f"{transform} differs on {photo.name}"


@pytest.mark.parametrize("name", ["resnet18", "swin_t"])
def test_a_class_token_is_asked_of_tokens_only(name: str) -> None:
    layer = resolve(BaseChoice(name)).layers()[0]
    with pytest.raises(UnsupportedLayout, match="'cls' takes the class token .* take avg, max"):
        pooled_shape("cls", layer.shape, layer.layout)


def test_pooling_a_map_means_the_same_in_every_layout() -> None:
    x = torch.randn(2, 5, 4, 4)
    patches = x.flatten(2).transpose(1, 2)
    tokens = torch.cat([torch.full((2, 1, 5), 9.0), patches], 1)
    for name in set(POOLINGS) - {"flat", "cls"}:
        expected = POOLINGS[name](x, "map")
        for other, layout in ((x.permute(0, 2, 3, 1), "map_last"), (patches, "patches"), (tokens, "tokens")):
            assert torch.allclose(POOLINGS[name](other, layout), expected, atol=1e-6)
    assert torch.equal(POOLINGS["cls"](tokens, "tokens"), torch.full((2, 5), 9.0))
