"""Runs a base with OpenVINO, the fastest way on a CPU: one image a request, in the thread that asks for it."""

from __future__ import annotations

import io
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featx.bases.base import Base
from featx.images.normalise import to_input
from featx.types import LayerFeatures, WantedLayers

TOLERANCE = 1e-4
"""How far features may differ from eager torch's, relative to the largest of them."""

COPY_BYTES = 10**9
"""Memory that copies of the compiled network may take, one for each thread; beyond it all threads share one."""

SETTINGS = {
    # Left alone, it would use bfloat16 where the processor has it.
    "INFERENCE_PRECISION_HINT": "f32",
    "ENABLE_CPU_PINNING": False,
}


class Unsupported(Exception):
    """OpenVINO cannot run this base, device or precision."""


def forbid_telemetry() -> None:
    """Keep OpenVINO from reporting its use to its makers, which importing it otherwise does in a process of its own.

    It goes without where the package that reports cannot be imported.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def translate(compute: Callable[[Tensor], tuple[Tensor, ...]], example: Tensor) -> Any:
    """Translate a function of one tensor, of the example's shape and dtype, into OpenVINO's model.

    `openvino.convert_model` ends at the same model, but spends three times as long on inputs that the frontend by
    itself has right already.
    """
    forbid_telemetry()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # constants of the transform become constants of the graph
        # A function: tracing a module looks at each of its parts, which takes three times as long.
        traced = torch.jit.trace(compute, example, check_trace=False)
        # Three of four nodes repeat the same strides and paddings, and the frontend asks Python about each.
        torch._C._jit_pass_constant_pooling(traced.graph)  # type: ignore[attr-defined]
        decoder = TorchScriptPythonDecoder(traced)
        frontend = FrontEndManager().load_by_framework("pytorch")
        model = frontend.convert(frontend.load(decoder))
        model.reshape(list(example.shape))
        return model


class OpenVinoEngine:
    """A base translated for OpenVINO, in float32.

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
        If it is not for the CPU in float32, or the network has operations that OpenVINO lacks.
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
        if device.type != "cpu" or base.id.precision != "float32":
            raise Unsupported(f"it runs float32 on the CPU, not {base.id.precision} on {device}")
        self.batch_size = batch_size
        self.names = base.outputs(wanted)
        # Twice: the weights as they come, and as OpenVINO's kernels want them.
        is_shared = 2 * count_weight_bytes(base, wanted) * workers > copy_bytes
        threads = workers if is_shared else 1
        self.settings = {**SETTINGS, "NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads}
        self.exported = b""
        try:
            self.compile(base, wanted)
            if not is_shared:
                self.exported = self.export()
        except Exception as error:  # tracing and translation raise whatever the network's own code raises
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise Unsupported(reason) from error
        self.of_thread = threading.local()
        self.of_thread.request = self.network.create_infer_request()
        self.check(base, wanted)

    def compile(self, base: Base, wanted: WantedLayers) -> None:
        """Translate and compile the network, up to the deepest layer wanted."""
        forbid_telemetry()
        from openvino import Core

        side = base.id.transform.crop
        example = torch.zeros(self.batch_size, side, side, 3, dtype=torch.uint8)

        def compute(pixels: Tensor) -> tuple[Tensor, ...]:
            return tuple(base.forward(to_input(pixels, base.id.transform), wanted).values())

        self.core = Core()
        self.network = self.core.compile_model(translate(compute, example), "CPU", self.settings)

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

    def check(self, base: Base, wanted: WantedLayers) -> None:
        """Compare with eager torch on noise: what tracing cannot follow becomes a constant, without a word.

        Raises
        ------
        Unsupported
            If any feature differs by more than `TOLERANCE` of the largest.
        """
        side = base.id.transform.crop
        noise = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
        with torch.inference_mode():
            expected = base.forward(to_input(torch.from_numpy(noise), base.id.transform), wanted)
        for name, features in self.start(noise)().items():
            reference = expected[name].numpy()
            largest = float(np.abs(reference).max())
            if not np.allclose(features, reference, rtol=0, atol=TOLERANCE * largest):
                raise Unsupported(f"its features of layer '{name[0]}' differ from torch's by more than {TOLERANCE}")

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


def count_weight_bytes(base: Base, wanted: WantedLayers) -> int:
    """Count the bytes of the weights that a pass up to the deepest layer wanted needs."""
    deepest = max(base.layer(name).index for name in wanted)
    total = 0
    for stage in base.stages[: deepest + 1]:
        total += sum(weight.nbytes for weight in stage.module.parameters())
    return total
