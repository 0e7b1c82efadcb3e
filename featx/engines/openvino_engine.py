"""Runs a base with OpenVINO on the CPU, the fastest way there: one image a request, in the thread that asks for it."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featx.bases.base import Base
from featx.images.transform import to_input
from featx.types import LayerFeatures

TOLERANCE = 1e-4
"""By which features may differ from eager torch's, relative to the largest."""

OWN_BYTES = 10**9
"""Memory up to which each thread has a compiled network for itself."""

SETTINGS = {
    # Left alone, it would use bfloat16 where the processor has it.
    "INFERENCE_PRECISION_HINT": "f32",
    "ENABLE_CPU_PINNING": False,
}


class Unsupported(Exception):
    """OpenVINO cannot run this base, device or precision."""


def translated(compute: Callable[[Tensor], tuple[Tensor, ...]], example: Tensor) -> Any:
    """Translate a function of one tensor, of the example's shape and dtype, into OpenVINO's model.

    `openvino.convert_model` ends at the same model, but spends three times as long on inputs that the frontend by
    itself has right already.
    """
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # constants of the transform become constants of the graph
        # A function, since tracing a module looks at each of its parts, which takes three times as long.
        traced = torch.jit.trace(compute, example, check_trace=False)
        # Three of four nodes say the same strides and paddings again, and the frontend asks Python about each.
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
        Images a request. With one, as fast as with many, no feature can depend on its company.
    workers : int
        Threads that ask at a time. Each has a copy of the compiled network, which then runs in the thread that decoded
        the image; threads of OpenVINO's own beside those that decode make both wait, for up to a fifth of the time.
        Only where copies would take more than `OWN_BYTES` do they share one, and its threads.

    Raises
    ------
    Unsupported
        If it is not for the CPU in float32, or the network has operations that OpenVINO lacks.
    """

    def __init__(
        self, base: Base, wanted: Mapping[str, Sequence[str]], device: torch.device, batch_size: int, workers: int
    ) -> None:
        if device.type != "cpu" or base.id.precision != "float32":
            raise Unsupported(f"it runs float32 on the CPU, not {base.id.precision} on {device}")
        self.batch_size = batch_size
        self.names = base.outputs(wanted)
        side = base.id.transform.crop
        example = torch.zeros(batch_size, side, side, 3, dtype=torch.uint8)

        def compute(pixels: Tensor) -> tuple[Tensor, ...]:
            return tuple(base.forward(to_input(pixels, base.id.transform), wanted).values())

        shares = 2 * weight_bytes(base, wanted) * workers > OWN_BYTES  # as they come, and as kernels want them
        threads = workers if shares else 1
        self.settings = {**SETTINGS, "NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads}
        exported = io.BytesIO()
        try:
            from openvino import Core

            self.core = Core()
            self.network = self.core.compile_model(translated(compute, example), "CPU", self.settings)
            if not shares:
                self.network.export_model(exported)
        except Exception as error:  # tracing and translation raise whatever the network's own code raises
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise Unsupported(reason) from error
        self.exported, self.own = exported.getvalue(), threading.local()
        self.own.request = self.network.create_infer_request()
        self.check(base, wanted, side)

    def request(self) -> Any:
        """Give the calling thread's own request, of a network of its own unless all share one."""
        if not hasattr(self.own, "request"):
            # Read from memory, a compiled network costs a third of compiling it anew.
            own = self.core.import_model(self.exported, "CPU", self.settings) if self.exported else self.network
            self.own.request = own.create_infer_request()
        return self.own.request

    def check(self, base: Base, wanted: Mapping[str, Sequence[str]], side: int) -> None:
        """Compare with eager torch on noise: what tracing cannot follow becomes a constant, without a word.

        Raises
        ------
        Unsupported
            If any feature differs by more than 1e-4 of the largest.
        """
        noise = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
        with torch.inference_mode():
            expected = base.forward(to_input(torch.from_numpy(noise), base.id.transform), wanted)
        for name, features in self.start(noise)().items():
            true = expected[name].numpy()
            if not np.allclose(features, true, rtol=0, atol=TOLERANCE * float(np.abs(true).max())):
                raise Unsupported(f"its features of layer '{name[0]}' differ from torch's by more than {TOLERANCE}")

    def start(self, pixels: NDArray[np.uint8]) -> Callable[[], LayerFeatures]:
        """Compute features: (n, height, width, 3) uint8 to one (n, ...) float32 array a layer and pooling."""
        found = [
            self.infer(pixels[first : first + self.batch_size]) for first in range(0, len(pixels), self.batch_size)
        ]
        columns = [np.concatenate(column) for column in zip(*found, strict=True)]
        return lambda: dict(zip(self.names, columns, strict=True))

    def infer(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Run one request, filled up to its size."""
        rows = len(pixels)
        if rows < self.batch_size:
            pixels = np.concatenate([pixels, np.zeros((self.batch_size - rows, *pixels.shape[1:]), np.uint8)])
        outputs = self.request().infer([pixels], share_inputs=True)
        # Copied: the request writes its next outputs over these.
        return [np.array(output[:rows]) for output in outputs.values()]


def weight_bytes(base: Base, wanted: Mapping[str, Sequence[str]]) -> int:
    """Count the bytes of the weights that a pass up to the deepest layer wanted needs."""
    last = max(base.layer(name).index for name in wanted)
    return sum(weight.nbytes for stage in base.stages[: last + 1] for weight in stage.module.parameters())
