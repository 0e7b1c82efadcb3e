from __future__ import annotations

import dataclasses

import pytest

from featx.base_choice import BaseChoice
from featx.bases.architecture import Architecture
from featx.bases.names import BASE_NAMES
from featx.bases.registry import BASES, resolve
from featx.errors import RequestError, UnknownName
from featx.keys import InputTransform

FUNCTIONS = ("build", "download")
"""Fields that hold functions, which are not equal to themselves made again."""


def facts(architecture: Architecture) -> dict[str, object]:
    """Every field of an architecture that can be compared."""
    fields = {field.name: getattr(architecture, field.name) for field in dataclasses.fields(architecture)}
    return {name: value for name, value in fields.items() if name not in FUNCTIONS}


@pytest.mark.parametrize("name", BASE_NAMES)
def test_a_name_alone_resolves_to_its_entry_with_its_own_transform(name: str) -> None:
    resolved = resolve(BaseChoice(name))
    assert resolved.name == name
    assert resolved.input == BASES[name].native_transform
    assert facts(resolved) == {**facts(BASES[name]), "transform": BASES[name].native_transform}


@pytest.mark.parametrize("name", BASE_NAMES)
def test_the_default_weights_are_published_bundled_or_none(name: str) -> None:
    entry = BASES[name]
    if entry.download:
        assert entry.default_weights in entry.presets
        assert entry.native_transform == entry.presets[entry.default_weights]
    else:
        assert (entry.default_weights == "none") == entry.is_handcrafted
        assert not entry.presets


def test_a_choice_is_carried_over() -> None:
    resolved = resolve(BaseChoice("tiny", "random", resize=48, crop=40, precision="bfloat16"))
    assert (resolved.weights, resolved.precision) == ("random", "bfloat16")
    assert (resolved.input.resize, resolved.input.crop) == (48, 40)
    assert resolved.input.mean == BASES["tiny"].native_transform.mean
    assert BASES["tiny"].weights is None


def test_a_larger_crop_brings_its_resize_along() -> None:
    transform = resolve(BaseChoice("resnet18", crop=288)).input
    assert (transform.resize, transform.crop) == (288, 288)


def test_a_crop_that_does_not_fit_is_one_clear_error() -> None:
    with pytest.raises(RequestError, match="--crop 64 does not fit into --resize 32: give a crop from 1 to 32"):
        resolve(BaseChoice("tiny", resize=32, crop=64))


def test_named_weights_bring_the_images_that_they_were_trained_on() -> None:
    assert resolve(BaseChoice("resnet50")).input == InputTransform(256, 224)
    assert resolve(BaseChoice("resnet50", "IMAGENET1K_V2")).input == InputTransform(232, 224)


def test_a_vision_transformer_is_built_for_the_images_of_its_weights() -> None:
    resolved = resolve(BaseChoice("vit_b_16", "IMAGENET1K_SWAG_E2E_V1"))
    assert resolved.input.crop == 384
    tokens = next(layer for layer in resolved.layers() if layer.layout == "tokens")
    assert tokens.shape == (1 + (384 // 16) ** 2, 768)


def test_an_unknown_base_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"unknown base 'resnet5'\. Did you mean 'resnet50'"):
        resolve(BaseChoice("resnet5"))
