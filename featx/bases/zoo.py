"""Every base that featx knows: how it is built, and how its network falls into stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
import torchvision
from torch import nn

from featx.bases.base import Base, Layer, Stage, describe_layers
from featx.bases.tiny import tiny
from featx.bases.weights import load_weights
from featx.errors import unknown
from featx.keys import BaseId, InputTransform

Stages = Iterator[tuple[str, nn.Module]]


def children(network: nn.Module, prefix: str = "") -> Stages:
    """Yield a module's children in order, as `prefix.name`."""
    for name, module in network.named_children():
        yield f"{prefix}.{name}" if prefix else name, module


def sequential(network: nn.Module) -> Stages:
    """List the stages of a network that is its children in order."""
    yield from children(network)


def resnet(network: nn.Module) -> Stages:
    """List the stages of a ResNet: stem, four layers, then pooling and a linear classifier."""
    for name, module in children(network):
        if name == "fc":
            yield "flatten", nn.Flatten()
        yield name, module


def mobilenet_v2(network: nn.Module) -> Stages:
    """List the stages of MobileNetV2; its pooling is a function in torchvision, a module here."""
    yield from children(network.get_submodule("features"), "features")
    yield "avgpool", nn.AdaptiveAvgPool2d((1, 1))
    yield "flatten", nn.Flatten()
    yield from children(network.get_submodule("classifier"), "classifier")


def squeezenet(network: nn.Module) -> Stages:
    """List the stages of SqueezeNet: its classifier is a convolution, averaged at the end."""
    yield from children(network.get_submodule("features"), "features")
    yield from children(network.get_submodule("classifier"), "classifier")
    yield "flatten", nn.Flatten()


def vgg(network: nn.Module) -> Stages:
    """List the stages of VGG: convolutions, pooling to 7 x 7, three linear layers."""
    yield from children(network.get_submodule("features"), "features")
    yield "avgpool", network.get_submodule("avgpool")
    yield "flatten", nn.Flatten()
    yield from children(network.get_submodule("classifier"), "classifier")


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
    """

    build: Callable[[], nn.Module]
    stages: Callable[[nn.Module], Stages]
    transform: InputTransform
    default_weights: str = "IMAGENET1K_V1"


IMAGENET = InputTransform(resize=256, crop=224)
CIFAR = InputTransform(resize=32, crop=32, mean=(0.5071, 0.4865, 0.4409), std=(0.2673, 0.2564, 0.2762))


def from_torchvision(name: str, stages: Callable[[nn.Module], Stages]) -> Architecture:
    """Describe one of torchvision's architectures."""
    options = {"init_weights": False} if name.startswith("vgg") else {}
    return Architecture(partial(torchvision.models.get_model, name, weights=None, **options), stages, IMAGENET)


FAMILIES: dict[Callable[[nn.Module], Stages], tuple[str, ...]] = {
    resnet: (
        *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
        *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2"),
    ),
    mobilenet_v2: ("mobilenet_v2",),
    squeezenet: ("squeezenet1_0", "squeezenet1_1"),
    vgg: ("vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"),
}

BASES: dict[str, Architecture] = {
    "tiny": Architecture(tiny, sequential, CIFAR, "CIFAR100"),
    **{name: from_torchvision(name, stages) for stages, names in FAMILIES.items() for name in names},
}
"""Name of a base: how it is made."""


def architecture_of(name: str) -> Architecture:
    """Look up a base by name.

    Raises
    ------
    UnknownName
        Listing the bases, with the nearest match.
    """
    if name not in BASES:
        raise unknown("base", name, BASES)
    return BASES[name]


def stages_of(name: str, network: nn.Module) -> tuple[Stage, ...]:
    """Take a network apart into the stages of its architecture."""
    return tuple(Stage(stage, module) for stage, module in architecture_of(name).stages(network))


def layers_of(name: str, side: int | None = None) -> tuple[Layer, ...]:
    """Describe every layer of a base, without weights and without computing anything."""
    architecture = architecture_of(name)
    with torch.device("meta"):
        network = architecture.build().eval()
        stages = stages_of(name, network)
    return describe_layers(stages, side or architecture.transform.crop)


def load_base(
    name: str, weights: str | None = None, transform: InputTransform | None = None, precision: str = "float32"
) -> Base:
    """Build a frozen base with its weights.

    Parameters
    ----------
    name : str
        Name in `BASES`.
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
    architecture = architecture_of(name)
    torch.manual_seed(0)  # "random" weights are the same ones every time
    network = architecture.build().eval().requires_grad_(False)
    loaded = load_weights(name, network, weights or architecture.default_weights)
    transform = transform or architecture.transform
    base_id = BaseId(name, loaded.digest, transform, precision)
    return Base(base_id, loaded.source, stages_of(name, network), layers_of(name, transform.crop), network)
