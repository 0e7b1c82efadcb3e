"""HDF5 files whose last and largest dataset is not handed to the library, but written behind it by whoever has it.

The library lays out everything else in memory, so every write to the disk is one of our own, with errors of the
system's own kind, and features are never copied.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

MOST_TEMPLATES = 16


class MemoryFile(io.BytesIO):
    """A file for the HDF5 library that does not grow to hold the space reserved at its end."""

    def truncate(self, size: int | None = None, /) -> int:
        """Pretend that the file has this size in bytes."""
        return self.tell() if size is None else size


def lay_out(
    attributes: Mapping[str, str | int],
    datasets: Mapping[str, NDArray[Any]],
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> tuple[bytes, dict[str, int]]:
    """Make an HDF5 file up to the first byte of its last dataset.

    Parameters
    ----------
    attributes : mapping of str to str or int
        Of the file.
    datasets : mapping of str to array
        Stored contiguously and whole; arrays of strings must have an h5py string dtype.
    name : str
        Of the last dataset, whose numbers follow what is returned.
    shape : tuple of int
    dtype : numpy dtype

    Returns
    -------
    head : bytes
    offsets : dict of str to int
        Place of each dataset in the file, in bytes; the last one's is the length of `head`.
    """
    memory = MemoryFile()
    with h5py.File(memory, "w", locking=False) as file:
        for attribute, value in attributes.items():
            file.attrs[attribute] = value
        for dataset, values in datasets.items():
            file.create_dataset(dataset, data=values)
        reserve(file, name, shape, dtype)
        offsets = {dataset: file[dataset].id.get_offset() or 0 for dataset in (*datasets, name)}
    return memory.getvalue().ljust(offsets[name], b"\0"), offsets


def reserve(file: Any, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Create a contiguous dataset whose space is set aside at the end of the file, and not written."""
    when = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    when.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    when.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    when.set_obj_track_times(False)  # equal rows make equal files
    kind, space = h5py.h5t.py_create(dtype, logical=True), h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, name.encode(), kind, space, when)


@dataclass(frozen=True)
class Template:
    """A laid-out beginning, and where its attributes and datasets stand in it, in bytes."""

    head: bytes
    places: dict[str, int]
    offsets: dict[str, int]


class Layouts:
    """Lays files out as `lay_out` does, faster where only values differ: the library is asked once for each form.

    Files of one form have the same attributes and datasets, texts of the same length, and arrays of the same shape.
    """

    def __init__(self) -> None:
        self._templates: dict[Any, Template] = {}

    def lay_out(
        self,
        attributes: Mapping[str, str | int],
        datasets: Mapping[str, NDArray[Any]],
        name: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> tuple[bytes, dict[str, int]]:
        """Make an HDF5 file up to the first byte of its last dataset; see `lay_out`."""
        form = (
            tuple((key, len(value.encode()) if isinstance(value, str) else value) for key, value in attributes.items()),
            tuple((key, values.shape, values.dtype) for key, values in datasets.items()),
            (name, shape, dtype),
        )
        known = self._templates.get(form)
        if known is not None:
            return fill_in(known, attributes, datasets), known.offsets
        head, offsets = lay_out(attributes, datasets, name, shape, dtype)
        texts = {key: value.encode() for key, value in attributes.items() if isinstance(value, str)}
        if all(head.count(text) == 1 for text in texts.values()):
            if len(self._templates) > MOST_TEMPLATES:
                self._templates.clear()
            places = {key: head.index(text) for key, text in texts.items()}
            self._templates[form] = Template(head, places, offsets)
        return head, offsets


def fill_in(template: Template, attributes: Mapping[str, str | int], datasets: Mapping[str, NDArray[Any]]) -> bytes:
    """Put other values of the same form into a template."""
    head = bytearray(template.head)
    values = {template.places[key]: value.encode() for key, value in attributes.items() if isinstance(value, str)}
    values |= {template.offsets[key]: array.tobytes() for key, array in datasets.items()}
    for place, value in values.items():
        head[place : place + len(value)] = value
    return bytes(head)
