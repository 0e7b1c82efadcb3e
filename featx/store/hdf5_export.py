"""Writes one ordinary HDF5 file with the features of a data set and what belongs to its rows, for other programs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from featx.errors import BrokenPart, MissingFeatures, StoreError
from featx.files import atomic_file, remove_given_up_beside, write_all
from featx.keys import FeatureKey
from featx.store.hdf5_layout import lay_out
from featx.store.part import Part
from featx.store.store import FeatureStore


@dataclass(frozen=True)
class Columns:
    """What stands beside the features, an entry a row: (n, 32) uint8 digests, and names."""

    digests: NDArray[np.uint8]
    labels: Sequence[str]
    paths: Sequence[str]
    split: Sequence[str]


@dataclass(frozen=True)
class Rows:
    """Where rows of features go in an open file: its handle, and the place of the first row in bytes."""

    handle: int
    offset: int
    shape: tuple[int, ...]

    def take(self, part: Part, rows: NDArray[np.intp], places: NDArray[np.intp]) -> None:
        """Copy rows of a part to their places, with memory for at most one part.

        Raises
        ------
        BrokenPart
            If they are damaged, or of another shape.
        OSError
            If the disk is full.
        """
        header = part.header
        if header.shape[1:] != self.shape:
            raise BrokenPart(f"'{part.path}' holds rows of shape {header.shape[1:]}, others of {self.shape}")
        most = len(header.digests)  # one image may be wanted any number of times
        for low in range(0, len(rows), most):
            some: NDArray[Any] = np.empty((min(most, len(rows) - low), *self.shape), header.dtype)
            part.read(rows[low : low + most], some)
            where = places[low : low + most]
            edges = [0, *(np.flatnonzero(np.diff(where) != 1) + 1).tolist(), len(where)]
            for start, stop in pairwise(edges):
                os.lseek(self.handle, self.offset + int(where[start]) * header.row_bytes, os.SEEK_SET)
                write_all(self.handle, some[start:stop].data)


def write_export(
    target: Path, store: FeatureStore, key: FeatureKey, columns: Columns, attributes: Mapping[str, str]
) -> int:
    """Write features, labels, paths, digests and split of the rows into one HDF5 file, atomically.

    Memory: the columns, and at most one part of features.

    Parameters
    ----------
    attributes : mapping of str to str
        Of the file, beside the key.

    Returns
    -------
    int
        Bytes of the file.

    Raises
    ------
    MissingFeatures
        If a row is not in the store.
    BrokenPart
        If the only part that holds a row is damaged.
    StoreError
        If the file cannot be written; whatever stood there is as it was.
    """
    first = next(store.headers(key), None)
    if first is None:
        raise MissingFeatures(f"the cache '{store.root}' holds no features of {key.folder}")
    shape = (len(columns.digests), *first.shape[1:])
    text = h5py.string_dtype()
    datasets: dict[str, NDArray[Any]] = {
        "digests": columns.digests,
        "labels": np.array(columns.labels, text),
        "paths": np.array([os.fsencode(path) for path in columns.paths], text),
        "split": np.array(columns.split, text),
    }
    head, _ = lay_out({"key": key.to_json(), **attributes}, datasets, "features", shape, first.dtype)
    try:
        remove_given_up_beside(target)
        with atomic_file(target) as (handle, _):
            write_all(handle, head)
            store.collect(key, columns.digests, Rows(handle, len(head), first.shape[1:]).take)
            size = os.fstat(handle).st_size
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"'{target}' cannot be written: {error.strerror or error}") from error
    return size
