"""HDF5 files whose last and largest dataset is not handed to the library, but written behind it by whoever has it.

The library lays out everything else in memory, so every write to the disk is one of our own, with errors of the
system's own kind, and features are never copied.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray


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
