"""How networks of timm fall into stages: generic adapters, and the comparison with the whole that picks one."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from featx.bases.architectures.torchvision_stages import ClassToken, Stages
from featx.bases.pooling import Layout

log = logging.getLogger(__name__)

LISTS = {"blocks", "features", "head", "layers", "stages"}
"""Names of parts that are lists of stages themselves."""

NamedModules = Iterator[tuple[str, nn.Module]]
GenericAdapter = Callable[[nn.Module], NamedModules]
"""Lists a network's stages; their layouts are found out by running them."""


class PatchTokens(nn.Module):
    """Puts the class token, if any, before the patches of a vision transformer, and adds their positions.

    Parameters
    ----------
    network : torch.nn.Module
        A `VisionTransformer` of timm.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.class_token = network.cls_token
        self.positions = network.pos_embed
        self.dropout = network.pos_drop
        self.patches_only = network.no_embed_class

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, patches, channels) to (n, 1 + patches, channels)."""
        if self.patches_only:
            x = x + self.positions
        if self.class_token is not None:
            # Not `len`, which would fix the size of the batch where torch traces this.
            x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], dim=1)
        # As timm's `_pos_embed` does: positions of patches alone were added before the class token.
        if not self.patches_only:
            x = x + self.positions
        return self.dropout(x)


class MeanPatch(nn.Module):
    """Averages the patches of a vision transformer.

    Parameters
    ----------
    first : int
        Number of tokens before them.
    """

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, first + patches, channels) to (n, channels)."""
        return x[:, self.first :].mean(dim=1)


def parts(network: nn.Module, lists: set[str], prefix: str = "") -> NamedModules:
    """Yield a network's parts in order, those named in `lists` opened up, and none that do nothing."""
    for name, module in network.named_children():
        if name in lists and next(module.children(), None) is not None:
            yield from parts(module, set(), f"{prefix}{name}.")
        elif not isinstance(module, (nn.Identity, nn.Dropout)):
            yield prefix + name, module


def in_order(network: nn.Module) -> NamedModules:
    """List the stages of a network that is its parts in order (ResNet, EfficientNet, MobileNet, ConvNeXt, RegNet)."""
    yield from parts(network, LISTS)


def closed_head(network: nn.Module) -> NamedModules:
    """List the stages of a network that is its parts in order, its head being one of them."""
    yield from parts(network, LISTS - {"head"})


def vision_transformer(network: Any) -> NamedModules:
    """List the stages of a vision transformer, whose tokens and pooling are methods in timm and modules here."""
    for name, module in parts(network, LISTS):
        if name in ("fc_norm", "head"):
            break
        yield name, module
        if name == "patch_embed":
            yield "tokens", PatchTokens(network)
    if network.attn_pool is None:
        takes_class_token = network.global_pool == "token"
        yield "pool", ClassToken() if takes_class_token else MeanPatch(network.num_prefix_tokens)
    for name, module in parts(network, set()):
        if name in ("fc_norm", "head"):
            yield name, module


def choose_adapters(network: nn.Module) -> tuple[GenericAdapter, ...]:
    """Choose the adapters to try, in order."""
    # timm's vision transformers put tokens and positions together in this method.
    if hasattr(network, "_pos_embed"):
        return (vision_transformer,)
    return (in_order, closed_head)


def attach_layouts(adapter: GenericAdapter, layouts: Sequence[Layout], network: nn.Module) -> Stages:
    """List the stages that an adapter finds, with their layouts."""
    for (name, module), layout in zip(adapter(network), layouts, strict=True):
        yield name, module, layout


def tell_layout(shape: Sequence[int]) -> Layout | None:
    """Tell the layout of the activation of a square image from its shape; None where it does not fit any."""
    if len(shape) == 1:
        return "vector"
    if len(shape) == 2:
        if is_square(shape[0]):
            return "patches"
        return "tokens" if is_square(shape[0] - 1) else None
    if len(shape) == 3:
        if shape[1] == shape[2]:
            return "map"
        return "map_last" if shape[0] == shape[1] else None
    return None


def is_square(number: int) -> bool:
    """Whether so many patches fill a square."""
    return math.isqrt(number) ** 2 == number


def scatter(network: nn.Module) -> None:
    """Fill a network with random numbers, also where it begins with zeros, which would hide a part that is missing."""
    statistics = [(name, buffer) for name, buffer in network.named_buffers() if ".running_" in f".{name}"]
    for name, tensor in (*network.named_parameters(), *statistics):
        if tensor.ndim > 1:
            # Variance 1 / inputs: activations neither vanish nor overflow, however deep the network.
            width = (3 / tensor[0].numel()) ** 0.5
            tensor.data.uniform_(-width, width)
        elif name.endswith(("weight", "running_var")):
            tensor.data.uniform_(0.5, 1.0)
        else:
            tensor.data.uniform_(-0.5, 1.0)


@torch.inference_mode()
def compare_stages(network: nn.Module, adapter: GenericAdapter, side: int) -> list[Layout] | None:
    """Run the network on noise, and its stages one by one.

    Parameters
    ----------
    network : torch.nn.Module
    adapter : callable
        Lists the stages.
    side : int
        Height and width of the noise in pixels.

    Returns
    -------
    list of Layout or None
        The layout after each stage; None if the stages do not give what the network gives, bit for bit, or a shape
        does not tell its layout.
    """
    image = torch.randn(1, 3, side, side)
    layouts: list[Layout | None] = []
    try:
        # A copy, since the first rectifier of some networks works in place.
        whole = network(image.clone())
        x = image
        for _, module in adapter(network):
            x = module(x)
            layouts.append(tell_layout(x.shape[1:]))
        are_equal = torch.equal(x, whole)
    # Parts in a wrong order raise whatever their own code raises.
    except Exception as error:
        log.debug("the stages by %s do not run: %s", adapter, error)
        return None
    known_layouts = [layout for layout in layouts if layout]
    if not are_equal or len(known_layouts) < len(layouts):
        return None
    return known_layouts
