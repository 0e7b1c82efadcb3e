"""HDF5 files whose last and largest dataset does not go through the library: whoever holds the numbers writes them.

The library lays out everything else in memory. So every write to the disk is one of our own and raises the operating
system's own errors, and features are never copied.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray


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

    It takes 1 to 2 ms whatever the size, which is little for a part: a data set has about sixteen of them for each key,
    or one for 1,024 images.

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
