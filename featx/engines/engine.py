"""What runs a base over pixels, and by which plan.

Which engine computed a feature is provenance, not identity: in float32 all agree with eager torch to 1e-4. In bfloat16
they agree as far as rounding does: about 1e-2 of most networks, 1e-1 of mobilenet_v2.
"""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from featx.bases.base import Base
from featx.bases.names import HANDCRAFTED_BASES
from featx.engines.openvino_engine import OpenVinoEngine, Unsupported, processor_has_bfloat16
from featx.engines.torch_engine import TorchEngine, fuse_batchnorm
from featx.errors import RequestError, unknown
from featx.images.augment import make_views
from featx.images.decode import DECODING_BUDGET
from featx.images.gpu_resize import DeviceResizer
from featx.images.views import keep_raw
from featx.keys import FeatureKey
from featx.log import note
from featx.processes.machine import count_cores, half_the_memory
from featx.timing import Clock
from featx.types import LayerFeatures, Pixels, WantedLayers

log = logging.getLogger(__name__)

WORTH_COMPILING = 150
"""Images in a data set from which on OpenVINO earns back the second that it takes to translate a network."""

DEVICE_BATCH = 256
"""Images that a device gets at a time by default: enough to fill a GPU, few enough for its memory."""

RAW_FROM_PROCESSES = False
"""Whether a device resizes what processes decode. It spares them a third of their time, but the pixels are four times
as many bytes, which pass through the thread that feeds the device: 1,153 photos a second against 1,673 on an H200."""

CORE_BATCH = 8
"""Images of a forward pass on the CPU by default: the slice that a thread decodes (`featx.data.slices.SLICE`)."""


INPUT_BYTES_PER_PIXEL = 3 * (1 + 4)
"""Of an image on its way into a network: bytes of three colours, and the same as float32."""


ACTIVATIONS = 4
"""Times the largest output of a layer that a forward pass takes: inside of blocks there are larger maps, and copies."""


class Engine(Protocol):
    """What runs a base, `batch_size` images in a forward pass."""

    batch_size: int

    def start(self, pixels: Any) -> Callable[[], LayerFeatures]:
        """Begin to compute features, and return the function that waits for them; threads may call it side by side.

        Parameters
        ----------
        pixels : (n, height, width, 3) uint8
            A numpy array, or a tensor where a device has resized the images.

        Returns
        -------
        callable
            Gives one (n, ...) float32 array a layer and pooling.
        """


@dataclass(frozen=True)
class Plan:
    """How a base is to be run; `make_plan` fills in what follows from the device.

    Attributes
    ----------
    base : Base
    wanted : mapping of layer name to pooling names
    device : torch.device
    batch_size : int or None
        Images of a forward pass; None chooses by device and engine.
    workers : int
        Threads that call the engine.
    device_batch : int or None
        Images that are handed to a device at a time; None on the CPU, where each thread computes what it decoded.
    resizer : DeviceResizer or None
        Resizes images on the device; None where Pillow does it.
    in_processes : bool or None
        Whether images are loaded in processes, where that is possible; None chooses by the number of threads and rows.
    raw_from_processes : bool
        Whether the resizer also gets pictures that processes have decoded.
    """

    base: Base
    wanted: WantedLayers
    device: torch.device
    batch_size: int | None
    workers: int
    device_batch: int | None = None
    resizer: DeviceResizer | None = None
    in_processes: bool | None = None
    raw_from_processes: bool = RAW_FROM_PROCESSES

    def count_forward_bytes(self, images: int) -> int:
        """Count about the bytes that a forward pass of so many images takes on the CPU, in float32."""
        largest = max(math.prod(layer.shape) for layer in self.base.layers)
        return images * ACTIVATIONS * 4 * largest

    @property
    def keeps_raw(self) -> bool:
        """Whether the device shall resize the pictures that may stay as they were decoded."""
        return self.resizer is not None and self.resizer.is_usable

    def prepare(self, picture: Image.Image, digest: bytes, views: Sequence[int]) -> dict[int, Pixels]:
        """Make views of a decoded picture, by their numbers; view 0 stays as it is where the device shall resize it."""
        transform = self.base.id.transform
        kept: dict[int, Pixels] = {}
        if self.keeps_raw:
            kept, views = keep_raw(picture, transform, views)
        return {**kept, **make_views(picture, transform, digest, views)}

    def stack(self, images: Sequence[Pixels]) -> Pixels | Tensor:
        """Bring prepared images to one size and together: (n, crop, crop, 3) uint8."""
        if self.resizer:
            return self.resizer(images)
        return np.stack(images)


def make_plan(base: Base, wanted: WantedLayers, device: torch.device, batch_size: int | None, workers: int) -> Plan:
    """Plan to run a base on a device, with what suits this kind of device; parameters are those of `Plan`.

    Raises
    ------
    RequestError
        If the images of a forward pass alone take more than half of the memory.
    """
    check_batch(base, batch_size, workers if device.type == "cpu" else 1)
    device_batch = None
    if device.type != "cpu":
        device_batch = batch_size or DEVICE_BATCH
    resizer = None
    if device.type == "cuda":
        # On the CPU Pillow is fastest, and MPS lacks the float64 that Pillow's pixels need.
        resizer = DeviceResizer(base.id.transform, device)
    return Plan(base, wanted, device, batch_size, workers, device_batch, resizer)


def check_batch(base: Base, batch_size: int | None, workers: int) -> None:
    """Refuse batches whose images alone take more than half of the memory: activations take more than these.

    Raises
    ------
    RequestError
    """
    side = base.id.transform.crop
    needed = (batch_size or 1) * workers * side * side * INPUT_BYTES_PER_PIXEL
    if batch_size is not None and needed > half_the_memory():
        raise RequestError(
            f"{batch_size} images of {side} x {side} pixels at a time in {workers} threads take "
            f"{needed / 1e9:.0f} GB: give a smaller --batch-size"
        )


def group_poolings(keys: Sequence[FeatureKey]) -> WantedLayers:
    """List the poolings of each layer that keys name."""
    wanted: dict[str, list[str]] = {}
    for key in keys:
        poolings = wanted.setdefault(key.layer, [])
        if key.pooling not in poolings:
            poolings.append(key.pooling)
    return wanted


def make_eager(plan: Plan) -> TorchEngine:
    """Make the reference: torch, as torchvision's networks run."""
    return TorchEngine(plan.base, plan.wanted, plan.device, plan.device_batch or plan.batch_size or CORE_BATCH)


def make_torch(plan: Plan) -> TorchEngine:
    """Make torch with batch norm folded into convolutions, where precision allows it."""
    return make_eager(replace(plan, base=fuse_batchnorm(plan.base)))


def make_compiled(plan: Plan) -> TorchEngine:
    """Make compiled torch, for long runs on a GPU: it takes a minute, and saves launches and trips through memory.

    Raises
    ------
    RequestError
        If torch's compiler gives up, or the C++ compiler that it calls is missing.
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


def make_openvino(plan: Plan, has_bfloat16: Callable[[], bool] = processor_has_bfloat16) -> Engine:
    """Translate the base for OpenVINO.

    Parameters
    ----------
    plan : Plan
    has_bfloat16 : callable
        Whether the processor computes in bfloat16.

    Raises
    ------
    RequestError
        If OpenVINO is not installed, or cannot run this base, device or precision.
    """
    if not is_openvino_installed():
        raise RequestError("engine 'openvino' is not installed. Run: pip install 'featx[openvino]'")
    advice = "Use --engine torch"
    if is_rounded_on_cpu(plan):
        advice = "Use --precision float32, or --engine torch, which is slower in bfloat16"
        if not has_bfloat16():
            raise RequestError(
                f"this processor lacks bfloat16 arithmetic (avx512_bf16 or amx_bf16), so it gains nothing. {advice}"
            )
    try:
        return OpenVinoEngine(plan.base, plan.wanted, plan.device, plan.batch_size or 1, plan.workers)
    except Unsupported as error:
        raise RequestError(f"engine 'openvino' cannot run this: {error}. {advice}") from error


def is_openvino_installed() -> bool:
    """Whether the extra `openvino` is there."""
    return importlib.util.find_spec("openvino") is not None


def is_handcrafted(plan: Plan) -> bool:
    """Whether the base calls scikit-image, which nothing translates."""
    return plan.base.id.architecture in HANDCRAFTED_BASES


def is_rounded_on_cpu(plan: Plan) -> bool:
    """Whether a CPU is to run a network in bfloat16."""
    return plan.device.type == "cpu" and plan.base.id.precision == "bfloat16" and not is_handcrafted(plan)


ENGINES: dict[str, Callable[[Plan], Engine]] = {
    "torch": make_torch,
    "compile": make_compiled,
    "openvino": make_openvino,
    "eager": make_eager,
}
"""Name of an engine (`--engine`): how it is made."""


def choose_engine(name: str, plan: Plan, images: int, takes_any: bool = False) -> tuple[str, Engine]:
    """Make the engine that `--engine` names, or the fastest one for this plan.

    Parameters
    ----------
    name : str
        A name in `ENGINES`, or "auto".
    plan : Plan
    images : int
        Images of the whole data set, so that an interrupted run goes on with the engine that began it.
    takes_any : bool
        Whether "auto" is torch, too, where OpenVINO cannot compute in bfloat16 on a CPU: for who runs a model, and did
        not choose its precision.

    Returns
    -------
    str
        Name of the engine.
    Engine

    Raises
    ------
    UnknownName
        If there is no such engine.
    RequestError
        If the engine that was named cannot run this, or bfloat16 was asked for on a CPU and OpenVINO cannot.
    """
    if name != "auto":
        if name not in ENGINES:
            raise unknown("engine", name, ["auto", *ENGINES])
        return name, ENGINES[name](plan)
    if is_rounded_on_cpu(plan) or is_worth_compiling(plan, images):
        try:
            return "openvino", make_openvino(plan)
        except RequestError as error:
            if is_rounded_on_cpu(plan) and not takes_any:
                raise
            reason, _, _ = str(error).partition(". Use --")
            note(log, f"{reason}. Torch runs it instead, which is slower")
    return "torch", make_torch(plan)


def is_worth_compiling(plan: Plan, images: int) -> bool:
    """Whether OpenVINO is there, and likely to pay for its translation."""
    if plan.device.type != "cpu" or images < WORTH_COMPILING:
        return False
    return is_openvino_installed() and not is_handcrafted(plan)


@contextmanager
def naming_memory(plan: Plan) -> Iterator[None]:
    """Turn a lack of memory into an error that says what to change.

    Raises
    ------
    RequestError
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # On a GPU torch has an error of its own for this, on the CPU it has none.
        is_memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)
        if not is_memory:
            raise
        batch = plan.device_batch or plan.batch_size
        images = f"{batch} images" if batch else "images"
        raise RequestError(
            f"there is not enough memory on '{plan.device}' for {images} at a time: give a smaller --batch-size, "
            "or fewer --workers"
        ) from error


class LazyEngine:
    """An engine that is made when the first image has to be computed: most runs find everything in the cache.

    Parameters
    ----------
    choice : str
        As for `choose_engine`.
    plan : Plan
    images : int
        Images of the whole data set.
    clock : Clock
        Counts the seconds of making the engine and of computing.
    takes_any : bool
        As for `choose_engine`.
    """

    def __init__(self, choice: str, plan: Plan, images: int, clock: Clock, takes_any: bool = False) -> None:
        self.choice = choice
        self.takes_any = takes_any
        self.plan = plan
        self.images = images
        self.clock = clock
        self._chosen: tuple[str, Engine] | None = None
        self._lock = Lock()

    @property
    def name(self) -> str:
        """Name of the engine; empty while nothing had to be computed."""
        return self._chosen[0] if self._chosen else ""

    def build(self) -> Engine:
        """Make the engine, unless it is made already."""
        with self._lock:
            if self._chosen is None:
                with self.clock.timed("engine"):
                    self._chosen = choose_engine(self.choice, self.plan, self.images, self.takes_any)
            return self._chosen[1]

    def start(self, images: Sequence[Pixels]) -> Callable[[], LayerFeatures]:
        """Begin to compute features of images that the plan prepared, and return the function that waits for them."""
        with naming_memory(self.plan):
            engine = self.build()
            with self.share_memory(engine), self.clock.timed("forward"):
                wait = engine.start(self.plan.stack(images))

        def finish() -> LayerFeatures:
            with naming_memory(self.plan), self.clock.timed("forward"):
                return wait()

        return finish

    def share_memory(self, engine: Engine) -> AbstractContextManager[None]:
        """Take part in the memory that decoding shares, where the same threads decode and compute.

        Never more than half of it for all cores together: where there are many, there is more memory, too.
        """
        if self.plan.device_batch:
            return nullcontext()
        most = DECODING_BUDGET.total // (2 * count_cores())
        return DECODING_BUDGET.hold(min(self.plan.count_forward_bytes(engine.batch_size), most))
