"""How torchvision's networks fall into stages: an adapter of a few lines for each family of architectures."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from featx.bases.pooling import Layout

NamedStage = tuple[str, nn.Module] | tuple[str, nn.Module, Layout]
"""Name and module of a stage, and the layout of its output where its shape does not tell it."""

Stages = Iterator[NamedStage]
Adapter = Callable[[nn.Module], Stages]
"""Lists the stages of a network in order."""


class Mean(nn.Module):
    """Averages a map over its places, as networks do that call `mean` in place of a pooling module."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, height, width) to (n, channels)."""
        return x.mean([2, 3])


class Renormalise(nn.Module):
    """Turns ImageNet's normalisation into that of the Inception networks: mean and deviation of 0.5."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 3, height, width) to the same shape, as `transform_input` of torchvision does."""
        # ImageNet's deviations and means over those of Inception; written as torchvision does, to give the same bits.
        red = torch.unsqueeze(x[:, 0], 1) * (0.229 / 0.5) + (0.485 - 0.5) / 0.5
        green = torch.unsqueeze(x[:, 1], 1) * (0.224 / 0.5) + (0.456 - 0.5) / 0.5
        blue = torch.unsqueeze(x[:, 2], 1) * (0.225 / 0.5) + (0.406 - 0.5) / 0.5
        return torch.cat((red, green, blue), 1)


class Tokens(nn.Module):
    """Puts the patches of a vision transformer in a row, behind its class token, and adds their positions.

    Parameters
    ----------
    class_token : (1, 1, channels) torch.nn.Parameter
    positions : (1, 1 + patches, channels) torch.nn.Parameter
    """

    def __init__(self, class_token: nn.Parameter, positions: nn.Parameter) -> None:
        super().__init__()
        self.class_token = class_token
        self.positions = positions

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, height, width) to (n, 1 + height * width, channels)."""
        patches = x.reshape(*x.shape[:2], -1).permute(0, 2, 1)
        # Not `len`, which would fix the size of the batch where torch traces this.
        return torch.cat([self.class_token.expand(x.shape[0], -1, -1), patches], dim=1) + self.positions


class ClassToken(nn.Module):
    """Takes the class token: what a vision transformer classifies by."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 1 + patches, channels) to (n, channels)."""
        return x[:, 0]


def children(network: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield a module's children in order, as `prefix.name`."""
    for name, module in network.named_children():
        full_name = f"{prefix}.{name}" if prefix else name
        yield full_name, module


def inside(network: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield the children of a submodule in order, by their full names."""
    yield from children(network.get_submodule(name), name)


def sequential(network: nn.Module) -> Stages:
    """List the stages of a network that is its children in order."""
    yield from children(network)


def resnet(network: nn.Module) -> Stages:
    """List the stages of a ResNet: stem, four layers, then pooling and a linear classifier."""
    for name, module in children(network):
        if name == "fc":
            yield "flatten", nn.Flatten()
        yield name, module


def inception_v3(network: nn.Module) -> Stages:
    """List the stages of Inception v3, whose auxiliary classifier exists in training only."""
    yield "transform_input", Renormalise()
    for name, module in children(network):
        if name == "fc":
            yield "flatten", nn.Flatten()
        yield name, module


def googlenet(network: nn.Module) -> Stages:
    """List the stages of GoogLeNet, whose auxiliary classifiers exist in training only."""
    yield "transform_input", Renormalise()
    for name, module in children(network):
        if name == "dropout":
            yield "flatten", nn.Flatten()
        yield name, module


def features_pooled(network: nn.Module) -> Stages:
    """List the stages of a network of features, pooling and a classifier of vectors (VGG, EfficientNet)."""
    yield from inside(network, "features")
    yield "avgpool", network.get_submodule("avgpool")
    yield "flatten", nn.Flatten()
    yield from inside(network, "classifier")


def convnext(network: nn.Module) -> Stages:
    """List the stages of ConvNeXt, whose classifier normalises and flattens by itself."""
    yield from inside(network, "features")
    yield "avgpool", network.get_submodule("avgpool")
    yield from inside(network, "classifier")


def mobilenet_v2(network: nn.Module) -> Stages:
    """List the stages of MobileNetV2; its pooling is a function in torchvision, a module here."""
    yield from inside(network, "features")
    yield "avgpool", nn.AdaptiveAvgPool2d((1, 1))
    yield "flatten", nn.Flatten()
    yield from inside(network, "classifier")


def densenet(network: nn.Module) -> Stages:
    """List the stages of DenseNet; its last rectifier and its pooling are functions in torchvision."""
    yield from inside(network, "features")
    yield "relu", nn.ReLU(inplace=True)
    yield "avgpool", nn.AdaptiveAvgPool2d((1, 1))
    yield "flatten", nn.Flatten()
    yield "classifier", network.get_submodule("classifier")


def squeezenet(network: nn.Module) -> Stages:
    """List the stages of SqueezeNet: its classifier is a convolution, averaged at the end."""
    yield from inside(network, "features")
    yield from inside(network, "classifier")
    yield "flatten", nn.Flatten()


def shufflenet(network: nn.Module) -> Stages:
    """List the stages of ShuffleNetV2, which ends in a mean over places."""
    for name, module in children(network):
        if name == "fc":
            yield "avgpool", Mean()
        yield name, module


def mnasnet(network: nn.Module) -> Stages:
    """List the stages of MNASNet, which ends in a mean over places."""
    yield from inside(network, "layers")
    yield "avgpool", Mean()
    yield from inside(network, "classifier")


def regnet(network: nn.Module) -> Stages:
    """List the stages of RegNet: a stem, four blocks, then pooling and a linear classifier."""
    yield "stem", network.get_submodule("stem")
    yield from inside(network, "trunk_output")
    yield "avgpool", network.get_submodule("avgpool")
    yield "flatten", nn.Flatten()
    yield "fc", network.get_submodule("fc")


def swin(network: nn.Module) -> Stages:
    """List the stages of a Swin transformer, whose maps have their channels last up to `permute`."""
    for name, module in inside(network, "features"):
        yield name, module, "map_last"
    yield "norm", network.get_submodule("norm"), "map_last"
    for name in ("permute", "avgpool", "flatten", "head"):
        yield name, network.get_submodule(name)


def maxvit(network: nn.Module) -> Stages:
    """List the stages of MaxViT: a stem, four blocks of convolutions and attention, a classifier that pools."""
    yield "stem", network.get_submodule("stem")
    yield from inside(network, "blocks")
    yield from inside(network, "classifier")


def vit(network: nn.Module) -> Stages:
    """List the stages of a vision transformer: patches, tokens, layers of attention, the class token, a classifier."""
    yield "conv_proj", network.get_submodule("conv_proj")
    positions = network.get_parameter("encoder.pos_embedding")
    yield "tokens", Tokens(network.get_parameter("class_token"), positions), "tokens"
    yield "encoder.dropout", network.get_submodule("encoder.dropout"), "tokens"
    for name, module in inside(network, "encoder.layers"):
        yield name, module, "tokens"
    yield "encoder.ln", network.get_submodule("encoder.ln"), "tokens"
    yield "class_token", ClassToken()
    yield from inside(network, "heads")


ADAPTERS: dict[str, Adapter] = {
    "resnet": resnet,
    "features_pooled": features_pooled,
    "mobilenet_v2": mobilenet_v2,
    "squeezenet": squeezenet,
    "densenet": densenet,
    "inception_v3": inception_v3,
    "googlenet": googlenet,
    "shufflenet": shufflenet,
    "mnasnet": mnasnet,
    "regnet": regnet,
    "convnext": convnext,
    "swin": swin,
    "maxvit": maxvit,
    "vit": vit,
}
"""Family of torchvision's architectures, as in `names.TORCHVISION_FAMILIES`: the adapter that takes it apart."""
