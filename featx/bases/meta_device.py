"""Networks with shapes and without numbers, on torch's meta device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

FILLS = {getattr(torch.Tensor, f"{name}_") for name in ("normal", "uniform", "erfinv", "fill", "zero", "mul", "add")}
"""Change the numbers of a tensor, and nothing of a tensor that has none."""


class WithoutNumbers(TorchFunctionMode):
    """Makes weights on torch's meta device, where they have shapes only; what is computed while building stays real."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch, on the meta device if it makes a tensor of a given size; draw no numbers there."""
        if function in FILLS or getattr(function, "__module__", "") == nn.init.__name__:
            target = args[0] if args else kwargs["tensor"]
            if target.is_meta:
                return target
        if function in (torch.empty, torch.zeros, torch.ones, torch.full, torch.randn):
            kwargs = {"device": "meta", **(kwargs or {})}
            kwargs["device"] = kwargs["device"] or "meta"
        return function(*args, **(kwargs or {}))


def build_on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a frozen network with weights on torch's meta device; what it computes while it is built is real."""
    with WithoutNumbers():
        return build().eval().requires_grad_(False)


def fill_with_zeros(network: nn.Module) -> nn.Module:
    """Give zeros to weights on the meta device, in place: they are about to be loaded, and drawing them takes long."""
    return network._apply(lambda tensor: torch.zeros(tensor.shape, dtype=tensor.dtype) if tensor.is_meta else tensor)
