"""Engines: what runs a base over pixels. In float32 all agree with eager torch within 1e-4; which ran is provenance."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from featx.bases.base import Base
from featx.bases.names import BASE_NAMES
from featx.engines.openvino_engine import OpenVinoEngine, Unsupported
from featx.engines.torch_engine import TorchEngine, fused
from featx.errors import RequestError, unknown
from featx.images.augment import make_views
from featx.images.gpu_resize import DeviceResizer
from featx.timing import Clock
from featx.types import LayerFeatures, Pixels, WantedLayers

log = logging.getLogger(__name__)


WORTH_COMPILING = 150
"""Images in a data set from which on OpenVINO earns back the second that it takes to translate a network."""


class Engine(Protocol):
    """What runs a base."""

    def start(self, pixels: Any) -> Callable[[], LayerFeatures]:
        """Begin to compute features of (n, height, width, 3) pixels; what it returns waits for them.

        Pixels are a numpy array, or a tensor where a device resized them. Features come as one (n, ...) float32 array
        a layer and pooling. Threads may call it at the same time.
        """


@dataclass(frozen=True)
class Plan:
    """How a base is to be run.

    Attributes
    ----------
    base : Base
    wanted : mapping of layer name to pooling names
    device : torch.device
    batch_size : int or None
        Images a forward pass; None chooses by device and engine.
    workers : int
        Threads that call the engine.
    """

    base: Base
    wanted: WantedLayers
    device: torch.device
    batch_size: int | None
    workers: int

    @property
    def device_batch(self) -> int | None:
        """Images that are handed to a device at a time; None on the CPU, where each thread computes what it decoded."""
        return None if self.device.type == "cpu" else self.batch_size or 256

    @cached_property
    def resizer(self) -> DeviceResizer | None:
        """What resizes pictures on a GPU; None on the CPU, where Pillow is fastest, and on MPS, which lacks float64."""
        return DeviceResizer(self.base.id.transform, self.device) if self.device.type == "cuda" else None

    def prepare(self, picture: Image.Image, digest: bytes, views: Sequence[int]) -> dict[int, Pixels]:
        """Make views of a decoded picture, by their numbers; the first as it is where the device shall resize it."""
        if 0 in views and self.resizer and self.resizer.takes(picture):
            others = [view for view in views if view]
            return {0: np.asarray(picture), **make_views(picture, self.base.id.transform, digest, others)}
        return make_views(picture, self.base.id.transform, digest, views)

    def stack(self, images: Sequence[Pixels]) -> Pixels | Tensor:
        """Bring what `prepare` made together: (n, crop, crop, 3) uint8."""
        return self.resizer(images) if self.resizer else np.stack(images)


def make_eager(plan: Plan) -> TorchEngine:
    """Torch as torchvision's networks run: the reference."""
    return TorchEngine(plan.base, plan.wanted, plan.device, plan.device_batch or plan.batch_size or 8)


def make_torch(plan: Plan) -> TorchEngine:
    """Torch with batch norm folded into convolutions, where precision allows it."""
    return make_eager(replace(plan, base=fused(plan.base)))


def make_compiled(plan: Plan) -> TorchEngine:
    """Torch, compiled: for long runs on a GPU, where it takes a minute and saves launches and passes over memory.

    Raises
    ------
    RequestError
        If the compiler gives up, or the one of C++ that it calls is not there.
    """
    engine = make_torch(plan)
    try:
        engine.compile()
    except RequestError:
        raise
    except Exception as error:  # the compiler raises what it likes
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise RequestError(f"engine 'compile' cannot run this: {reason}. Use --engine torch") from error
    return engine


def make_openvino(plan: Plan) -> Engine:
    """Translate the base for OpenVINO.

    Raises
    ------
    RequestError
        If it is not installed, or cannot run this base, device or precision.
    """
    if importlib.util.find_spec("openvino") is None:
        raise RequestError("engine 'openvino' is not installed. Run: pip install 'featx[openvino]'")
    try:
        return OpenVinoEngine(plan.base, plan.wanted, plan.device, plan.batch_size or 1, plan.workers)
    except Unsupported as error:
        raise RequestError(f"engine 'openvino' cannot run this: {error}. Use --engine torch") from error


ENGINES: dict[str, Callable[[Plan], Engine]] = {
    "torch": make_torch,
    "compile": make_compiled,
    "openvino": make_openvino,
    "eager": make_eager,
}
"""Name of an engine (`--engine`): how it is made."""


def choose_engine(asked: str, plan: Plan, images: int) -> tuple[str, Engine]:
    """Make the engine that `--engine` names, or the fastest one that is there.

    Parameters
    ----------
    asked : str
        A name in `ENGINES`, or "auto".
    plan : Plan
    images : int
        Of the whole data set, so that an interrupted run goes on with the engine that began it.

    Raises
    ------
    UnknownName
        If there is no such engine.
    RequestError
        If the one asked for cannot run this.
    """
    if asked != "auto":
        if asked not in ENGINES:
            raise unknown("engine", asked, ["auto", *ENGINES])
        return asked, ENGINES[asked](plan)
    is_known = plan.base.id.architecture in BASE_NAMES  # tracing a network of unknown make may miss its branches
    if images >= WORTH_COMPILING and is_known and plan.device.type == "cpu" and importlib.util.find_spec("openvino"):
        try:
            return "openvino", make_openvino(plan)
        except RequestError as error:
            log.info("%s", error)
    return "torch", make_torch(plan)


class LazyEngine:
    """An engine that is made when the first image is computed: most runs find everything in the cache.

    Parameters
    ----------
    asked : str
        As for `choose_engine`.
    plan : Plan
    images : int
    clock : Clock
        Told what making the engine and computing took.
    provenance : dict, optional
        Told the name of the engine.
    """

    def __init__(
        self, asked: str, plan: Plan, images: int, clock: Clock, provenance: dict[str, Any] | None = None
    ) -> None:
        self.asked, self.plan, self.images, self.clock = asked, plan, images, clock
        self.provenance = provenance if provenance is not None else {}
        self.engine: Engine | None = None
        self.lock = Lock()

    def build(self) -> Engine:
        """Make the engine, if that was not done yet."""
        with self.lock:
            if self.engine is None:
                with self.clock.timed("engine"):
                    self.provenance["engine"], self.engine = choose_engine(self.asked, self.plan, self.images)
            return self.engine

    def start(self, images: Sequence[Pixels]) -> Callable[[], LayerFeatures]:
        """Begin to compute features of pictures that the plan prepared; what it returns waits for them."""
        engine = self.build()
        with self.clock.timed("forward"):
            wait = engine.start(self.plan.stack(images))

        def finish() -> LayerFeatures:
            with self.clock.timed("forward"):
                return wait()

        return finish
