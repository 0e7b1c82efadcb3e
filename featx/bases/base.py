"""A base: an ordered list of stages, run one after another and stopped at the deepest layer wanted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from featx.bases.pooling import POOLINGS, Layout, layout_of, places
from featx.errors import RequestError, unknown
from featx.keys import BaseId

ALIASES = {"layer1": 4, "layer2": 8, "layer3": 16, "layer4": 32}
"""Names that mean the same depth in every convolutional base, and the output stride each stands for."""

CLASSIFIERS = {"classifier", "fc", "head", "heads"}
"""First parts of the names of stages that turn features into classes."""

HEADS = CLASSIFIERS | {"avgpool", "flatten", "dropout", "norm", "permute"}
"""First parts of the names of stages that are no depth of their own, so that no alias points at them."""


@dataclass(frozen=True)
class Stage:
    """One ordered piece of a base.

    Attributes
    ----------
    name : str
    module : torch.nn.Module
        Maps the activation before it to the one after.
    layout : Layout or None
        How the axes after it are ordered; None: three axes are a map, one is a vector.
    """

    name: str
    module: nn.Module
    layout: Layout | None = None


@dataclass(frozen=True)
class Layer:
    """What a stage's output looks like.

    Attributes
    ----------
    index : int
        Place of the stage in the base.
    name : str
        Exact name of the stage.
    alias : str
        "layer1" ... "layer4", or "" if no alias points here; several are joined by commas.
    shape : tuple of int
        Shape of one image's activation, such as (256, 14, 14).
    stride : int or None
        Pixels of input a step on the map stands for, rounded to a power of two; None without a map.
    layout : Layout
    """

    index: int
    name: str
    alias: str
    shape: tuple[int, ...]
    stride: int | None
    layout: Layout


@dataclass(frozen=True)
class Base:
    """A frozen network with its identity.

    Attributes
    ----------
    id : BaseId
    source : str
        Where the weights came from, in plain words: a torchvision name, a file's name, "random", "bundled".
    stages : tuple of Stage
        Running them in order is the network.
    layers : tuple of Layer
        One for each stage.
    network : torch.nn.Module or None
        What the stages are taken from: it knows the names of their tensors in files.
    """

    id: BaseId
    source: str
    stages: tuple[Stage, ...]
    layers: tuple[Layer, ...]
    network: nn.Module | None = field(default=None, repr=False, compare=False)

    def layer(self, name: str) -> Layer:
        """Find a layer by its exact name or by an alias.

        Raises
        ------
        UnknownName
            Listing the layers, with the nearest match.
        """
        return find_layer(self.id.architecture, self.layers, name)

    def outputs(self, wanted: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        """List layer and pooling of what `forward` gives, in its order."""
        return [(stage.name, pooling) for stage in self.stages for pooling in wanted.get(stage.name, ())]

    def forward(self, images: Tensor, wanted: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], Tensor]:
        """Run the stages up to the deepest layer wanted, pooling on the way.

        Parameters
        ----------
        images : (n, 3, height, width) float32
            Transformed images.
        wanted : mapping of layer name to pooling names
            Exact names of layers.

        Returns
        -------
        dict of (layer, pooling) to (n, ...) tensor
            In the precision of the activation.
        """
        deepest = max(layer.index for layer in self.layers if layer.name in wanted)
        outputs: dict[tuple[str, str], Tensor] = {}
        x = images
        for stage, layer in zip(self.stages[: deepest + 1], self.layers, strict=False):
            x = stage.module(x)
            # Pooled before the next stage runs: an in-place ReLU there would overwrite this activation.
            for pooling in wanted.get(stage.name, ()):
                outputs[stage.name, pooling] = POOLINGS[pooling](x, layer.layout)
        return outputs


def find_layer(architecture: str, layers: Sequence[Layer], name: str) -> Layer:
    """Find a layer by exact name, else by alias.

    Raises
    ------
    UnknownName
        Listing the layers, with the nearest match.
    """
    for layer in layers:
        if layer.name == name:
            return layer
    for layer in layers:
        if name in layer.alias.split(","):
            return layer
    aliases = [alias for layer in layers for alias in layer.alias.split(",") if alias]
    raise unknown(f"layer of {architecture}", name, [*aliases, *(layer.name for layer in layers)])


def describe_layers(stages: Sequence[Stage], side: int, device: str = "meta") -> tuple[Layer, ...]:
    """Work out what each stage gives, by running the stages without data.

    Parameters
    ----------
    stages : sequence of Stage
    side : int
        Height and width of the input in pixels.
    device : str
        Where their modules lie. On torch's meta device one image has no numbers; elsewhere a batch has no image, which
        is far faster, but some networks cannot be run so.

    Raises
    ------
    RequestError
        If the network takes no images of this size, or no empty batches.
    """
    x = torch.empty(1 if device == "meta" else 0, 3, side, side, device=device)
    return arrange_layers(stages, activation_shapes(stages, x), side)


def arrange_layers(stages: Sequence[Stage], shapes: Sequence[tuple[int, ...]], side: int) -> tuple[Layer, ...]:
    """Put together what is known of each stage: where aliases point, strides and layouts."""
    layouts = [stage.layout or layout_of(shape) for stage, shape in zip(stages, shapes, strict=True)]
    strides = [stride_of(shape, layout, side) for shape, layout in zip(shapes, layouts, strict=True)]
    heads = mark_heads(stages)
    if has_aliases(stages):
        depths = [None if head else stride for head, stride in zip(heads, strides, strict=True)]
        aliases = place_aliases([stage.name for stage in stages], depths)
    else:
        aliases = {}
    return tuple(
        Layer(index, stage.name, aliases.get(index, ""), shape, stride, layout)
        for index, (stage, shape, stride, layout) in enumerate(zip(stages, shapes, strides, layouts, strict=True))
    )


def activation_shapes(
    stages: Sequence[Stage], x: Tensor, visit: Callable[[Tensor], None] = lambda x: None
) -> list[tuple[int, ...]]:
    """Work out the shape of one image's activation after each stage.

    Parameters
    ----------
    x : (1 or 0, 3, side, side) tensor
    visit : callable
        Called with each activation.

    Raises
    ------
    RequestError
        If the network takes no images of this size.
    """
    shapes, size = [], x.shape[2:]
    try:
        with torch.no_grad():
            for stage in stages:
                x = stage.module(x)
                shapes.append(tuple(x.shape[1:]))
                visit(x)
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RequestError(
            f"the base does not take images of {size[0]} x {size[1]} pixels ({reason}): leave out --crop"
        ) from error
    return shapes


def has_aliases(stages: Sequence[Stage]) -> bool:
    """Whether depth is told by strides: so in networks of maps, not of tokens, nor where nothing was learned."""
    learned = any(True for stage in stages for _ in stage.module.parameters())
    return learned and not any(stage.layout in ("tokens", "patches") for stage in stages)


def stride_of(shape: Sequence[int], layout: Layout, side: int) -> int | None:
    """Output stride, rounded to a power of two; None for a map of one pixel, which has no place any more."""
    size = places(shape, layout)
    return 2 ** round(math.log2(side / size[0])) if size and size[0] > 1 else None


def mark_heads(stages: Sequence[Stage]) -> list[bool]:
    """Mark the stages that are no depth of their own.

    They are part of the classifier, or convolve only within each place (the 1 x 1 end of a MobileNet), or follow such a
    stage without any convolution (its normalisation and rectifier).
    """
    marks: list[bool] = []
    for stage in stages:
        kernels = [m.kernel_size for m in stage.module.modules() if isinstance(m, nn.Conv2d)]
        pointwise = bool(kernels) and all(kernel == (1, 1) for kernel in kernels)
        follows = bool(marks) and marks[-1] and is_pointwise_follower(stage.module)
        marks.append(pointwise or follows or stage.name.split(".")[0] in HEADS)
    return marks


def is_pointwise_follower(module: nn.Module) -> bool:
    """Whether a module is a normalisation or an activation function by itself."""
    return isinstance(module, (nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish))


def place_aliases(names: Sequence[str], strides: Sequence[int | None]) -> dict[int, str]:
    """Give each alias to the last stage whose stride is at most the one that it stands for.

    Where a network passes through every stride this is the last stage *of* that stride; one that ends earlier
    (SqueezeNet ends at 16) has its deeper aliases at its last map, so that every alias exists for every base.
    Stages of the head are passed over by a stride of None. A base whose own stages bear such names keeps its names.
    """
    found: dict[int, list[str]] = {}
    if not set(ALIASES) <= set(names):
        for alias, stride in ALIASES.items():
            fitting = [i for i, own in enumerate(strides) if own is not None and 1 < own <= stride]
            if fitting and alias not in names:
                found.setdefault(fitting[-1], []).append(alias)
    return {index: ",".join(aliases) for index, aliases in found.items()}
