"""Every base that featx knows: how it is built, and how its network falls into stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torchvision
from torch import nn

from featx.bases.architecture import Architecture
from featx.bases.architectures import handcrafted
from featx.bases.architectures.python_file import architecture_name, run_file
from featx.bases.architectures.stage_list import StageList, build_stage_list
from featx.bases.architectures.timm_models import describe_timm
from featx.bases.architectures.tiny import tiny
from featx.bases.architectures.torchvision_stages import ADAPTERS, build_options, sequential, vit
from featx.bases.names import TIMM_PREFIX, TORCHVISION_FAMILIES, check_base_name, is_python_file
from featx.errors import RequestError
from featx.keys import InputTransform
from featx.requests import BaseChoice

CIFAR = InputTransform(resize=32, crop=32, mean=(0.5071, 0.4865, 0.4409), std=(0.2673, 0.2564, 0.2762))

DEFAULT_WEIGHTS = ("IMAGENET1K_V1", "IMAGENET1K_SWAG_LINEAR_V1")
"""Published weights that stand for a torchvision architecture, the first that it has.

Where there is no `IMAGENET1K_V1`, that is the frozen trunk with a linear classifier.
"""


def as_transform(preset: Any) -> InputTransform:
    """Write one of torchvision's `ImageClassification` presets as an InputTransform."""
    mean = tuple(preset.mean)
    std = tuple(preset.std)
    return InputTransform(preset.resize_size[0], preset.crop_size[0], preset.interpolation.value, mean, std)


def from_torchvision(name: str, family: str) -> Architecture:
    """Describe one of torchvision's architectures, with the transforms that its weights state."""
    weights = torchvision.models.get_model_weights(name)
    presets = {choice.name: as_transform(choice.transforms()) for choice in weights}
    default = next(choice for choice in DEFAULT_WEIGHTS if choice in presets)
    build = partial(torchvision.models.get_model, name, weights=None, **build_options(name))
    return Architecture(name, build, ADAPTERS[family], presets[default], default, presets=presets)


def from_descriptor(name: str, build: Callable[[], nn.Module], side: int) -> Architecture:
    """Describe hand-crafted features: they take the middle square of an image, as numbers from 0 to 1."""
    transform = InputTransform(side, side, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return Architecture(name, build, sequential, transform, "none", builds_on_meta=False)


def from_python_file(name: str) -> Architecture:
    """Describe the network that a Python file lists by its function `stages`, with weights as the file leaves them.

    Raises
    ------
    RequestError
        If the file cannot be run, or does not say what it should.
    """
    key_name = architecture_name(name)
    definitions = run_file(name, key_name)
    fields = {"resize": 256, "crop": 224, **definitions.get("transform", {})}
    try:
        transform = InputTransform.from_dict(fields)
    except TypeError as error:
        raise RequestError(f"base '{name}' states an invalid transform: {error}") from error
    build = partial(build_stage_list, definitions["stages"])
    return Architecture(key_name, build, StageList.stages, transform, "own", builds_on_meta=False)  # type: ignore[arg-type]


def from_timm(name: str, weights: str | None) -> Architecture:
    """Describe one of timm's networks, with the transform of the weights that are named."""
    network = describe_timm(name, weights)
    return Architecture(name, network.build, network.stages, network.transform, network.tag, builds_on_meta=False)


BASES: dict[str, Architecture] = {
    "tiny": Architecture("tiny", tiny, sequential, CIFAR, "CIFAR100"),
    "hog": from_descriptor("hog", handcrafted.hog, 128),
    "lbp": from_descriptor("lbp", handcrafted.lbp, 224),
    "daisy": from_descriptor("daisy", handcrafted.daisy, 224),
    "color-histogram": from_descriptor("color-histogram", handcrafted.color_histogram, 224),
    **{name: from_torchvision(name, family) for family, names in TORCHVISION_FAMILIES.items() for name in names},
}
"""Name of a base: how it is made."""


def find_architecture(name: str, weights: str | None) -> Architecture:
    """Look up a base by name, with the transform that the named weights ask for.

    Raises
    ------
    UnknownName
        Listing the bases, with the nearest match.
    """
    check_base_name(name)
    if is_python_file(name):
        return from_python_file(name)
    if name.startswith(TIMM_PREFIX):
        return from_timm(name, weights)
    known = BASES[name]
    transform = known.presets.get(weights or known.default_weights, known.native_transform)
    build = known.build
    if known.adapter is vit and transform.crop != known.native_transform.crop:
        # Its position embeddings are made for one size of image.
        build = partial(build, image_size=transform.crop)
    return replace(known, build=build, native_transform=transform)


def resolve(choice: BaseChoice) -> Architecture:
    """Find the architecture that a choice names: a request does this once, and everything hangs on the result.

    Raises
    ------
    UnknownName
        If there is no such base.
    RequestError
        If the crop is larger than the resized image, or a Python file cannot be run.
    """
    architecture = find_architecture(choice.name, choice.weights)
    native = architecture.native_transform
    crop = choice.crop or native.crop
    resize = choice.resize or max(native.resize, crop)
    if not 0 < crop <= resize:
        raise RequestError(f"--crop {crop} does not fit into --resize {resize}: the crop must be the smaller")
    transform = replace(native, resize=resize, crop=crop)
    return replace(architecture, weights=choice.weights, transform=transform, precision=choice.precision)
