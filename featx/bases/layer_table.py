"""The layer table: what each stage of a base gives and costs, worked out without weights, network or images."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from featx.bases.architecture import Architecture
from featx.bases.base import Layer, Stage, arrange_layers, run_stage
from featx.bases.pooling import POOLINGS, pooled_shape
from featx.bases.receptive_field import FieldTracer, field_in_pixels, start_tracing
from featx.errors import UnsupportedLayout

TIME_BUDGET = 1.5
"""Seconds that may be spent on measuring time; stages beyond it are estimated from their multiply-adds."""

FASTEST = 1e-11
SLOWEST = 2e-10
"""Seconds that a multiply-add may take: bounds of what is expected of a stage before it is measured."""

SECONDS_PER_WEIGHT = 1e-8
"""What it takes to lay out a stage's weights in memory and set them to zero, before it is measured."""

PASSES = 20
"""Times on the clock of each measured stage, at most, of which the least counts: the others hold noise."""

KEPT_BYTES = 31 * 2**20
"""Just below the largest block, 32 MiB, that the C library of Linux keeps for reuse once one like it was given back."""

LEAST_PASSES = 2
"""Times on the clock that `TIME_BUDGET` has to have room for before a stage is measured."""


@dataclass(frozen=True)
class LayerRow:
    """One row of the layer table.

    Attributes
    ----------
    index, name, alias, shape, stride, layout
        As in `featx.bases.base.Layer`.
    receptive_field : int
        Side in pixels of the square of the input that one place depends on, without gates from global averages (squeeze
        and excitation). It may be larger than the image; after attention or pooling over the whole image it is at least
        the image's side.
    parameters, total_parameters : int
        Parameters of the stage, and of all stages up to it.
    multiply_adds, total_multiply_adds : int
        Multiply-adds in convolutions and matrix products for one image: of the stage, and of all stages up to it.
    time_share : float
        Share of the whole network's time on one thread of this machine's CPU, one image at a time.
    time_measured : bool
        False: estimated from multiply-adds, since measuring would take too long.
    bytes : dict of pooling to int
        What one image takes in the cache as float32; poolings that do not fit the layer are left out.
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
        """Convert to plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Trace:
    """What was found out about each stage by following one image.

    Attributes
    ----------
    shapes : list of tuple of int
        Shape of one image's activation after the stage.
    multiply_adds : list of int
        Multiply-adds of the stage by itself.
    receptive_fields : list of int
        Side in pixels, as `LayerRow` states it.
    """

    shapes: list[tuple[int, ...]]
    multiply_adds: list[int]
    receptive_fields: list[int]


def trace(stages: Sequence[Stage], side: int) -> Trace:
    """Follow one image through stages that are on the meta device.

    Raises
    ------
    RequestError
        If the network takes no images of this size.
    """
    shapes: list[tuple[int, ...]] = []
    multiply_adds: list[int] = []
    receptive_fields: list[int] = []
    counter = FlopCounterMode(display=False)
    field = 1
    counted = 0
    x = start_tracing(torch.empty(1, 3, side, side, device="meta"))
    # The tracer sees each operation first, before the counter breaks it up into those that it has formulas for.
    with counter, FieldTracer():
        for stage in stages:
            x = run_stage(stage, x, side)
            # A multiply-add is two floating-point operations.
            total = counter.get_total_flops() // 2
            field = max(field, field_in_pixels(stage.module, x, side))
            shapes.append(tuple(x.shape[1:]))
            multiply_adds.append(total - counted)
            receptive_fields.append(field)
            counted = total
    return Trace(shapes, multiply_adds, receptive_fields)


def time_stages(
    stages: Sequence[Stage], shapes: Sequence[tuple[int, ...]], multiply_adds: Sequence[int]
) -> list[float | None]:
    """Measure the seconds of each stage for one image on one thread, as far as `TIME_BUDGET` reaches.

    Extraction on a CPU runs the network on one thread, too; several wait for each other where the machine is busy, for
    hundreds of times as long as a stage takes. Weights are set to zero.

    A stage warms up and is timed at once, which says what the next one may cost. Then all are timed in turn several
    times over, and the least counts: what disturbs a machine for a moment meets a stage once, not in all of its runs.

    Parameters
    ----------
    stages : sequence of Stage
        On the meta device; those that were measured are left on the CPU.
    shapes : sequence of tuple
        Shape of one image before the first stage, and after each.
    multiply_adds : sequence of int
        Multiply-adds of each stage.

    Returns
    -------
    list of float or None
        None for stages that the budget does not reach.
    """
    threads_before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return time_passes(stages, shapes, multiply_adds)
    finally:
        torch.set_num_threads(threads_before)


def time_passes(
    stages: Sequence[Stage], shapes: Sequence[tuple[int, ...]], multiply_adds: Sequence[int]
) -> list[float | None]:
    """Measure as `time_stages` does, on as many threads as torch has."""
    # Given back at once. Before that, large activations get new pages from the system in every run, which takes longer
    # than computing them.
    torch.empty(KEPT_BYTES, dtype=torch.uint8)
    started = time.perf_counter()
    seconds: list[float | None] = []
    spent = 0.0
    counted = 1
    for stage, shape, cost in zip(stages, shapes, multiply_adds, strict=False):
        left = TIME_BUDGET - (time.perf_counter() - started)
        weights = count_parameters(stage.module)
        # The speed so far tells what to expect of the next stage; bounded, since the first ones are too small to tell.
        rate = min(max(spent / counted, FASTEST), SLOWEST)
        # It warms up first, and the stages before it are to be timed again, too.
        runs_of_stage = (1 + LEAST_PASSES) * cost * rate
        further_passes = (LEAST_PASSES - 1) * spent
        if runs_of_stage + further_passes + weights * SECONDS_PER_WEIGHT > left:
            seconds.append(None)
            continue
        lay_out(stage.module)
        time_run(stage.module, shape)
        measured = time_run(stage.module, shape)
        seconds.append(measured)
        spent += measured
        counted += cost
    for done in range(1, PASSES):
        left = TIME_BUDGET - (time.perf_counter() - started)
        if done >= LEAST_PASSES and spent > left:
            break
        seconds = time_again(stages, shapes, seconds)
    return seconds


def time_again(
    stages: Sequence[Stage], shapes: Sequence[tuple[int, ...]], seconds: Sequence[float | None]
) -> list[float | None]:
    """Time all measured stages once more, one after another; the smaller number of seconds stays."""
    least: list[float | None] = []
    for stage, shape, before in zip(stages, shapes, seconds, strict=False):
        least.append(None if before is None else min(before, time_run(stage.module, shape)))
    return least


def count_parameters(module: nn.Module) -> int:
    """Count the numbers that a module has learned."""
    return sum(parameter.numel() for parameter in module.parameters())


def lay_out(module: nn.Module) -> None:
    """Put a stage on the CPU, its weights set to zero."""
    # Zeros: uninitialised memory may hold denormal numbers, which are slow.
    module.to_empty(device="cpu")
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data.zero_()


def time_run(module: nn.Module, shape: tuple[int, ...]) -> float:
    """Run a stage on one image of zeros, and take the seconds."""
    x = torch.zeros(1, *shape)
    with torch.inference_mode():
        started = time.perf_counter()
        module(x)
        return time.perf_counter() - started


def share_time(seconds: Sequence[float | None], multiply_adds: Sequence[int]) -> list[float]:
    """Turn seconds into shares of the whole.

    Where a stage was not measured, its multiply-adds at the rate of the measured ones stand in.
    """
    measured_seconds = 0.0
    measured_cost = 0
    for measured, cost in zip(seconds, multiply_adds, strict=True):
        if measured is not None:
            measured_seconds += measured
            measured_cost += cost
    rate = measured_seconds / max(1, measured_cost) or FASTEST
    filled = []
    for measured, cost in zip(seconds, multiply_adds, strict=True):
        filled.append(cost * rate if measured is None else measured)
    total = sum(filled) or 1.0
    return [part / total for part in filled]


def count_bytes(layer: Layer) -> dict[str, int]:
    """Bytes that one image of a layer takes as float32, by pooling."""
    sizes = {}
    for pooling in POOLINGS:
        try:
            sizes[pooling] = 4 * math.prod(pooled_shape(pooling, layer.shape, layer.layout))
        except UnsupportedLayout:
            continue
    return sizes


def layer_table(architecture: Architecture) -> list[LayerRow]:
    """Describe every layer of a base with its costs.

    Parameters
    ----------
    architecture : Architecture
        Its input transform states the size of the image that is followed.

    Returns
    -------
    list of LayerRow
        One for each stage, in order.

    Raises
    ------
    RequestError
        If the network takes no images of this size.
    """
    side = architecture.input.crop
    stages = architecture.meta_stages()
    traced = trace(stages, side)
    costs = traced.multiply_adds
    total_costs = list(accumulate(costs))
    parameters = [count_parameters(stage.module) for stage in stages]
    total_parameters = list(accumulate(parameters))
    seconds = time_stages(stages, [(3, side, side), *traced.shapes], costs)
    shares = share_time(seconds, costs)
    rows = []
    for i, layer in enumerate(arrange_layers(stages, traced.shapes, side)):
        row = LayerRow(
            layer.index,
            layer.name,
            layer.alias,
            layer.shape,
            layer.stride,
            layer.layout,
            receptive_field=traced.receptive_fields[i],
            parameters=parameters[i],
            total_parameters=total_parameters[i],
            multiply_adds=costs[i],
            total_multiply_adds=total_costs[i],
            time_share=round(shares[i], 4),
            time_measured=seconds[i] is not None,
            bytes=count_bytes(layer),
        )
        rows.append(row)
    return rows
