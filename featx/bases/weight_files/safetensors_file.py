"""Files of safetensors: a header of JSON that places every tensor, and the numbers."""

from __future__ import annotations

import math

import msgspec

from featx.bases.weight_files.stored_tensor import (
    ITEM_BYTES,
    AnyTensor,
    RefusedTensor,
    StoredTensor,
    check_shape,
    show_name,
)
from featx.bases.weight_files.weights_file import NotWeights, Span, WeightsFile
from featx.files import show_size

HEADER_START = 8
"""A file begins with eight bytes, the length of its header."""

MAX_TENSOR_HEADER_BYTES = 2**24
"""Bytes of a header; that of a network of a thousand tensors has 100 KiB."""

SHOWN_CHARACTERS = 100
"""Of a tensor's name, in a message."""

METADATA = "__metadata__"

TENSOR_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
"""What the format calls numbers, and torch."""


class Entry(msgspec.Struct, frozen=True):
    """A tensor as the header places it."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def read_safetensors(file: WeightsFile) -> dict[str, AnyTensor]:
    """Read what a file of safetensors holds.

    Raises
    ------
    NotWeights
        If it is damaged, or states what it does not hold.
    """
    length = int.from_bytes(file.read(0, HEADER_START), "little")
    if length > MAX_TENSOR_HEADER_BYTES:
        raise NotWeights(f"its header is longer than {show_size(MAX_TENSOR_HEADER_BYTES)}: it is damaged")
    header = bytes(file.read(HEADER_START, length))
    try:
        raw = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        raw.pop(METADATA, None)
        entries = {name: msgspec.json.decode(entry, type=Entry) for name, entry in raw.items()}
    # Deep nesting is a RecursionError; names that are not UTF-8 a UnicodeDecodeError.
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise NotWeights("it is truncated or damaged (its header makes no sense)") from error
    check_places(entries, file.size - HEADER_START - length)
    return {name: describe(file, HEADER_START + length, name, entry) for name, entry in entries.items()}


def check_places(entries: dict[str, Entry], data_bytes: int) -> None:
    """Check that tensors follow one another from the first byte of the data to the last.

    Raises
    ------
    NotWeights
        If they overlap, leave gaps, or lie beyond it.
    """
    expected = 0
    for begin, end in sorted(entry.data_offsets for entry in entries.values()):
        if begin != expected or end < begin:
            raise NotWeights("it is truncated or damaged (its tensors overlap or leave gaps)")
        expected = end
    if expected != data_bytes:
        raise NotWeights("it is truncated or damaged (its tensors do not end where the file does)")


def describe(file: WeightsFile, start: int, name: str, entry: Entry) -> AnyTensor:
    """Describe a tensor that the header places.

    Raises
    ------
    NotWeights
        If its shape does not fit its place.
    """
    shape = tuple(entry.shape)
    shown = show_name(name[:SHOWN_CHARACTERS])
    check_shape(shown, shape)
    dtype = TENSOR_DTYPES.get(entry.dtype)
    if dtype is None:
        if entry.dtype.startswith("C"):
            return RefusedTensor(shape, "holds complex numbers")
        return RefusedTensor(shape, f"holds numbers of a kind that is not read ({show_name(entry.dtype[:20])})")
    begin, end = entry.data_offsets
    if math.prod(shape) * ITEM_BYTES[dtype] != end - begin:
        raise NotWeights(f"it is truncated or damaged ('{shown}' has another size than its shape)")
    strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return StoredTensor(Span(file, start + begin, end - begin), dtype, shape, strides)
