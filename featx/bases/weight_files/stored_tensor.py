"""A tensor as a file describes it: its numbers stay in the file until they are wanted, and only so many are read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from featx.bases.weight_files.weights_file import NotWeights, Span

if TYPE_CHECKING:
    from torch import Tensor

ITEM_BYTES = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float8_e4m3fn": 1,
    "float8_e4m3fnuz": 1,
    "float8_e5m2": 1,
    "float8_e5m2fnuz": 1,
    "float8_e8m0fnu": 1,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint64": 8,
    "uint32": 4,
    "uint16": 2,
    "uint8": 1,
    "bool": 1,
}
"""Bytes of a number, by torch's name of its dtype."""

PIECE_NUMBERS = 2**22
"""Numbers of a tensor that are looked at together: 16 MiB of float32."""

MAX_WHOLE_BYTES = 2**29
"""Bytes that are read at once of a tensor whose numbers do not lie in order; the largest of VGG has 411 MB."""

MAX_DIMENSIONS = 16

MAX_SIDE = 2**31
"""Longest dimension of a tensor."""

GAP_FACTOR = 8
"""A tensor may be a view that skips numbers, such as every second row, but not one that skips nearly all."""


class AnyTensor(Protocol):
    """What a checkpoint holds under a name: its shape is known, its numbers are read when they are wanted."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, as the file states it."""
        ...

    @property
    def dtype(self) -> str:
        """Torch's name of the dtype."""
        ...

    def is_floating_point(self) -> bool:
        """Whether it holds numbers with a fraction."""
        ...

    def check(self, name: str) -> None:
        """Raise NotWeights, with the tensor's name, unless its numbers can be read as they are described."""
        ...

    def read(self) -> Tensor:
        """Read it into memory."""
        ...

    def pieces(self) -> Iterator[NDArray[Any]]:
        """Give its numbers in order, some at a time; those with a fraction as float32."""
        ...


@dataclass(frozen=True)
class StoredTensor:
    """A dense tensor whose numbers lie in a file.

    Attributes
    ----------
    span : Span
        The bytes of its storage, which other tensors may share.
    dtype : str
        Torch's name of it.
    shape : tuple of int
    strides : tuple of int
        In numbers.
    offset : int
        Numbers of the storage before its first.
    big_endian : bool
        Whether the bytes of each number are in the other order.
    """

    span: Span
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    big_endian: bool = False

    def is_floating_point(self) -> bool:
        """Whether it holds numbers with a fraction."""
        return "float" in self.dtype

    def count(self) -> int:
        """Count its numbers."""
        return math.prod(self.shape)

    def reach(self) -> int:
        """Count the numbers of the storage from its first to its last."""
        if not self.count():
            return 0
        steps = zip(self.shape, self.strides, strict=True)
        return 1 + sum((side - 1) * stride for side, stride in steps)

    def is_in_order(self) -> bool:
        """Whether its numbers lie in the file one after another."""
        expected = 1
        for side, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if side != 1 and stride != expected:
                return False
            expected *= side
        return True

    def check(self, name: str) -> None:
        """Raise NotWeights, with the tensor's name, unless the storage holds its numbers, each of them once."""
        check_shape(name, self.shape)
        if len(self.strides) != len(self.shape) or self.offset < 0 or min(self.strides, default=0) < 0:
            raise NotWeights(f"'{name}' is damaged: its strides do not fit its shape")
        if not self.count():
            return
        self.check_strides(name)
        end = (self.offset + self.reach()) * ITEM_BYTES[self.dtype]
        if end > self.span.size:
            raise NotWeights(f"'{name}' states more numbers than the file holds for it: it is truncated or damaged")
        reach_bytes = self.reach() * ITEM_BYTES[self.dtype]
        if self.reach() > GAP_FACTOR * self.count() + PIECE_NUMBERS:
            raise NotWeights(f"'{name}' is a view of a few among many numbers: save it as .clone()")
        if reach_bytes > MAX_WHOLE_BYTES and not self.is_in_order():
            raise NotWeights(f"'{name}' is too large to be read out of order: save it as .contiguous()")

    def check_strides(self, name: str) -> None:
        """Raise NotWeights if the same number is stated to stand at several places."""
        reach = 1
        for stride, side in sorted(zip(self.strides, self.shape, strict=True)):
            if side == 1:
                continue
            if stride < reach:
                raise NotWeights(f"'{name}' repeats the same numbers (it is expanded): save it as .contiguous()")
            reach += (side - 1) * stride

    def read_numbers(self, start: int, count: int) -> bytes | bytearray:
        """Read numbers as they lie in the storage, from one of the tensor's on: their bytes, little end first."""
        item = ITEM_BYTES[self.dtype]
        data = self.span.read((self.offset + start) * item, count * item)
        if self.big_endian and item > 1:
            return np.frombuffer(data, f">u{item}").astype(f"<u{item}").tobytes()
        return data

    def read(self) -> Tensor:
        """Read it into memory."""
        import torch

        dtype = getattr(torch, self.dtype)
        if not self.count():
            return torch.empty(self.shape, dtype=dtype)
        data = self.read_numbers(0, self.reach())
        if not isinstance(data, bytearray):
            data = bytearray(data)
        if self.dtype == "bool":
            data = bytearray(np.frombuffer(data, np.uint8).astype(bool).tobytes())
        return torch.frombuffer(data, dtype=dtype).as_strided(self.shape, self.strides)

    def pieces(self) -> Iterator[NDArray[Any]]:
        """Give its numbers in order, some at a time; those with a fraction as float32."""
        count = self.count()
        if self.is_in_order():
            for start in range(0, count, PIECE_NUMBERS):
                yield as_array(self.read_numbers(start, min(PIECE_NUMBERS, count - start)), self.dtype)
            return
        numbers = as_array(self.read_numbers(0, self.reach()), self.dtype)
        strides = [stride * numbers.itemsize for stride in self.strides]
        # Strides were checked against what was read.
        whole = np.lib.stride_tricks.as_strided(numbers, self.shape, strides).reshape(-1)
        yield from split_pieces(whole)


@dataclass(frozen=True)
class SparseTensor:
    """A sparse tensor in coordinates, which is made dense when it is read.

    Attributes
    ----------
    indices : StoredTensor
        (dimensions, n) int64.
    values : StoredTensor
        (n,).
    shape : tuple of int
    """

    indices: StoredTensor
    values: StoredTensor
    shape: tuple[int, ...]

    @property
    def dtype(self) -> str:
        """Torch's name of the dtype."""
        return self.values.dtype

    def is_floating_point(self) -> bool:
        """Whether it holds numbers with a fraction."""
        return self.values.is_floating_point()

    def check(self, name: str) -> None:
        """Raise NotWeights, with the tensor's name, unless it can be made dense."""
        check_shape(name, self.shape)
        self.indices.check(name)
        self.values.check(name)
        count = self.values.count()
        if self.indices.dtype != "int64" or self.indices.shape != (len(self.shape), count):
            raise NotWeights(f"'{name}' is damaged: the indices of a sparse tensor do not fit its values")
        if self.values.shape != (count,):
            raise NotWeights(f"'{name}' is sparse with dense parts: save it as .to_dense()")
        if math.prod(self.shape) * ITEM_BYTES[self.dtype] > MAX_WHOLE_BYTES:
            raise NotWeights(f"'{name}' is sparse and would be too large if it were dense: save it as .to_dense()")

    def read(self) -> Tensor:
        """Read it into memory, as a dense tensor.

        Raises
        ------
        NotWeights
            If its indices lie outside its shape.
        """
        import torch

        indices = self.indices.read().contiguous()
        sides = torch.tensor(self.shape).reshape(-1, 1)
        if bool(((indices < 0) | (indices >= sides)).any()):
            raise NotWeights("it is damaged: indices of a sparse tensor lie outside its shape")
        values = self.values.read()
        return torch.sparse_coo_tensor(indices, values, self.shape, check_invariants=False).to_dense()

    def pieces(self) -> Iterator[NDArray[Any]]:
        """Give its numbers in order, some at a time; those with a fraction as float32."""
        dense = self.read()
        if self.is_floating_point():
            dense = dense.float()
        yield from split_pieces(dense.numpy().reshape(-1))


@dataclass(frozen=True)
class RefusedTensor:
    """A tensor of a kind that no frozen base computes with; it matters only where it is wanted.

    Attributes
    ----------
    shape : tuple of int
    reason : str
        What is wrong with it, in words that follow its name.
    """

    shape: tuple[int, ...]
    reason: str
    dtype: str = field(default="unknown")

    def is_floating_point(self) -> bool:
        """Whether it holds numbers with a fraction: what is wrong with it, `check` says."""
        return True

    def check(self, name: str) -> None:
        """Raise NotWeights, with the tensor's name."""
        raise NotWeights(f"'{name}' {self.reason}")

    def read(self) -> Tensor:
        """Raise NotWeights."""
        raise NotWeights(f"a tensor of it {self.reason}")

    def pieces(self) -> Iterator[NDArray[Any]]:
        """Raise NotWeights."""
        raise NotWeights(f"a tensor of it {self.reason}")


def check_shape(name: str, shape: Sequence[int]) -> None:
    """Raise NotWeights, with the tensor's name, unless a tensor could have this shape."""
    if len(shape) > MAX_DIMENSIONS:
        raise NotWeights(f"'{name}' has {len(shape)} dimensions, more than the {MAX_DIMENSIONS} that are read")
    if min(shape, default=0) < 0 or max(shape, default=0) > MAX_SIDE:
        raise NotWeights(f"'{name}' is damaged: no tensor has such a shape")


def show_name(name: str) -> str:
    """Write the characters of a name that no network's names have, such as ends of lines, by their numbers."""
    if name.isprintable():
        return name
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)


def as_array(data: bytes | bytearray, dtype: str) -> NDArray[Any]:
    """View the bytes of numbers as a flat array; those with a fraction as float32, since numpy lacks some of them."""
    if dtype == "bfloat16":
        # The upper half of a float32.
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    if dtype.startswith("float8"):
        import torch

        return torch.frombuffer(bytearray(data), dtype=getattr(torch, dtype)).float().numpy()
    if dtype == "bool":
        return np.frombuffer(data, np.uint8).astype(bool)
    array = np.frombuffer(data, np.dtype(dtype).newbyteorder("<"))
    if array.dtype.kind == "f":
        # What is too large for float32 becomes infinite: a network computes with the same, and is refused for it.
        with np.errstate(over="ignore", invalid="ignore"):
            return array.astype("<f4", copy=False)
    return array


def split_pieces(numbers: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Split a flat array into pieces of the size that tensors are read in."""
    for start in range(0, len(numbers), PIECE_NUMBERS):
        yield numbers[start : start + PIECE_NUMBERS]
