"""Networks with shapes and without values, on torch's meta device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

CREATIONS = {torch.empty, torch.zeros, torch.ones, torch.full, torch.randn}
"""Make a tensor of a given size: what the parameters and buffers of modules are made by."""

FILLS = {getattr(torch.Tensor, f"{name}_") for name in ("normal", "uniform", "erfinv", "fill", "zero", "mul", "add")}
"""Change the values of a tensor in place, which does nothing to a tensor without values."""


class MetaParameters(TorchFunctionMode):
    """Makes parameters on torch's meta device, where they have shapes only; what is computed while building stays real.

    `with torch.device("meta")` would put everything there, also Swin's tables of relative positions, which are computed
    and not learned.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Make tensors of a given size on the meta device, and leave out what would only fill them; call all else."""
        kwargs = kwargs or {}
        if is_initialiser(function):
            target = args[0] if args else kwargs["tensor"]
            if target.is_meta:
                return target
        if function in CREATIONS:
            kwargs = {**kwargs, "device": kwargs.get("device") or "meta"}
        return function(*args, **kwargs)


def is_initialiser(function: Any) -> bool:
    """Whether a function of torch does nothing but set the values of a tensor."""
    return function in FILLS or getattr(function, "__module__", "") == nn.init.__name__


def build_on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a frozen network with parameters on torch's meta device; what it computes while it is built is real."""
    with MetaParameters():
        return build().eval().requires_grad_(False)


def count_tensor_bytes(build: Callable[[], nn.Module]) -> int:
    """Count the bytes of a network's tensors without taking memory for them."""
    tensors = build_on_meta(build).state_dict().values()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def fill_with_zeros(network: nn.Module) -> nn.Module:
    """Give zeros to tensors on the meta device, in place: they are about to be loaded, and drawing them takes long."""

    def materialise(tensor: torch.Tensor) -> torch.Tensor:
        return torch.zeros(tensor.shape, dtype=tensor.dtype) if tensor.is_meta else tensor

    # Not `to_empty`: it would drop the values of real buffers, too.
    return network._apply(materialise)
