"""HDF5 files whose last and largest dataset does not go through the library: whoever holds the numbers writes them.

The library lays out everything else in memory. So every write to the disk is one of our own and raises the operating
system's own errors, and features are never copied.
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
"""Templates that are kept: the parts of one extraction have few forms, one for each key and number of rows."""


LARGEST_TEMPLATE = 2**20
"""Bytes of a head that is kept: those of parts of extractions are much smaller."""


class MemoryFile(io.BytesIO):
    """A file in memory that does not grow when the HDF5 library reserves space at its end."""

    def truncate(self, size: int | None = None, /) -> int:
        """Pretend that the file now has this size in bytes."""
        return self.tell() if size is None else size


def lay_out(
    attributes: Mapping[str, str | int],
    datasets: Mapping[str, NDArray[Any]],
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> tuple[bytes, dict[str, int]]:
    """Lay out an HDF5 file up to the first byte of its last dataset.

    Parameters
    ----------
    attributes : mapping of str to str or int
        Attributes of the file.
    datasets : mapping of str to array
        Stored contiguously and whole; arrays of strings must have an h5py string dtype.
    name : str
        Name of the last dataset, whose numbers the caller writes behind the returned bytes.
    shape : tuple of int
    dtype : numpy dtype

    Returns
    -------
    head : bytes
    offsets : dict of str to int
        Place of each dataset in the file, in bytes; the last dataset's is the length of `head`.
    """
    memory = MemoryFile()
    offsets = {}
    with h5py.File(memory, "w", locking=False) as file:
        for attribute, value in attributes.items():
            file.attrs[attribute] = value
        for dataset, values in datasets.items():
            # An empty dataset has no place: HDF5 gives None then.
            offsets[dataset] = file.create_dataset(dataset, data=values).id.get_offset() or 0
        offsets[name] = reserve_dataset(file, name, shape, dtype)
    # The library may end its own part before the reserved space begins; the gap is zeros.
    head = memory.getvalue().ljust(offsets[name], b"\0")
    return head, offsets


def reserve_dataset(file: Any, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Create a contiguous dataset whose space is set aside at the end of the file but not written; return its place."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    # Without times, equal rows give equal files.
    properties.set_obj_track_times(False)
    hdf5_type = h5py.h5t.py_create(dtype, logical=True)
    space = h5py.h5s.create_simple(shape)
    dataset = h5py.h5d.create(file.id, name.encode(), hdf5_type, space, properties)
    return dataset.get_offset() or 0


@dataclass(frozen=True)
class Template:
    """A head that was laid out once, and where its values stand in it.

    Attributes
    ----------
    head : bytes
    text_places : dict of str to int
        Place of each text attribute, in bytes.
    offsets : dict of str to int
        Place of each dataset, in bytes.
    """

    head: bytes
    text_places: dict[str, int]
    offsets: dict[str, int]

    def fill(self, attributes: Mapping[str, str | int], datasets: Mapping[str, NDArray[Any]]) -> bytes:
        """Copy the head with other values of the same form."""
        head = bytearray(self.head)
        for name, place in self.text_places.items():
            text = str(attributes[name]).encode()
            head[place : place + len(text)] = text
        for name, values in datasets.items():
            place = self.offsets[name]
            head[place : place + values.nbytes] = values.tobytes()
        return bytes(head)


class TemplateLayouts:
    """Lays files out as `lay_out` does, but asks the HDF5 library only once for files of one form.

    Files of one form differ in values only: they have the same attributes and datasets, texts of the same number of
    bytes, equal numbers, and arrays of the same shape and dtype. The library takes 1 to 2 ms a file, which is a third
    to a half of the time that a part of a few hundred rows takes to be written (`benchmarks/store.py`).
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
        """Lay out an HDF5 file up to the first byte of its last dataset, as the function `lay_out` does."""
        form = describe_form(attributes, datasets, (name, shape, dtype))
        template = self._templates.get(form)
        if template is not None:
            return template.fill(attributes, datasets), template.offsets
        head, offsets = lay_out(attributes, datasets, name, shape, dtype)
        text_places = find_texts(head, attributes)
        if text_places is not None and len(head) <= LARGEST_TEMPLATE:
            if len(self._templates) >= MOST_TEMPLATES:
                self._templates.clear()
            self._templates[form] = Template(head, text_places, offsets)
        return head, offsets


def describe_form(
    attributes: Mapping[str, str | int], datasets: Mapping[str, NDArray[Any]], last: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Describe everything about a file but the values that a template fills in."""
    form: list[Any] = [last]
    for name, value in attributes.items():
        form.append((name, len(value.encode()) if isinstance(value, str) else value))
    for name, values in datasets.items():
        form.append((name, values.shape, values.dtype))
    return tuple(form)


def find_texts(head: bytes, attributes: Mapping[str, str | int]) -> dict[str, int] | None:
    """Find where each text attribute stands in a head; None if one occurs twice, so that its place is not certain."""
    places = {}
    for name, value in attributes.items():
        if isinstance(value, str):
            text = value.encode()
            if head.count(text) != 1:
                return None
            places[name] = head.index(text)
    return places
