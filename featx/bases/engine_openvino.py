"""Runs a base with OpenVINO on the CPU, the fastest way there: one image a request, one thread a request."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featx.bases.base import Base
from featx.bases.transform import to_input

Features = dict[tuple[str, str], NDArray[np.float32]]


TOLERANCE = 1e-4
"""By which features may differ from eager torch's, relative to the largest."""


class Unsupported(Exception):
    """OpenVINO cannot run this base, device or precision."""


def compiled(compute: Callable[[Tensor], tuple[Tensor, ...]], example: Tensor, settings: dict[str, Any]) -> Any:
    """Translate a function of one tensor, of the example's shape and dtype, and compile it for the CPU.

    `openvino.convert_model` ends at the same model, but spends three times as long on inputs that the frontend by
    itself has right already.
    """
    import openvino
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # constants of the transform become constants of the graph
        # A function, since tracing a module looks at each of its parts, which takes three times as long.
        decoder = TorchScriptPythonDecoder(torch.jit.trace(compute, example, check_trace=False))
        frontend = FrontEndManager().load_by_framework("pytorch")
        translated = frontend.convert(frontend.load(decoder))
        translated.reshape(list(example.shape))
        return openvino.Core().compile_model(translated, "CPU", settings)


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
        Requests at a time, each with one thread.

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
        settings = {
            "NUM_STREAMS": workers,
            "INFERENCE_NUM_THREADS": workers,
            # Left alone, it would use bfloat16 where the processor has it.
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,
        }

        def compute(pixels: Tensor) -> tuple[Tensor, ...]:
            return tuple(base.forward(to_input(pixels, base.id.transform), wanted).values())

        try:
            self.compiled = compiled(compute, example, settings)
        except Exception as error:  # tracing and translation raise whatever the network's own code raises
            raise Unsupported(str(error).strip().splitlines()[0]) from error
        self.own = threading.local()
        self.check(base, wanted, side)

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

    def start(self, pixels: NDArray[np.uint8]) -> Callable[[], Features]:
        """Compute features: (n, height, width, 3) uint8 to one (n, ...) float32 array a layer and pooling."""
        found = [
            self.infer(pixels[first : first + self.batch_size]) for first in range(0, len(pixels), self.batch_size)
        ]
        columns = [np.concatenate(column) for column in zip(*found, strict=True)]
        return lambda: dict(zip(self.names, columns, strict=True))

    def infer(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Run one request, filled up to its size."""
        request: Any = getattr(self.own, "request", None)
        if request is None:
            request = self.own.request = self.compiled.create_infer_request()
        rows = len(pixels)
        if rows < self.batch_size:
            pixels = np.concatenate([pixels, np.zeros((self.batch_size - rows, *pixels.shape[1:]), np.uint8)])
        outputs = request.infer([pixels], share_inputs=True)
        # Copied: the request writes its next outputs over these.
        return [np.array(output[:rows]) for output in outputs.values()]
