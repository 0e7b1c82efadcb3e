"""Parquet files with a column of images as data sets: one, a folder of them, or those that a pattern names."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.data.listing import Listing
from featx.data.sources.archives.members import Archive, ArchivedFiles, number_paths, opened
from featx.data.sources.archives.shard_names import find_shards, is_pattern, list_shard_files
from featx.data.sources.columnar.arrow_columns import (
    BYTES_FIELD,
    ImageColumns,
    TableRows,
    check_installed,
    find_columns,
    make_listing,
    read_texts,
)
from featx.data.sources.columnar.parquet_pages import check_pages
from featx.data.sources.columnar.parquet_rows import ImageColumn, ParquetCell, find_chunk
from featx.data.sources.columns import ColumnChoice
from featx.data.sources.image_files import read_stamp
from featx.errors import DataError, first_line, shorten
from featx.paths import is_file, is_folder
from featx.storage.paths import is_object_url

log = logging.getLogger(__name__)

PARQUET_SUFFIX = ".parquet"

MOST_ROWS = 2**23
"""Rows that are read of one file: a few hundred bytes of memory each."""

VALUES_AT_A_TIME = 2**16
"""Rows whose labels are read at a time."""

SHOWN = 3
"""Files that a line names."""


@dataclass(frozen=True)
class ParquetFiles(ArchivedFiles):
    """Rows of Parquet files. Places are rows, and sizes are mean ones.

    Attributes
    ----------
    column : str
        Of the images, as Parquet has it.
    groups, rows_in_group : (n,) int32
        The row group of each row, and its place there.
    """

    column: str
    groups: NDArray[np.int32]
    rows_in_group: NDArray[np.int32]

    # A process apart would decode whole row groups for a few of their rows: it is sent the bytes.
    are_shareable = False

    def make_file(self, archive: Archive, row: int) -> ParquetCell:
        """Say in which row group an image lies, and where."""
        column = ImageColumn(archive, self.column)
        return ParquetCell(column, int(self.groups[row]), int(self.rows_in_group[row]), int(self.sizes[row]))


class RowGroupPlaces:
    """Which row groups the rows of a file lie in, and the mean size of their images."""

    def __init__(self, metadata: Any, column: str) -> None:
        counts = []
        sizes = []
        for number in range(metadata.num_row_groups):
            images = find_chunk(metadata, number, column)
            count = metadata.row_group(number).num_rows
            counts.append(count)
            sizes.append(max(0, images.total_uncompressed_size) // max(1, count))
        self.groups = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        self.rows = np.concatenate([np.arange(count, dtype=np.int32) for count in counts] or [np.zeros(0, np.int32)])
        self.sizes = np.repeat(np.array(sizes, np.int64), counts)


def is_parquet(data: str) -> bool:
    """Whether DATA is a Parquet file, a pattern that names some, or a folder that holds them and no pictures."""
    if is_object_url(data):
        return False
    if data.lower().endswith(PARQUET_SUFFIX) and is_file(data):
        return True
    return is_pattern(data, PARQUET_SUFFIX) or (is_folder(data) and bool(list_shard_files(data, PARQUET_SUFFIX)))


def list_parquet(data: str, choice: ColumnChoice) -> Listing:
    """List the images in Parquet files; labels are read, images are not.

    Parameters
    ----------
    data : str
        DATA as the user gave it.
    choice : ColumnChoice
        Columns that the user named; `path` is that of the images.

    Raises
    ------
    DataError
        If pyarrow is not installed, no file can be read, or there are no images or labels.
    UnknownName
        If there is no column that was asked for.
    """
    check_installed(data)
    shards = find_shards(data, PARQUET_SUFFIX)
    rows = TableRows()
    archives: list[Archive] = []
    places: list[RowGroupPlaces] = []
    problems: list[str] = []
    columns: ImageColumns | None = None
    for path, split in zip(shards.paths, shards.splits, strict=True):
        archive = Archive(path, read_stamp(path))
        try:
            columns, values, of_groups = read_table(archive, choice)
        except TableDamaged as damage:
            problems.append(f"'{path}' ({damage})")
            continue
        count = len(of_groups.rows)
        rows.add([f"{path}/{row:06}" for row in range(count)], split, values)
        archives.append(archive)
        places.append(of_groups)
    if columns is None or not rows.paths:
        raise DataError(f"'{data}' holds no images that can be read: {shorten(problems, SHOWN) or 'it has no rows'}")
    if problems:
        are = "1 file is" if len(problems) == 1 else f"{len(problems)} files are"
        log.warning("%s damaged, and the others are used: %s", are, shorten(problems, SHOWN))
    counts = [len(of_groups.rows) for of_groups in places]
    files = ParquetFiles(
        archives,
        np.repeat(np.arange(len(archives), dtype=np.int32), counts),
        number_paths(rows.paths),
        np.concatenate([np.arange(count, dtype=np.int64) for count in counts]),
        np.concatenate([of_groups.sizes for of_groups in places]),
        name_leaf(columns),
        np.concatenate([of_groups.groups for of_groups in places]),
        np.concatenate([of_groups.rows for of_groups in places]),
    )
    return make_listing(data, rows, files, columns, choice, shards.notes)


class TableDamaged(Exception):
    """A file that cannot be read, in words."""


def name_leaf(columns: ImageColumns) -> str:
    """Name the column that holds the bytes of images as Parquet does."""
    return f"{columns.chosen.path}.{BYTES_FIELD}" if columns.has_fields else columns.chosen.path


def read_table(archive: Archive, choice: ColumnChoice) -> tuple[ImageColumns, dict[str, list[str]], RowGroupPlaces]:
    """Read what a file says of its images.

    Raises
    ------
    DataError, UnknownName
        If its columns cannot be known.
    TableDamaged
        If it cannot be read.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(archive.path, pre_buffer=False) as file:
            schema = file.schema_arrow
            count = file.metadata.num_rows
            sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        if sum(sizes) != count or min(sizes, default=0) < 0 or count > MOST_ROWS:
            raise TableDamaged(f"it states {count:,} rows, and {MOST_ROWS:,} are the most that are read")
        columns = find_columns(archive.path, schema, choice)
        # Texts of few kinds are kept once, however often they occur.
        named = columns.values
        with opened(archive) as handle, ParquetFile(archive.path, pre_buffer=False) as file:
            for number, name in product(range(len(sizes)), named):
                check_pages(handle, archive, find_chunk(file.metadata, number, name))
        with ParquetFile(archive.path, pre_buffer=False, read_dictionary=named) as file:
            places = RowGroupPlaces(file.metadata, name_leaf(columns))
            values: dict[str, list[str]] = {name: [] for name in named}
            for batch in file.iter_batches(VALUES_AT_A_TIME, columns=named, use_threads=False):
                for name in named:
                    class_names = columns.class_names if name == columns.chosen.label else None
                    values[name] += read_texts(batch.column(name), class_names)
    except (pa.ArrowException, OSError, StopIteration, OverflowError, MemoryError) as error:
        if isinstance(error, DataError):
            raise
        raise TableDamaged(first_line(error)) from error
    if any(len(texts) != count for texts in values.values()):
        raise TableDamaged("its columns are of different lengths")
    return columns, values, places
