"""Translates a base for OpenVINO, and tells which bases cannot be translated.

Tracing runs a network once and writes down what it computed. A network that reads numbers of an image back into Python,
to branch on them or to compute elsewhere, would be written down as it ran on that one image: `forbid_reading` finds it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

READERS = frozenset({Tensor.numpy, Tensor.tolist, Tensor.__array__, Tensor.__bool__, Tensor.__dlpack__})
"""What gives a tensor's numbers to Python without an operation that torch's dispatcher sees."""


class ReadsNumbers(Exception):
    """A network reads numbers back into Python while it runs."""


def reads_numbers(operation: Any, args: Sequence[Any]) -> bool:
    """Whether an operation of torch hands numbers to Python, or gives a tensor whose size depends on numbers.

    Parameters
    ----------
    operation : torch.OpOverload
    args : sequence
        What it is called with.
    """
    if torch.Tag.data_dependent_output in operation.tags:
        return True
    if torch.Tag.dynamic_output_shape not in operation.tags:
        return False
    # Indexing bears the mark for the sake of masks; indices that are numbers give what their own size says.
    if operation is torch.ops.aten.index.Tensor:
        return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
    return True


class NoOperationsThatRead(TorchDispatchMode):
    """Refuses operations that hand a number to Python, such as the one behind `x.item()`."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Ask torch not to wrap what follows for its compiler, which it would import for that: it takes seconds."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation, unless it reads."""
        if reads_numbers(func, args):
            raise ReadsNumbers
        return func(*args, **(kwargs or {}))


class NoMethodsThatRead(TorchFunctionMode):
    """Refuses the methods that copy a tensor to Python."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function, unless it reads."""
        if func in READERS:
            raise ReadsNumbers
        return func(*args, **(kwargs or {}))


@contextmanager
def forbid_reading() -> Iterator[None]:
    """Raise where torch hands numbers to Python; sizes of tensors, which no image changes, may be read.

    Raises
    ------
    ReadsNumbers
        In the calling thread, by whatever runs inside.
    """
    with NoMethodsThatRead(), NoOperationsThatRead():
        yield


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
