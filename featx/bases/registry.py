"""Every base that featx knows: how it is built, and how its network falls into stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
import torchvision
from torch import nn

from featx.bases.architectures import handcrafted as descriptors
from featx.bases.architectures.python_file import architecture_name, is_own, run_file
from featx.bases.architectures.timm_models import PREFIX, describe_timm
from featx.bases.architectures.tiny import tiny
from featx.bases.architectures.torchvision_stages import (
    FAMILIES,
    Adapter,
    Piece,
    Stages,
    build_options,
    sequential,
    vit,
)
from featx.bases.base import CLASSIFIERS, Layer, Stage, describe_layers
from featx.bases.meta_device import unfilled
from featx.errors import RequestError, unknown
from featx.keys import InputTransform


@dataclass(frozen=True)
class Architecture:
    """How to make a base.

    Attributes
    ----------
    build : callable
        Makes the network with random weights.
    stages : callable
        Lists the network's stages by name, in order.
    transform : InputTransform
        What the weights were trained to see.
    default_weights : str
        What `--weights` means when it is not given.
    presets : mapping of weights name to InputTransform
        What each of the named weights was trained to see.
    """

    build: Callable[..., nn.Module]
    stages: Adapter
    transform: InputTransform
    default_weights: str = "IMAGENET1K_V1"
    presets: Mapping[str, InputTransform] = field(default_factory=dict)


CIFAR = InputTransform(resize=32, crop=32, mean=(0.5071, 0.4865, 0.4409), std=(0.2673, 0.2564, 0.2762))


def as_transform(preset: Any) -> InputTransform:
    """Write one of torchvision's `ImageClassification` presets as an InputTransform."""
    return InputTransform(preset.resize_size[0], preset.crop_size[0], preset.interpolation.value, *moments(preset))


def moments(preset: Any) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation that a preset normalises by."""
    return tuple(preset.mean), tuple(preset.std)


def from_torchvision(name: str, stages: Adapter) -> Architecture:
    """Describe one of torchvision's architectures, as its weights state their transforms.

    Where an architecture has no `IMAGENET1K_V1`, its frozen trunk with a linear classifier (`SWAG_LINEAR`) stands in.
    """
    weights = torchvision.models.get_model_weights(name)
    presets = {choice.name: as_transform(choice.transforms()) for choice in weights}
    default = next(choice for choice in ("IMAGENET1K_V1", "IMAGENET1K_SWAG_LINEAR_V1") if choice in presets)
    build = partial(torchvision.models.get_model, name, weights=None, **build_options(name))
    return Architecture(build, stages, presets[default], default, presets)


class OwnNetwork(nn.Module):
    """A network of the user's own, as the list of stages that it is.

    Parameters
    ----------
    pieces : sequence of tuples
        Name, module and, where its shape does not tell it, layout of each stage.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        super().__init__()
        self.pieces = [(name, *rest) for name, _, *rest in pieces]
        for name, module, *_ in pieces:
            self.add_module(name.replace(".", "/"), module)

    def stages(self) -> Stages:
        """List the stages as they were given."""
        for (name, *rest), module in zip(self.pieces, self.children(), strict=True):
            yield (name, module, *rest)  # type: ignore[misc]


def from_file(name: str) -> Architecture:
    """Describe the network that a Python file lists by its function `stages`, with weights as the file leaves them.

    Raises
    ------
    RequestError
        If the file cannot be run, or does not say what it should.
    """
    found = run_file(name, architecture_name(name))

    def build() -> nn.Module:
        with torch.device("cpu"):
            return OwnNetwork(list(found["stages"]()))

    transform = {"resize": 256, "crop": 224, **found.get("transform", {})}
    try:
        described = InputTransform.from_dict(transform)
    except TypeError as error:
        raise RequestError(f"base '{name}' states a transform that is none: {error}") from error
    return Architecture(build, OwnNetwork.stages, described, "own")  # type: ignore[arg-type]


def handcrafted(build: Callable[[], nn.Module], side: int) -> Architecture:
    """Describe features that nobody learned: they take the middle square of an image, as numbers from 0 to 1."""
    transform = InputTransform(side, side, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return Architecture(build, sequential, transform, "none")


BASES: dict[str, Architecture] = {
    "tiny": Architecture(tiny, sequential, CIFAR, "CIFAR100"),
    "hog": handcrafted(descriptors.hog, 128),
    "lbp": handcrafted(descriptors.lbp, 224),
    "daisy": handcrafted(descriptors.daisy, 224),
    "color-histogram": handcrafted(descriptors.color_histogram, 224),
    **{name: from_torchvision(name, stages) for stages, names in FAMILIES.items() for name in names},
}
"""Name of a base: how it is made."""


def architecture_of(name: str, weights: str | None = None) -> Architecture:
    """Look up a base by name, with the transform that the named weights ask for.

    Raises
    ------
    UnknownName
        Listing the bases, with the nearest match.
    """
    if is_own(name):
        return from_file(name)
    if name.startswith(PREFIX):
        known = describe_timm(name, weights)
        return Architecture(known.build, known.stages, known.transform, known.tag)
    if name not in BASES:
        hint = "Or give a Python file with a function stages(), or timm:NAME for one of timm's."
        raise unknown("base", name, BASES, hint)
    found = BASES[name]
    transform = found.presets.get(weights or found.default_weights, found.transform)
    build = found.build
    if found.stages is vit and transform.crop != found.transform.crop:  # its positions are of one size of image
        build = partial(build, image_size=transform.crop)
    return replace(found, build=build, transform=transform)


def default_layer(name: str) -> str:
    """Name the layer to begin with: `layer4` where there are aliases, else the last one before the classifier."""
    layers = layers_of(name)
    if any("layer4" in (layer.name, *layer.alias.split(",")) for layer in layers):
        return "layer4"
    return [layer.name for layer in layers if layer.name.split(".")[0] not in CLASSIFIERS][-1]


def stages_of(name: str, network: nn.Module, weights: str | None = None) -> tuple[Stage, ...]:
    """Take a network apart into the stages of its architecture."""
    return tuple(Stage(*piece) for piece in architecture_of(name, weights).stages(network))


def layers_of(name: str, side: int | None = None, weights: str | None = None) -> tuple[Layer, ...]:
    """Describe every layer of a base, without weights and without computing anything.

    Raises
    ------
    RequestError
        If the network takes no images of `side` pixels.
    """
    architecture = architecture_of(name, weights)
    return describe_layers(empty_stages(name, weights), side or architecture.transform.crop)


def empty_stages(name: str, weights: str | None = None) -> tuple[Stage, ...]:
    """Build the stages of a base on torch's meta device."""
    return stages_of(name, unfilled(architecture_of(name, weights)).to("meta"), weights)
