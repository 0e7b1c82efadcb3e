"""The layer table: what each stage of a base gives and costs, worked out without weights, network or images."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from featx.bases.architecture import Architecture
from featx.bases.base import Layer, Stage, activation_shapes, arrange_layers
from featx.bases.pooling import POOLINGS, pooled_shape
from featx.errors import UnsupportedLayout

BUDGET = 1.5
"""Seconds that may be spent on measuring time; stages beyond it are estimated from their multiply-adds."""

FASTEST, SLOWEST = 1e-11, 2e-10
"""Seconds that a multiply-add may take: bounds of what is expected of a stage before it is measured."""

aten = torch.ops.aten
Field = tuple[float, float]
"""Receptive field, and the pixels of input that a step on the map stands for."""

WHOLE = math.inf
"""Receptive field of what has seen every place."""


@dataclass(frozen=True)
class LayerRow:
    """One row of the layer table.

    Attributes
    ----------
    index, name, alias, shape, stride, layout
        As in `featx.bases.base.Layer`.
    receptive_field : int
        Side in pixels of the square of the input that one place depends on, gates from global averages (squeeze and
        excitation) left aside. It may be larger than the image; after attention or pooling over the whole image it is
        at least its side.
    parameters, total_parameters : int
        Of the stage, and of all stages up to it.
    multiply_adds, total_multiply_adds : int
        Of convolutions and matrix products for one image: of the stage, and of all up to it.
    time_share : float
        Share of the time of the whole network on this machine's CPU, one image at a time.
    time_measured : bool
        False: estimated from multiply-adds, since measuring would take too long.
    bytes : dict of pooling to int
        What one image takes in the cache as float32; poolings that do not fit the layer are not in it.
    """

    index: int
    name: str
    alias: str
    shape: tuple[int, ...]
    stride: int | None
    layout: str
    receptive_field: int
    parameters: int
    total_parameters: int
    multiply_adds: int
    total_multiply_adds: int
    time_share: float
    time_measured: bool
    bytes: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


class Tracer(TorchDispatchMode):
    """Follows one image through a network on the meta device: counts multiply-adds, and how far each place looks.

    Receptive fields follow Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks"
    (2019): a kernel of k widens the field by (k - 1) jumps, where a jump is the stride so far. Branches that meet keep
    the widest; those that have seen every place (gates) count only where nothing else is there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.multiply_adds = 0

    def field(self, tensors: Sequence[Any]) -> Field | None:
        """Find the widest (field, jump) among tensors that descend from the image."""
        found = [tensor.featx_field for tensor in flatten(tensors) if hasattr(tensor, "featx_field")]
        local = [field for field in found if field[0] < WHOLE]
        return max(local or found, default=None)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation, and note what it costs and sees."""
        out = function(*args, **(kwargs or {}))
        count = flop_registry.get(function.overloadpacket)
        if count:
            self.multiply_adds += count(*args, **(kwargs or {}), out_val=out) // 2
        field = self.field(args)
        if field:
            field = widen(function.overloadpacket, args, field, self.field)
            for tensor in flatten([out]):
                tensor.featx_field = field
        return out


def flatten(values: Sequence[Any]) -> list[Any]:
    """List the tensors in the arguments or results of an operation."""
    found: list[Any] = []
    for value in values:
        found += [value] if isinstance(value, Tensor) else flatten(value) if isinstance(value, (list, tuple)) else []
    return found


def widen(operation: Any, args: Any, field: Field, find: Any) -> Field:
    """Work out (field, jump) after an operation from those before it."""
    size, jump = field
    if operation is aten.convolution:
        kernel, stride, dilation = args[1].shape[-1], args[3][0], args[5][0]
        return size + (kernel - 1) * dilation * jump, jump * stride
    if operation in (aten.max_pool2d_with_indices, aten.avg_pool2d):
        stride = args[2][0] if len(args) > 2 and args[2] else args[1][0]
        return size + (args[1][0] - 1) * jump, jump * stride
    if operation in (aten.adaptive_avg_pool2d, aten._adaptive_avg_pool2d):
        wider = math.ceil(args[0].shape[-1] / args[1][0])
        return (WHOLE, jump) if args[1][0] == 1 else (size + wider * jump, jump)
    if operation is aten.mean and len(args) > 1 and len(args[0].shape) == 4 and len(args[1]) == 2:
        return WHOLE, jump
    if operation is aten.slice and len(args) > 4 and args[4] > 1 and args[1] == 1:  # Swin joins neighbours by slicing
        return size + (args[4] - 1) * jump, jump * args[4]
    scores = operation is aten.bmm and args[0].shape[1] == args[1].shape[2] and find([args[0]]) and find([args[1]])
    if scores and args[0].shape[1] != args[0].shape[2]:  # attention among a square of tokens
        return size + (math.isqrt(args[0].shape[1]) - 1) * jump, jump
    return field


def sees_all(module: nn.Module) -> bool:
    """Whether a module's attention reaches over the whole image by a grid (MaxViT)."""
    return any(getattr(part, "partition_type", "") == "grid" for part in module.modules())


@dataclass(frozen=True)
class Trace:
    """What following one image told of each stage: shape after it, multiply-adds, receptive field."""

    shapes: list[tuple[int, ...]]
    costs: list[int]
    fields: list[int]


def trace(stages: Sequence[Stage], side: int) -> Trace:
    """Follow one image through stages that lie on the meta device.

    Raises
    ------
    RequestError
        If the network takes no images of this size.
    """
    tracer = Tracer()
    totals, fields = [0], [1]

    def note(x: Any) -> None:
        totals.append(tracer.multiply_adds)
        everything = sees_all(stages[len(fields) - 1].module) or len(x.shape) == 2
        seen = WHOLE if everything else getattr(x, "featx_field", (WHOLE,))[0]
        fields.append(int(max(fields[-1], seen if seen < WHOLE else side)))

    x: Any = torch.empty(1, 3, side, side, device="meta")
    x.featx_field = (1.0, 1.0)
    with tracer:
        shapes = activation_shapes(stages, x, note)
    return Trace(shapes, [after - before for before, after in pairwise(totals)], fields[1:])


def time_stages(stages: Sequence[Stage], shapes: Sequence[tuple[int, ...]], costs: Sequence[int]) -> list[float | None]:
    """Measure seconds a stage for one image on the CPU, weights set to zero, as far as `BUDGET` reaches.

    Parameters
    ----------
    stages : sequence of Stage
        On the meta device; they are left on the CPU as far as they were measured.
    shapes : sequence of tuple
        Of one image before the first stage, and after each.
    costs : sequence of int
        Multiply-adds of each stage.

    Returns
    -------
    list of float or None
        None where the time would not suffice.
    """
    started = time.perf_counter()
    seconds: list[float | None] = []
    spent, counted = 0.0, 1
    for stage, shape, cost in zip(stages, shapes, costs, strict=False):
        left = BUDGET - (time.perf_counter() - started)
        weights = sum(p.numel() for p in stage.module.parameters())
        rate = min(max(spent / counted, FASTEST), SLOWEST)
        if 3 * cost * rate + weights * 1e-8 > left:
            seconds.append(None)
            continue
        seconds.append(time_stage(stage.module, shape))
        spent, counted = spent + (seconds[-1] or 0.0), counted + cost
    return seconds


def time_stage(module: nn.Module, shape: tuple[int, ...]) -> float:
    """Run a stage on zeros, once to warm up and twice on the clock: the smaller number of seconds."""
    module.to_empty(device="cpu")
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data.zero_()
    times = []
    with torch.inference_mode():
        for _ in range(3):
            x = torch.zeros(1, *shape)
            started = time.perf_counter()
            module(x)
            times.append(time.perf_counter() - started)
    return min(times[1:])


def shares(seconds: Sequence[float | None], costs: Sequence[int]) -> list[float]:
    """Turn seconds into shares of the whole; where there are none, multiply-adds at the rate of the others stand in."""
    known = [(one, cost) for one, cost in zip(seconds, costs, strict=True) if one is not None]
    rate = sum(one for one, _ in known) / max(1, sum(cost for _, cost in known)) or 1e-11
    filled = [cost * rate if one is None else one for one, cost in zip(seconds, costs, strict=True)]
    return [one / (sum(filled) or 1.0) for one in filled]


def bytes_an_image(layer: Layer) -> dict[str, int]:
    """Bytes that one image of a layer takes as float32, by pooling."""
    found = {}
    for pooling in POOLINGS:
        try:
            found[pooling] = 4 * math.prod(pooled_shape(pooling, layer.shape, layer.layout))
        except UnsupportedLayout:
            continue
    return found


def layer_table(architecture: Architecture) -> list[LayerRow]:
    """Describe every layer of a base with its costs.

    Parameters
    ----------
    architecture : Architecture
        Its input transform states the size of the image that is followed.

    Raises
    ------
    RequestError
        If it takes no images of this size.
    """
    side = architecture.input.crop
    stages = architecture.meta_stages()
    traced = trace(stages, side)
    layers, costs = arrange_layers(stages, traced.shapes, side), traced.costs
    parameters = [sum(p.numel() for p in stage.module.parameters()) for stage in stages]
    seconds = time_stages(stages, [(3, side, side), *traced.shapes], costs)
    rows = []
    for place, (layer, share) in enumerate(zip(layers, shares(seconds, costs), strict=True)):
        rows.append(
            LayerRow(
                **{field: getattr(layer, field) for field in ("index", "name", "alias", "shape", "stride", "layout")},
                receptive_field=traced.fields[place],
                parameters=parameters[place],
                total_parameters=sum(parameters[: place + 1]),
                multiply_adds=costs[place],
                total_multiply_adds=sum(costs[: place + 1]),
                time_share=round(share, 4),
                time_measured=seconds[place] is not None,
                bytes=bytes_an_image(layer),
            )
        )
    return rows
