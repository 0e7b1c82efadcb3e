"""Runs a base with OpenVINO, the fastest way on a CPU: one image a request, in the thread that asks for it."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featx.bases.base import Base
from featx.engines.translation import ReadsNumbers, forbid_reading, forbid_telemetry, translate
from featx.errors import first_line
from featx.images.normalise import to_input
from featx.keys import Precision
from featx.types import LayerFeatures, Pixels, WantedLayers

TOLERANCE = 1e-4
"""How far features in float32 may differ from eager torch's, relative to the largest of them."""

ROUNDING = 0.25
"""How far features in bfloat16 may lie from eager torch's in float32, relative to the length of their vector. Sound
networks stay below 0.12 on noise, most at 0.01, as torch's own bfloat16 does; a network that loses its features to
rounding lies at 1."""

COPY_BYTES = 10**9
"""Memory that copies of the compiled network may take, one for each thread; beyond it all threads share one."""

HINTS = {"float32": "f32", "bfloat16": "bf16"}
"""What OpenVINO calls a precision. Left alone, it would use bfloat16 where the processor has it."""


class Unsupported(Exception):
    """OpenVINO cannot run this base, device or precision."""


def processor_has_bfloat16() -> bool:
    """Whether this processor computes in bfloat16; where it does not, OpenVINO would take float32 without a word."""
    forbid_telemetry()
    from openvino import Core

    return "BF16" in Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoEngine:
    """A base translated for OpenVINO, in float32, or bfloat16 where the processor has it.

    The weights stay float32 in torch: OpenVINO rounds what it multiplies, and adds up in float32.

    Parameters
    ----------
    base : Base
    wanted : mapping of layer name to pooling names
    device : torch.device
    batch_size : int
        Images of a request. One image a request is as fast as many, and then no feature can depend on its company.
    workers : int
        Threads that call the engine side by side. Each has a copy of the compiled network, which runs in the thread
        that decoded the image; threads of OpenVINO beside those that decode make both wait, for up to a fifth of the
        time. Only where copies would take more than `copy_bytes` do they share one network, and its threads.
    copy_bytes : int
        Memory that all copies together may take.

    Raises
    ------
    Unsupported
        If it is not for the CPU, the network has operations that OpenVINO lacks, or what it computes depends on numbers
        that it reads back into Python.
    """

    def __init__(
        self,
        base: Base,
        wanted: WantedLayers,
        device: torch.device,
        batch_size: int,
        workers: int,
        copy_bytes: int = COPY_BYTES,
    ) -> None:
        if device.type != "cpu":
            raise Unsupported(f"it runs on the CPU, not on {device}")
        self.batch_size = batch_size
        self.names = base.outputs(wanted)
        # Twice: the weights as they come, and as OpenVINO's kernels want them.
        is_shared = 2 * count_weight_bytes(base, wanted) * workers > copy_bytes
        self.threads = workers if is_shared else 1
        self.exported = b""
        self.of_thread = threading.local()
        try:
            noise, expected = run_on_noise(base, wanted)
            model = self.translate(base, wanted)
            self.compile(model, "float32")
            self.check_translation(noise, expected)
            if base.id.precision != "float32":
                self.compile(model, base.id.precision)
                self.check_rounding(noise, expected)
            if not is_shared:
                self.exported = self.export()
        except Unsupported:
            raise
        except Exception as error:  # tracing and translation raise whatever the network's own code raises
            raise Unsupported(first_line(error).rstrip(":. ")) from error

    def translate(self, base: Base, wanted: WantedLayers) -> Any:
        """Translate the network, up to the deepest layer wanted."""
        side = base.id.transform.crop
        example = torch.zeros(self.batch_size, side, side, 3, dtype=torch.uint8)

        def compute(pixels: Tensor) -> tuple[Tensor, ...]:
            return tuple(base.forward(to_input(pixels, base.id.transform), wanted).values())

        return translate(compute, example)

    def compile(self, model: Any, precision: Precision) -> None:
        """Compile what was translated; the calling thread's requests are of it from now on."""
        from openvino import Core

        self.core = Core()
        self.settings = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "ENABLE_CPU_PINNING": False,
            "NUM_STREAMS": self.threads,
            "INFERENCE_NUM_THREADS": self.threads,
        }
        self.network = self.core.compile_model(model, "CPU", self.settings)
        self.of_thread.request = self.network.create_infer_request()

    def export(self) -> bytes:
        """Write the compiled network into memory."""
        buffer = io.BytesIO()
        self.network.export_model(buffer)
        return buffer.getvalue()

    def request(self) -> Any:
        """Give the calling thread's request: of its own copy of the network, or of the one that all threads share."""
        if not hasattr(self.of_thread, "request"):
            network = self.network
            if self.exported:
                # Reading a compiled network from memory costs a third of compiling it anew.
                network = self.core.import_model(self.exported, "CPU", self.settings)
            self.of_thread.request = network.create_infer_request()
        return self.of_thread.request

    def check_translation(self, noise: Pixels, expected: LayerFeatures) -> None:
        """Compare with what eager torch computes of the same noise: a translation that is wrong says nothing.

        Raises
        ------
        Unsupported
            If any feature differs by more than `TOLERANCE` of the largest.
        """
        for name, features in self.start(noise)().items():
            largest = float(np.abs(expected[name]).max())
            if not np.allclose(features, expected[name], rtol=0, atol=TOLERANCE * largest):
                raise Unsupported(f"its features of layer '{name[0]}' differ from torch's by more than {TOLERANCE}")

    def check_rounding(self, noise: Pixels, expected: LayerFeatures) -> None:
        """Compare features in bfloat16 with float32: some networks add what is large and take it away again.

        Raises
        ------
        Unsupported
            If the features of a layer lie further than `ROUNDING` of their length from those in float32.
        """
        for name, features in self.start(noise)().items():
            distance = float(np.linalg.norm(features - expected[name]))
            # Not "greater": what is not a number is refused.
            if not distance <= ROUNDING * float(np.linalg.norm(expected[name])):
                raise Unsupported(f"bfloat16 moves its features of layer '{name[0]}' by more than {ROUNDING:.0%}")

    def start(self, pixels: NDArray[np.uint8]) -> Callable[[], LayerFeatures]:
        """Compute features at once, in the calling thread; the function that is returned has nothing to wait for.

        Parameters
        ----------
        pixels : (n, height, width, 3) uint8

        Returns
        -------
        callable
            Gives one (n, ...) float32 array a layer and pooling.
        """
        starts = range(0, len(pixels), self.batch_size)
        batches = [self.infer(pixels[first : first + self.batch_size]) for first in starts]
        columns = [np.concatenate(column) for column in zip(*batches, strict=True)]
        return lambda: dict(zip(self.names, columns, strict=True))

    def infer(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Run one request, filled up to its size with black images."""
        rows = len(pixels)
        if rows < self.batch_size:
            black = np.zeros((self.batch_size - rows, *pixels.shape[1:]), np.uint8)
            pixels = np.concatenate([pixels, black])
        outputs = self.request().infer([pixels], share_inputs=True)
        # Copied: the request writes its next outputs over these.
        return [np.array(output[:rows]) for output in outputs.values()]


def run_on_noise(base: Base, wanted: WantedLayers) -> tuple[Pixels, LayerFeatures]:
    """Make one image of noise, and let eager torch compute its features.

    Returns
    -------
    (1, crop, crop, 3) uint8
    dict of (layer, pooling) to (1, ...) float32

    Raises
    ------
    Unsupported
        If the network reads numbers back into Python, or fails.
    """
    side = base.id.transform.crop
    noise = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    x = to_input(torch.from_numpy(noise), base.id.transform)
    try:
        with torch.inference_mode(), forbid_reading():
            outputs = base.forward(x, wanted)
    except ReadsNumbers as error:
        raise Unsupported("it reads numbers back into Python while it runs, which no translation follows") from error
    return noise, {name: output.numpy() for name, output in outputs.items()}


def count_weight_bytes(base: Base, wanted: WantedLayers) -> int:
    """Count the bytes of the weights that a pass up to the deepest layer wanted needs."""
    deepest = max(base.layer(name).index for name in wanted)
    total = 0
    for stage in base.stages[: deepest + 1]:
        total += sum(weight.nbytes for weight in stage.module.parameters())
    return total
