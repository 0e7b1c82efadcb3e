"""Files of torch before 1.6, which `torch.save` still writes on request: pickles, and the numbers behind them."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any

from featx.bases.weight_files.pickle_data import MAX_PICKLE_BYTES, PickleReader, PickleSource, Reference
from featx.bases.weight_files.stored_tensor import ITEM_BYTES
from featx.bases.weight_files.torch_file import (
    Storage,
    TorchFile,
    is_count,
    limit_span,
    read_reference,
    storage_dtype,
)
from featx.bases.weight_files.weights_file import NotWeights, Span, WeightsFile

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
"""First two values of a file."""

REFUSED_ITEM_BYTES = {
    "ComplexFloat": 8,
    "ComplexDouble": 16,
    "QInt8": 1,
    "QUInt8": 1,
    "QInt32": 4,
    "QUInt4x2": 1,
    "QUInt2x4": 1,
}
"""Bytes of the numbers that are passed over, to find those behind them."""

STORAGE_LENGTH_BYTES = 8
"""Before the numbers of a storage stands how many there are."""

REFERENCE_WORDS = 6
"""A reference to a storage: the word, torch's class, key, device, count, and the part of it that a tensor sees."""


def is_legacy(beginning: bytes) -> bool:
    """Whether a file begins as torch once wrote it: the protocol, then a number of ten bytes."""
    return beginning[2:14] == b"\x8a\n" + LEGACY_MAGIC.to_bytes(10, "little")


def read_legacy(file: WeightsFile) -> TorchFile:
    """Read what such a file holds.

    Raises
    ------
    NotWeights
        If it is damaged.
    """
    with io.FileIO(os.dup(file.handle)) as raw:
        raw.seek(0)
        source = PickleSource(io.BufferedReader(raw))
        magic = PickleReader(source).read()
        version = PickleReader(source).read()
        # What the machine was that wrote it.
        PickleReader(source).read()
        reader = PickleReader(source)
        content = reader.read()
        keys = PickleReader(source).read()
    if magic != LEGACY_MAGIC or version != VERSION or not isinstance(keys, list):
        raise NotWeights("it is truncated or damaged")
    dtypes = {}
    for reference in reader.references:
        if isinstance(reference.id, tuple) and len(reference.id) == REFERENCE_WORDS:
            kind, key, _ = read_reference(reference, REFERENCE_WORDS)
            dtypes[key] = storage_dtype(kind)
    spans = find_spans(file, keys, dtypes, MAX_PICKLE_BYTES - source.left)

    def find(reference: Reference) -> Storage:
        kind, key, count = read_reference(reference, REFERENCE_WORDS)
        dtype = storage_dtype(kind)
        if key not in spans:
            return Storage(dtype)
        span = limit_span(spans[key], count, dtype)
        return Storage(dtype, select_view(span, reference.id[5], dtype))

    return TorchFile(content, find)


def find_spans(file: WeightsFile, keys: list[Any], dtypes: Mapping[str, str], place: int) -> dict[str, Span]:
    """Find the numbers of each storage, which follow one another.

    Raises
    ------
    NotWeights
        If the file ends before them.
    """
    item_bytes = ITEM_BYTES | REFUSED_ITEM_BYTES
    spans = {}
    for key in map(str, keys):
        item = item_bytes.get(dtypes.get(key, ""))
        if item is None:
            raise NotWeights("it is truncated or damaged")
        count = int.from_bytes(file.read(place, STORAGE_LENGTH_BYTES), "little")
        place += STORAGE_LENGTH_BYTES
        if place + count * item > file.size:
            raise NotWeights("it is truncated or damaged")
        spans[key] = Span(file, place, count * item)
        place += count * item
    return spans


def select_view(span: Span, view: Any, dtype: str) -> Span:
    """Select the part of a storage that a tensor sees.

    Raises
    ------
    NotWeights
        If it is not in it.
    """
    if view is None:
        return span
    if not isinstance(view, tuple) or len(view) != 3 or not is_count(view[1]) or not is_count(view[2]):
        raise NotWeights("it is truncated or damaged")
    item = ITEM_BYTES.get(dtype, 1)
    start = view[1] * item
    size = view[2] * item
    if start < 0 or size < 0 or start + size > span.size:
        raise NotWeights("it is truncated or damaged")
    return Span(span.file, span.place + start, size)
