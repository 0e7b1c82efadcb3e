"""How timm's networks fall into stages: adapters, and the comparison with the whole that decides which one fits."""

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

Named = Iterator[tuple[str, nn.Module]]


class PatchTokens(nn.Module):
    """Puts the class token, if any, before the patches of a vision transformer, and adds their positions.

    Parameters
    ----------
    network : torch.nn.Module
        A `VisionTransformer` of timm.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.class_token, self.positions = network.cls_token, network.pos_embed
        self.dropout, self.patches_only = network.pos_drop, network.no_embed_class

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, patches, channels) to (n, 1 + patches, channels)."""
        if self.patches_only:
            x = x + self.positions
        if self.class_token is not None:
            x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1)
        return self.dropout(x if self.patches_only else x + self.positions)


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


def parts(network: nn.Module, lists: set[str], prefix: str = "") -> Named:
    """Yield a network's parts in order, those named in `lists` opened, and none that do nothing."""
    for name, module in network.named_children():
        if name in lists and any(True for _ in module.children()):
            yield from parts(module, set(), f"{prefix}{name}.")
        elif not isinstance(module, (nn.Identity, nn.Dropout)):
            yield prefix + name, module


def in_order(network: nn.Module) -> Named:
    """List the stages of a network that is its parts in order (ResNet, EfficientNet, MobileNet, ConvNeXt, RegNet)."""
    yield from parts(network, LISTS)


def closed_head(network: nn.Module) -> Named:
    """List the stages of a network that is its parts in order, its head being one of them."""
    yield from parts(network, LISTS - {"head"})


def vision_transformer(network: Any) -> Named:
    """List the stages of a vision transformer, whose tokens and pooling are methods in timm and modules here."""
    for name, module in parts(network, LISTS):
        if name in ("fc_norm", "head"):
            break
        yield name, module
        if name == "patch_embed":
            yield "tokens", PatchTokens(network)
    if network.attn_pool is None:
        yield "pool", ClassToken() if network.global_pool == "token" else MeanPatch(network.num_prefix_tokens)
    yield from ((name, module) for name, module in parts(network, set()) if name in ("fc_norm", "head"))


def adapters(network: nn.Module) -> tuple[Callable[[nn.Module], Named], ...]:
    """Say which adapters to try."""
    return (vision_transformer,) if hasattr(network, "_pos_embed") else (in_order, closed_head)


def arranged(adapter: Callable[[nn.Module], Named], layouts: Sequence[Layout], network: nn.Module) -> Stages:
    """List the stages that an adapter finds, with their layouts."""
    for (name, module), layout in zip(adapter(network), layouts, strict=True):
        yield name, module, layout


def tell_layout(shape: Sequence[int]) -> Layout | None:
    """Tell the layout of the activation of a square image from its shape; None where it does not fit any."""
    if len(shape) == 3:
        return "map" if shape[1] == shape[2] else "map_last" if shape[0] == shape[1] else None
    if len(shape) == 2:
        whole, without = math.isqrt(shape[0]) ** 2, math.isqrt(shape[0] - 1) ** 2
        return "patches" if whole == shape[0] else "tokens" if without == shape[0] - 1 else None
    return "vector" if len(shape) == 1 else None


def scatter(network: nn.Module) -> None:
    """Fill a network with random numbers, also where it begins with zeros, which would hide a part that is missing."""
    statistics = ((name, buffer) for name, buffer in network.named_buffers() if ".running_" in f".{name}")
    for name, tensor in (*network.named_parameters(), *statistics):
        if tensor.ndim > 1:
            width = (3 / tensor[0].numel()) ** 0.5
            tensor.data.uniform_(-width, width)
        else:
            tensor.data.uniform_(0.5 if name.endswith(("weight", "running_var")) else -0.5, 1.0)


@torch.inference_mode()
def compared(network: nn.Module, adapter: Callable[[nn.Module], Named], side: int) -> list[Layout] | None:
    """Run the stages and the network on noise: the layout after each stage, or None if they are not the network."""
    image = torch.randn(1, 3, side, side)
    try:
        whole, x, found = network(image.clone()), image, []
        for _, module in adapter(network):
            x = module(x)
            found.append(tell_layout(x.shape[1:]))
        same = torch.equal(x, whole)
    except Exception as error:  # a wrong order raises whatever the parts' own code raises
        log.debug("the stages by %s do not run: %s", adapter, error)
        return None
    layouts = [layout for layout in found if layout]
    return layouts if same and len(layouts) == len(found) else None
