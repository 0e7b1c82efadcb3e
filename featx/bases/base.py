"""A base: an ordered list of stages, run one after another and stopped at the deepest layer wanted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from featx.bases.names import CLASSIFIER_STAGES, is_classifier_stage
from featx.bases.pooling import POOLINGS, Layout, layout_of, places
from featx.errors import RequestError, first_line, unknown
from featx.keys import BaseId

ALIASES = {"layer1": 4, "layer2": 8, "layer3": 16, "layer4": 32}
"""Names that mean the same depth in every convolutional base, and the output stride each stands for."""

HEAD_STAGES = CLASSIFIER_STAGES | {"avgpool", "flatten", "dropout", "norm", "permute"}
"""First parts of the names of stages that add no depth of their own, so that no alias points at them."""


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

    @property
    def is_classifier(self) -> bool:
        """Whether it belongs to the classifier, judged by its name."""
        return is_classifier_stage(self.name)

    @property
    def has_parameters(self) -> bool:
        """Whether anything in it was, or could be, learned."""
        return next(self.module.parameters(), None) is not None


@dataclass(frozen=True)
class Layer:
    """The output of a stage: its name, shape and depth.

    Attributes
    ----------
    index : int
        Position of the stage in the base.
    name : str
        Exact name of the stage.
    alias : str
        "layer1" ... "layer4", or "" if no alias points here; several are joined by commas.
    shape : tuple of int
        Shape of one image's activation, such as (256, 14, 14).
    stride : int or None
        Pixels of the input that one step on the map stands for, rounded to a power of two; None without a map.
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
        Where the weights came from: a published name, the name of a file, or "random".
    stages : tuple of Stage
        Running them in order is the network.
    layers : tuple of Layer
        One for each stage.
    network : torch.nn.Module or None
        The network that the stages are parts of: it knows what files call their tensors.
    """

    id: BaseId
    source: str
    stages: tuple[Stage, ...]
    layers: tuple[Layer, ...]
    network: nn.Module | None = field(default=None, repr=False, compare=False)

    def layer(self, name: str) -> Layer:
        """Find a layer by its exact name, else by alias.

        Raises
        ------
        UnknownName
            Listing the layers, with the nearest match.
        """
        return find_layer(self.id.architecture, self.layers, name)

    def outputs(self, wanted: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        """List the (layer, pooling) pairs that `forward` returns, in its order."""
        pairs: list[tuple[str, str]] = []
        for stage in self.stages:
            pairs.extend((stage.name, pooling) for pooling in wanted.get(stage.name, ()))
        return pairs

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
        # A layer without an alias has the empty one, which names nothing.
        if name and name in layer.alias.split(","):
            return layer
    aliases = [alias for layer in layers for alias in layer.alias.split(",") if alias]
    exact_names = [layer.name for layer in layers]
    raise unknown(f"layer of {architecture}", name, [*aliases, *exact_names])


def describe_layers(stages: Sequence[Stage], side: int, device: str = "meta") -> tuple[Layer, ...]:
    """Work out what each stage gives, by running the stages without data.

    Parameters
    ----------
    stages : sequence of Stage
    side : int
        Height and width of the input in pixels.
    device : str
        Where the modules of the stages are. On torch's meta device one image without values is run; elsewhere a batch
        of no images, which is far faster but not possible with every network.

    Raises
    ------
    RequestError
        If the network takes no images of this size, or no empty batches.
    """
    # On the meta device an empty batch saves nothing, and vision transformers cannot reshape one.
    images = 1 if device == "meta" else 0
    x = torch.empty(images, 3, side, side, device=device)
    shapes: list[tuple[int, ...]] = []
    for stage in stages:
        x = run_stage(stage, x, side)
        shapes.append(tuple(x.shape[1:]))
    return arrange_layers(stages, shapes, side)


def run_stage(stage: Stage, x: Tensor, side: int) -> Tensor:
    """Run one stage on the activation before it, without gradients.

    Parameters
    ----------
    stage : Stage
    x : (n, ...) tensor
    side : int
        Height and width in pixels of the images that `x` comes from, for the message.

    Raises
    ------
    RequestError
        If the network takes no images of this size.
    """
    try:
        with torch.no_grad():
            output: Tensor = stage.module(x)
    # Too small an image is a RuntimeError of torch; vision transformers assert their size.
    except (RuntimeError, AssertionError, ValueError) as error:
        raise RequestError(
            f"the base does not take images of {side} x {side} pixels ({first_line(error)}): leave out --crop"
        ) from error
    return output


def arrange_layers(stages: Sequence[Stage], shapes: Sequence[tuple[int, ...]], side: int) -> tuple[Layer, ...]:
    """Make a Layer of each stage and the shape of one image after it: with its layout, its stride and its alias."""
    layouts: list[Layout] = []
    strides: list[int | None] = []
    for stage, shape in zip(stages, shapes, strict=True):
        layout = stage.layout or layout_of(shape)
        layouts.append(layout)
        strides.append(output_stride(shape, layout, side))
    aliases: dict[int, str] = {}
    if has_aliases(stages):
        aliases = place_aliases([stage.name for stage in stages], hide_heads(stages, strides))
    layers = []
    for index, (stage, shape, stride, layout) in enumerate(zip(stages, shapes, strides, layouts, strict=True)):
        layers.append(Layer(index, stage.name, aliases.get(index, ""), shape, stride, layout))
    return tuple(layers)


def has_aliases(stages: Sequence[Stage]) -> bool:
    """Whether strides tell depth: they do in networks of maps, not of tokens, nor where nothing was learned."""
    has_tokens = any(stage.layout in ("tokens", "patches") for stage in stages)
    return not has_tokens and any(stage.has_parameters for stage in stages)


def output_stride(shape: Sequence[int], layout: Layout, side: int) -> int | None:
    """Work out a layer's stride, rounded to a power of two; None for vectors and for maps of a single place."""
    size = places(shape, layout)
    if size is None or size[0] <= 1:
        return None
    # Maps of odd sides divide unevenly: 35 of 299 pixels, as in Inception, is a stride of 8.
    return 2 ** round(math.log2(side / size[0]))


def hide_heads(stages: Sequence[Stage], strides: Sequence[int | None]) -> list[int | None]:
    """Replace by None the strides of stages that add no depth of their own.

    They are part of the classifier, or convolve only within each place (the 1 x 1 end of a MobileNet), or follow such a
    stage without any convolution (its normalisation and rectifier).
    """
    visible: list[int | None] = []
    in_head = False
    for stage, stride in zip(stages, strides, strict=True):
        follows_head = in_head and is_pointwise_follower(stage.module)
        is_named_head = stage.name.split(".")[0] in HEAD_STAGES
        in_head = is_named_head or follows_head or convolves_pointwise(stage.module)
        visible.append(None if in_head else stride)
    return visible


def convolves_pointwise(module: nn.Module) -> bool:
    """Whether a module has convolutions, and all of them are 1 x 1."""
    kernels = {part.kernel_size for part in module.modules() if isinstance(part, nn.Conv2d)}
    return kernels == {(1, 1)}


def is_pointwise_follower(module: nn.Module) -> bool:
    """Whether a module is a normalisation or an activation function by itself."""
    return isinstance(module, (nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish))


def place_aliases(names: Sequence[str], strides: Sequence[int | None]) -> dict[int, str]:
    """Give each alias to the last stage whose stride is at most the one that it stands for.

    Where a network passes through every stride this is the last stage *of* that stride; one that ends earlier
    (SqueezeNet ends at 16) has its deeper aliases at its last map, so that every alias exists for every base.
    A base whose own stages bear these names keeps its names.

    Parameters
    ----------
    names : sequence of str
        Names of the stages, in order.
    strides : sequence of int or None
        Output strides of the stages; those with None are passed over.

    Returns
    -------
    dict of index of a stage to its aliases, joined by commas
    """
    if set(ALIASES) <= set(names):
        return {}
    aliases: dict[int, list[str]] = {}
    for alias, stride in ALIASES.items():
        index = last_of_stride(strides, stride)
        if index is not None and alias not in names:
            aliases.setdefault(index, []).append(alias)
    return {index: ",".join(joined) for index, joined in aliases.items()}


def last_of_stride(strides: Sequence[int | None], most: int) -> int | None:
    """Find the last stage that has a stride of at most `most`; a stride of 1 does not count."""
    last = None
    for index, stride in enumerate(strides):
        if stride is not None and 1 < stride <= most:
            last = index
    return last
