"""From the user's words to a base with its weights, and to where it is cut for fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import torch
from torch import nn

from featx.bases.architectures.python_file import architecture_name
from featx.bases.base import CLASSIFIERS, Base, Stage, describe_layers
from featx.bases.meta_device import unfilled, zeroed
from featx.bases.registry import BASES, Architecture, architecture_of, layers_of, stages_of
from featx.bases.weights import load_weights
from featx.errors import RequestError
from featx.keys import BaseId, InputTransform
from featx.requests import BaseChoice


def transform_of(choice: BaseChoice) -> InputTransform:
    """Work out the input transform: the base's own, changed as the user asked.

    Raises
    ------
    RequestError
        If the crop is larger than the resized image, or a size is not positive.
    """
    own = architecture_of(choice.name, choice.weights).transform
    crop = choice.crop or own.crop
    resize = choice.resize or (own.resize if crop <= own.resize else crop)
    if not 0 < crop <= resize:
        raise RequestError(f"--crop {crop} does not fit into --resize {resize}: the crop must be the smaller")
    return replace(own, resize=resize, crop=crop)


def open_base(choice: BaseChoice) -> Base:
    """Load the base that a choice names."""
    return load_base(choice.name, choice.weights, transform_of(choice), choice.precision)


def filled(architecture: Architecture) -> nn.Module:
    """Build a frozen network with random weights, the same ones every time."""
    torch.manual_seed(0)
    return architecture.build().eval().requires_grad_(False)


def tensors_of(stages: Sequence[Stage], network: nn.Module) -> list[set[str]]:
    """Name the tensors of a network that each stage owns."""
    names = {id(tensor): name for name, tensor in network.state_dict(keep_vars=True).items()}
    return [{names[id(tensor)] for tensor in stage.module.state_dict(keep_vars=True).values()} for stage in stages]


def head_start(stages: Sequence[Stage], owned: Sequence[set[str]]) -> int:
    """Find the first stage that a base can do without: the classifier, or else the last stage that has weights."""
    named = [place for place, stage in enumerate(stages) if stage.name.split(".")[0] in CLASSIFIERS and owned[place]]
    return named[0] if named else max((place for place, names in enumerate(owned) if names), default=len(stages))


def load_base(
    name: str, weights: str | None = None, transform: InputTransform | None = None, precision: str = "float32"
) -> Base:
    """Build a frozen base with its weights.

    Weights without a classifier, or with one for other classes, give the base without it: it ends before the first
    stage that they leave empty.

    Parameters
    ----------
    name : str
        Name in `BASES`, a Python file, or "timm:NAME".
    weights : str, optional
        A torchvision weights name, a path to `.pth` or `.safetensors`, or "random".
    transform : InputTransform, optional
        Instead of the one that the weights were trained with.
    precision : str
        "float32" or "bfloat16".

    Raises
    ------
    UnknownName
        If there is no such base or no such weights name.
    WeightsError
        If the weights cannot be had or are made for another architecture.
    """
    architecture = architecture_of(name, weights)
    transform = transform or architecture.transform
    is_learned = name in BASES and architecture.default_weights != "none"
    network = zeroed(unfilled(architecture)) if is_learned and weights != "random" else filled(architecture)
    stages = stages_of(name, network, weights)
    owned = tensors_of(stages, network)
    head = set().union(*owned[head_start(stages, owned) :])
    loaded = load_weights(name, network, weights or architecture.default_weights, head)
    base_id = BaseId(architecture_name(name), loaded.digest, transform, precision)
    end = next((place for place, names in enumerate(owned) if names & loaded.left_out), len(stages))
    layers = None
    if is_learned:
        with suppress(RequestError):  # it cannot be run without images, or takes none of this size
            layers = describe_layers(stages, transform.crop, "cpu")
    layers = layers or layers_of(name, transform.crop, weights)
    return Base(base_id, loaded.source, stages[:end], layers[:end], network)
