"""How far each place of a layer sees: receptive fields, found by following one image through a network.

After Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks" (2019): a kernel widens the
field by (kernel - 1) steps, and a stride makes each further step longer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn, ops
from torch.utils._python_dispatch import TorchDispatchMode

WHOLE = math.inf
"""Receptive field of what has seen every place."""

aten = ops.aten


class Field(NamedTuple):
    """How far a place of a map sees.

    Attributes
    ----------
    size : float
        Receptive field: the side in pixels of the square of the input that the place depends on.
    jump : float
        Pixels of the input that one step on the map stands for.
    """

    size: float
    jump: float

    def widen(self, kernel: int, stride: int = 1, dilation: int = 1) -> Field:
        """Work out the field after a kernel: it adds (kernel - 1) steps, and its stride makes each step longer."""
        return Field(self.size + (kernel - 1) * dilation * self.jump, self.jump * stride)

    def see_all(self) -> Field:
        """Work out the field after every place was looked at."""
        return Field(WHOLE, self.jump)


class FieldTracer(TorchDispatchMode):
    """Follows one image through a network on the meta device, and notes how far each place of each tensor sees.

    The field of a tensor is kept as its attribute `featx_field`. Branches that meet keep the widest field; those that
    have seen every place (gates) count only where nothing else is there.
    """

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation, and note the field of what it returns."""
        output = function(*args, **(kwargs or {}))
        field = widest_field(args)
        if field:
            widen = FIELD_RULES.get(function.overloadpacket, keep_field)
            widened = widen(field, *args)
            for tensor in find_tensors([output]):
                tensor.featx_field = widened
        return output


def start_tracing(image: Any) -> Tensor:
    """Mark a tensor as the image to be followed: each of its places sees one pixel, itself."""
    image.featx_field = Field(1.0, 1.0)
    traced: Tensor = image
    return traced


def find_tensors(values: Iterable[Any]) -> Iterator[Any]:
    """Yield the tensors in the arguments or results of an operation, also those in lists."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from find_tensors(value)


def widest_field(values: Iterable[Any]) -> Field | None:
    """Find the widest field among tensors that descend from the image; None if none does."""
    fields = [tensor.featx_field for tensor in find_tensors(values) if hasattr(tensor, "featx_field")]
    local = [field for field in fields if field.size < WHOLE]
    return max(local or fields, default=None)


def keep_field(field: Field, *_: Any) -> Field:
    """Leave the field as it is: the operation works on each place by itself."""
    return field


def widen_by_convolution(field: Field, x: Tensor, weight: Tensor, bias: Any, *geometry: Any) -> Field:
    """Work out the field after aten::convolution, whose geometry begins with stride, padding and dilation."""
    stride, _, dilation = geometry[:3]
    return field.widen(weight.shape[-1], stride[0], dilation[0])


def widen_by_pooling(field: Field, x: Tensor, kernel: Any, stride: Any = (), *_: Any) -> Field:
    """Work out the field after aten::max_pool2d_with_indices or aten::avg_pool2d."""
    # Without a stride, windows lie side by side.
    step = stride[0] if stride else kernel[0]
    return field.widen(kernel[0], step)


def widen_by_adaptive_pooling(field: Field, x: Tensor, size: Any) -> Field:
    """Work out the field after aten::adaptive_avg_pool2d, whose windows follow from the size of the map."""
    if size[0] == 1:
        return field.see_all()
    # Where sizes do not divide, a window begins and ends within a place, and takes in both.
    window = math.ceil(x.shape[-1] / size[0]) + 1
    return field.widen(window)


def widen_by_mean(field: Field, x: Tensor, axes: Any = (), *_: Any) -> Field:
    """Work out the field after aten::mean: over height and width it sees all, over channels nothing new."""
    if x.ndim == 4 and axes and len(axes) == 2:
        return field.see_all()
    return field


def widen_by_slice(field: Field, x: Tensor, axis: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Field:
    """Work out the field after aten::slice."""
    # Swin merges patches by taking every second row and column, and joining the four maps along the channels.
    if axis == 1 and step > 1:
        return field.widen(step, stride=step)
    return field


def widen_by_product(field: Field, left: Tensor, right: Tensor) -> Field:
    """Work out the field after aten::bmm: where it compares tokens with tokens, each sees the square of all of them."""
    tokens = left.shape[1]
    are_from_image = hasattr(left, "featx_field") and hasattr(right, "featx_field")
    # Attention makes two products: (tokens, channels) by (channels, tokens), and the square of the result by values.
    is_square = tokens == left.shape[2]
    if are_from_image and tokens == right.shape[2] and not is_square:
        return field.widen(math.isqrt(tokens))
    return field


FIELD_RULES: dict[Any, Callable[..., Field]] = {
    aten.convolution: widen_by_convolution,
    aten.max_pool2d_with_indices: widen_by_pooling,
    aten.avg_pool2d: widen_by_pooling,
    aten.adaptive_avg_pool2d: widen_by_adaptive_pooling,
    aten._adaptive_avg_pool2d: widen_by_adaptive_pooling,
    aten.mean: widen_by_mean,
    aten.slice: widen_by_slice,
    aten.bmm: widen_by_product,
}
"""Operation: the field after it, from the field before it and its arguments. All others work place by place."""


def has_grid_attention(module: nn.Module) -> bool:
    """Whether a module's attention reaches over the whole image by a grid (MaxViT)."""
    return any(getattr(part, "partition_type", "") == "grid" for part in module.modules())


def field_in_pixels(module: nn.Module, activation: Tensor, side: int) -> int:
    """Read the receptive field of the activation after a stage, in pixels.

    Parameters
    ----------
    module : torch.nn.Module
        The stage's module.
    activation : tensor
        On the meta device, traced by a FieldTracer.
    side : int
        Height and width of the image in pixels: the field of what has seen every place.
    """
    field = getattr(activation, "featx_field", Field(WHOLE, 1.0))
    if activation.ndim == 2 or has_grid_attention(module) or field.size == WHOLE:
        return side
    return int(field.size)
