"""Runs a base with torch on any device."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from featx.bases.base import Base, Stage
from featx.engines.device import forbid_tf32
from featx.errors import RequestError
from featx.images.normalise import to_input
from featx.types import LayerFeatures

log = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass
class TorchEngine:
    """Torch, in the base's own precision and channels_last memory.

    Attributes
    ----------
    base : Base
        Moved to the device, in place.
    wanted : mapping of layer name to pooling names
    device : torch.device
    batch_size : int
        Short batches are filled up to it: libraries choose other kernels for other batch sizes, and a feature must not
        depend, in its last bits, on how many images happened to be computed beside it.
    """

    base: Base
    wanted: Mapping[str, Sequence[str]]
    device: torch.device
    batch_size: int

    def __post_init__(self) -> None:
        self.dtype = DTYPES[self.base.id.precision]
        forbid_tf32()
        for stage in self.base.stages:
            stage.module.to(self.device, self.dtype).to(memory_format=torch.channels_last)
        self.names = self.base.outputs(self.wanted)
        self.run: Callable[[Tensor], tuple[Tensor, ...]] = self.run_stages

    def run_stages(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Compute what `names` lists for one batch, (n, height, width, 3) uint8 on the device."""
        x = to_input(pixels, self.base.id.transform).to(self.dtype)
        return tuple(self.base.forward(x, self.wanted).values())

    def compile(self) -> None:
        """Have torch's compiler write one program for the whole pass; on a GPU it is recorded as a CUDA graph.

        It takes up to a minute. All batches have one size, so once is enough.

        Raises
        ------
        Exception
            Whatever torch's compiler, or the C++ compiler that it calls, raises.
        """
        self.run = torch.compile(self.run_stages, dynamic=False, mode="reduce-overhead")
        side = self.base.id.transform.crop
        self(np.zeros((self.batch_size, side, side, 3), np.uint8))

    @torch.inference_mode()
    def start(self, pixels: NDArray[np.uint8] | Tensor) -> Callable[[], LayerFeatures]:
        """Begin to compute features, and return the function that waits for them.

        Parameters
        ----------
        pixels : (n, height, width, 3) uint8

        Returns
        -------
        callable
            Gives one (n, ...) float32 array a layer and pooling.

        Raises
        ------
        RequestError
            If one image alone is more than the device's memory.
        """
        chunks: list[dict[tuple[str, str], Tensor]] = []
        for batch, rows in self.split(torch.as_tensor(pixels)):
            chunks += self.compute(batch, rows)
        copied = None
        if self.device.type == "cuda":
            copied = torch.cuda.Event()
            copied.record()

        def wait() -> LayerFeatures:
            if copied:
                copied.synchronize()
            return {name: np.concatenate([chunk[name].numpy() for chunk in chunks]) for name in chunks[0]}

        return wait

    def __call__(self, pixels: NDArray[np.uint8] | Tensor) -> LayerFeatures:
        """Compute features, and wait for them."""
        return self.start(pixels)()

    def split(self, pixels: Tensor) -> list[tuple[Tensor, int]]:
        """Split into batches of one size, the last filled up with black images; each with its number of real images."""
        batches = []
        for first in range(0, len(pixels), self.batch_size):
            batch = pixels[first : first + self.batch_size]
            rows = len(batch)
            if rows < self.batch_size:
                black = batch.new_zeros((self.batch_size - rows, *pixels.shape[1:]))
                batch = torch.cat([batch, black])
            batches.append((batch, rows))
        return batches

    def compute(self, pixels: Tensor, rows: int) -> list[dict[tuple[str, str], Tensor]]:
        """Begin to compute one batch, in halves if the device lacks memory; keep the first rows, in host memory.

        What it gives, a chunk for each piece of the batch, may be read only after the event that `start` records.
        """
        try:
            if self.device.type == "cuda" and not pixels.is_cuda:
                # Only from pinned memory does a copy run beside the computation.
                pixels = pixels.pin_memory()
            outputs = self.run(pixels.to(self.device, non_blocking=True))
            hosted = [self.to_host(output[:rows].float()) for output in outputs]
            return [dict(zip(self.names, hosted, strict=True))]
        except torch.OutOfMemoryError:
            if len(pixels) == 1:
                raise RequestError(
                    f"one image alone is more than the memory of {self.device}: use --device cpu"
                ) from None
        # Outside of the handler: the error holds on to what did not fit.
        torch.cuda.empty_cache()
        half = len(pixels) // 2
        log.warning("%s is out of memory with %d images at once: trying %d", self.device, len(pixels), half)
        # Not joined here: copies from the device may still be on their way.
        return [*self.compute(pixels[:half], min(rows, half)), *self.compute(pixels[half:], max(0, rows - half))]

    def to_host(self, output: Tensor) -> Tensor:
        """Copy to host memory; from a GPU without waiting, so it may be read only after an event."""
        if output.device.type != "cuda":
            return output.cpu()
        return torch.empty(output.shape, pin_memory=True).copy_(output, non_blocking=True)


def fuse_batchnorm(base: Base) -> Base:
    """Fold batch norm into the convolutions before it, stage by stage, where that is possible: up to twice as fast.

    In float32 features change by less than 1e-5 relative. Other precisions stay as they are, since rounding the folded
    weights would change more.
    """
    if base.id.precision != "float32":
        return base
    stages = tuple(Stage(stage.name, fuse_module(stage.module)) for stage in base.stages)
    return replace(base, stages=stages)


def fuse_module(module: nn.Module) -> nn.Module:
    """Fold batch norm into convolutions; a module without it, or that cannot be traced, stays as it is."""
    if not any(isinstance(part, nn.BatchNorm2d) for part in module.modules()):
        return module
    try:
        folded: nn.Module = fuse(module.eval())
    except Exception as error:  # tracing raises whatever the module's own code raises
        log.debug("a stage is not fused: %s", error)
        return module
    return folded.requires_grad_(False)
