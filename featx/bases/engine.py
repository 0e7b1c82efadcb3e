"""Runs a base over batches of pixels on a device."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from featx.bases.base import Base
from featx.bases.transform import to_input
from featx.errors import RequestError, unknown

log = logging.getLogger(__name__)

Features = dict[tuple[str, str], NDArray[np.float32]]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def choose_device(asked: str) -> torch.device:
    """Turn `--device` into a device that is there.

    Raises
    ------
    UnknownName
        If it names no kind of device.
    RequestError
        If this machine has no such device.
    """
    there = ["cpu"]
    if torch.cuda.is_available():
        there = ["cuda", *there, *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        there = ["mps", *there]
    if asked == "auto":
        return torch.device(there[0])
    if asked.split(":")[0] not in ("cpu", "cuda", "mps"):
        raise unknown("device", asked, ["auto", *there])
    if asked not in there:
        raise RequestError(f"device '{asked}' is not on this machine. There are: {', '.join(there)}")
    return torch.device(asked)


@dataclass
class TorchEngine:
    """Eager torch: the reference for every other engine.

    Attributes
    ----------
    base : Base
        Moved to the device, in its own precision and channels_last memory.
    wanted : mapping of layer name to pooling names
    device : torch.device
    batch_size : int
        Short batches are filled up to it: libraries choose other kernels for other batch sizes, and a feature must not
        depend, in its last bits, on how many images happened to be computed beside it.
    """

    base: Base
    wanted: Mapping[str, Sequence[str]]
    device: torch.device
    batch_size: int = 1

    def __post_init__(self) -> None:
        self.dtype = DTYPES[self.base.id.precision]
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        for stage in self.base.stages:
            stage.module.to(self.device, self.dtype).to(memory_format=torch.channels_last)

    def __call__(self, pixels: NDArray[np.uint8]) -> Features:
        """Compute features: (n, height, width, 3) uint8 to one (n, ...) float32 array a layer and pooling."""
        lacking = self.batch_size - len(pixels)
        if lacking <= 0:
            return self.compute(pixels)
        filled = np.concatenate([pixels, np.zeros((lacking, *pixels.shape[1:]), np.uint8)])
        return {name: output[: len(pixels)] for name, output in self.compute(filled).items()}

    @torch.inference_mode()
    def compute(self, pixels: NDArray[np.uint8]) -> Features:
        """Compute the features of one batch, in halves if the device's memory is too small for it."""
        try:
            batch = torch.from_numpy(pixels)
            if self.device.type == "cuda":
                batch = batch.pin_memory().to(self.device, non_blocking=True)
            x = to_input(batch.to(self.device), self.base.id.transform).to(self.dtype)
            outputs = self.base.forward(x, self.wanted)
            return {name: output.float().cpu().numpy() for name, output in outputs.items()}
        except torch.OutOfMemoryError:
            if len(pixels) == 1:
                raise RequestError(f"one image is more than the memory of {self.device}: use --device cpu") from None
        torch.cuda.empty_cache()
        half = len(pixels) // 2
        log.warning("%s is out of memory with %d images at once: trying %d", self.device, len(pixels), half)
        first, second = self.compute(pixels[:half]), self.compute(pixels[half:])
        return {name: np.concatenate([first[name], second[name]]) for name in first}
