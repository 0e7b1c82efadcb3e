"""Writes one ordinary HDF5 file with the features of a data set and what belongs to its rows, for other programs."""

from __future__ import annotations

import os
from collections import Counter
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
from featx.store.header import PART_DTYPES
from featx.store.key_summary import RowsOfShapes, choose_shape
from featx.store.part import PART_BYTES, Part, are_finite
from featx.store.store import FeatureStore


@dataclass(frozen=True)
class Columns:
    """What stands beside the features, one entry for each row.

    Attributes
    ----------
    digests : (n, 32) uint8
    labels, paths, split : sequence of n str
    """

    digests: NDArray[np.uint8]
    labels: Sequence[str]
    paths: Sequence[str]
    split: Sequence[str]


@dataclass(frozen=True)
class RowTarget:
    """The place of rows of features in an open file.

    Attributes
    ----------
    handle : int
    offset : int
        Place of the first row, in bytes.
    shape : tuple of int
        Shape of a row.
    """

    handle: int
    offset: int
    shape: tuple[int, ...]

    def copy_rows(self, part: Part, rows: NDArray[np.intp], places: NDArray[np.intp]) -> None:
        """Copy rows of a part to their places, with memory for at most one part.

        Parameters
        ----------
        part : Part
        rows, places : (k,) int
            Ascending row numbers in the part, and where they belong in the file.

        Raises
        ------
        BrokenPart
            If they are damaged, or of another shape.
        OSError
            If the disk is full.
        """
        row_shape = part.header.shape[1:]
        if row_shape != self.shape:
            raise BrokenPart(f"'{part.path}' holds rows of shape {row_shape}, others of {self.shape}")
        # Not all at once: one image may be requested any number of times, and a part may be of any size.
        step = max(1, PART_BYTES // part.header.row_bytes)
        for low in range(0, len(rows), step):
            features: NDArray[Any] = np.empty((min(step, len(rows) - low), *self.shape), part.header.dtype)
            part.read(rows[low : low + step], features)
            # Its checksum was right, so somebody meant it.
            if not are_finite(features):
                raise BrokenPart(f"'{part.path}' holds features that are not finite")
            self.write_rows(features, places[low : low + step])

    def write_rows(self, features: NDArray[Any], places: NDArray[np.intp]) -> None:
        """Write rows to their places, those of places in a row at once."""
        run_starts = np.flatnonzero(np.diff(places) != 1) + 1
        for start, stop in pairwise([0, *run_starts.tolist(), len(places)]):
            os.lseek(self.handle, self.offset + int(places[start]) * features[0].nbytes, os.SEEK_SET)
            write_all(self.handle, features[start:stop].data)


def write_export(
    target: Path, store: FeatureStore, key: FeatureKey, columns: Columns, attributes: Mapping[str, str]
) -> int:
    """Write features, labels, paths, digests and split of the rows into one HDF5 file, atomically.

    Memory: the columns, and at most one part of features.

    Parameters
    ----------
    target : pathlib.Path
        The file to write; replaced if it exists.
    store : FeatureStore
    key : FeatureKey
    columns : Columns
    attributes : mapping of str to str
        Attributes of the file, beside the key.

    Returns
    -------
    int
        Size of the file in bytes.

    Raises
    ------
    MissingFeatures
        If a row is not in the store.
    BrokenPart
        If the only part that holds a row is damaged.
    StoreError
        If the file cannot be written; an older file of that name stays as it was.
    """
    rows_of: RowsOfShapes = Counter()
    for header in store.headers(key):
        rows_of[header.shape[1:]] += header.shape[0]
    if not rows_of:
        raise MissingFeatures(f"the cache '{store.root}' holds no features of {key.folder}: run featx extract")
    row_shape = choose_shape(rows_of)
    text = h5py.string_dtype()
    # Names as the bytes that the file system holds: they need not be UTF-8.
    paths = [os.fsencode(path) for path in columns.paths]
    labels = [os.fsencode(label) for label in columns.labels]
    datasets: dict[str, NDArray[Any]] = {
        "digests": columns.digests,
        "labels": np.array(labels, text),
        "paths": np.array(paths, text),
        "split": np.array(columns.split, text),
    }
    shape = (len(columns.digests), *row_shape)
    head, _ = lay_out({"key": key.to_json(), **attributes}, datasets, "features", shape, PART_DTYPES[key.dtype])
    try:
        remove_given_up_beside(target)
        with atomic_file(target) as (handle, _):
            write_all(handle, head)
            row_target = RowTarget(handle, len(head), row_shape)

            def copy(part: Part, rows: NDArray[np.intp], places: NDArray[np.intp]) -> None:
                part.read_whole(lambda whole: row_target.copy_rows(whole, rows, places))

            store.collect(key, columns.digests, copy)
            size = os.fstat(handle).st_size
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"'{target}' cannot be written: {error.strerror or error}") from error
    return size
