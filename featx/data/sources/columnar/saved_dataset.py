"""Folders that `save_to_disk` of Hugging Face's datasets wrote: Arrow streams, whose images lie in them as they are."""

from __future__ import annotations

import json
import logging
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.data.listing import ImageFile, Listing, find_split
from featx.data.sources.archives.members import Archive, NoMember, RangedFiles, number_paths, opened
from featx.data.sources.columnar.arrow_columns import (
    BYTES_FIELD,
    ImageColumns,
    TableRows,
    check_installed,
    find_columns,
    make_listing,
    read_texts,
)
from featx.data.sources.columns import ColumnChoice
from featx.data.sources.image_files import read_stamp
from featx.errors import DataError, first_line, shorten
from featx.files import read_regular_file
from featx.paths import is_file

log = logging.getLogger(__name__)

STATE = "state.json"
SPLITS = "dataset_dict.json"

MOST_STATE_BYTES = 2**24
"""Bytes of the files that say what belongs to a data set."""

SHOWN = 3
"""Files that a line names."""


class ArrowFiles(RangedFiles):
    """Images in Arrow streams; those of rows without one have no size."""

    def make_file(self, archive: Archive, row: int) -> ImageFile:
        """Say where an image lies."""
        if self.sizes[row] < 0:
            return NoMember(archive.path, "its row holds no image")
        return super().make_file(archive, row)


class ArrowPlaces:
    """Where the images of one or several files lie, and what the tables say of them."""

    def __init__(self) -> None:
        self.archives: list[Archive] = []
        self.archive_of: list[NDArray[np.int32]] = []
        self.places: list[NDArray[np.int64]] = []
        self.sizes: list[NDArray[np.int64]] = []
        self.rows = TableRows()
        self.problems: list[str] = []
        self.columns: ImageColumns | None = None


def is_saved_dataset(data: str) -> bool:
    """Whether DATA is a folder that `save_to_disk` wrote."""
    return is_file(Path(data) / STATE) or is_file(Path(data) / SPLITS)


def list_saved_dataset(data: str, choice: ColumnChoice) -> Listing:
    """List the images in a folder that `save_to_disk` wrote.

    Parameters
    ----------
    data : str
        DATA as the user gave it.
    choice : ColumnChoice
        Columns that the user named; `path` is that of the images.

    Raises
    ------
    DataError
        If pyarrow is not installed, what the folder says of itself is damaged, or there are no images or labels.
    UnknownName
        If there is no column that was asked for.
    """
    check_installed(data)
    found = ArrowPlaces()
    for file, split in list_files(Path(data)):
        index_file(found, str(file), split, choice)
    if found.columns is None or not found.rows.paths:
        why = shorten(found.problems, SHOWN) or "it has no rows"
        raise DataError(f"'{data}' holds no images that can be read: {why}")
    if found.problems:
        are = "1 file is" if len(found.problems) == 1 else f"{len(found.problems)} files are"
        log.warning("%s damaged, and what is readable is used: %s", are, shorten(found.problems, SHOWN))
    files = ArrowFiles(
        found.archives,
        np.concatenate(found.archive_of),
        number_paths(found.rows.paths),
        np.concatenate(found.places),
        np.concatenate(found.sizes),
    )
    return make_listing(data, found.rows, files, found.columns, choice, [])


def list_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the streams of a data set, each with its split.

    Raises
    ------
    DataError
        If what the folder says of itself is damaged, or its rows were chosen by a list beside it.
    """
    if not is_file(folder / SPLITS):
        yield from list_streams(folder, "")
        return
    names = read_state(folder / SPLITS).get("splits")
    if not isinstance(names, list) or not all(isinstance(name, str) and name == Path(name).name for name in names):
        raise DataError(f"'{folder / SPLITS}' is damaged: it names no splits")
    unknown = [f"'{name}'" for name in names if not find_split(name)]
    if unknown:
        raise DataError(
            f"'{folder}' has the splits {shorten(unknown)}, which are not names that featx knows: "
            "give one of its folders"
        )
    for name in names:
        yield from list_streams(folder / name, find_split(name) or "")


def list_streams(folder: Path, split: str) -> Iterator[tuple[Path, str]]:
    """Yield the streams in a folder.

    Raises
    ------
    DataError
        As `list_files` does.
    """
    state = read_state(folder / STATE)
    if state.get("_indices_files") or state.get("_indices_data_files"):
        raise DataError(f"'{folder}' has its rows in another order: save it once more, after flatten_indices()")
    try:
        names = [file["filename"] for file in state["_data_files"]]
    except (KeyError, TypeError) as error:
        raise DataError(f"'{folder / STATE}' is damaged: it names no files") from error
    for name in names:
        if not isinstance(name, str) or name != Path(name).name:
            raise DataError(f"'{folder / STATE}' is damaged: it names files elsewhere")
        yield folder / name, split


def read_state(file: Path) -> dict[str, Any]:
    """Read a file that says what belongs to a data set.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    try:
        content = json.loads(read_regular_file(file, MOST_STATE_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"'{file}' cannot be read: {first_line(error)}") from error
    return content if isinstance(content, dict) else {}


def index_file(found: ArrowPlaces, path: str, split: str, choice: ColumnChoice) -> None:
    """Add the images of a stream; what is wrong with it is noted.

    Raises
    ------
    DataError, UnknownName
        If its columns cannot be known.
    """
    import pyarrow as pa

    archive = Archive(path, read_stamp(path))
    number = len(found.archives)
    found.archives.append(archive)
    count = 0
    try:
        with opened(archive) as handle:
            # Closed with the last buffer that is of it.
            stream = pa.py_buffer(mmap.mmap(handle, 0, access=mmap.ACCESS_READ))
            for places, sizes, values in read_batches(found, archive, stream, choice):
                paths = [f"{path}/{row:06}" for row in range(count, count + len(places))]
                count += len(places)
                found.rows.add(paths, split, values)
                found.archive_of.append(np.full(len(places), number, np.int32))
                found.places.append(places)
                found.sizes.append(sizes)
    except (pa.ArrowException, OSError, ValueError, BufferError) as error:
        if isinstance(error, DataError):
            raise
        found.problems.append(f"'{path}' ({first_line(error)}; {count} images are readable)")


def read_batches(
    found: ArrowPlaces, archive: Archive, stream: Any, choice: ColumnChoice
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], dict[str, list[str]]]]:
    """Yield the places and sizes of images, and the values of other columns, a batch at a time.

    Raises
    ------
    pyarrow.ArrowException
        If the stream is damaged; what was yielded is sound.
    DataError, UnknownName
        If its columns cannot be known, or it is compressed.
    """
    import pyarrow as pa

    with pa.ipc.open_stream(pa.BufferReader(stream)) as reader:
        columns = find_columns(archive.path, reader.schema, choice)
        found.columns = columns
        for batch in reader:
            images = batch.column(columns.chosen.path)
            if columns.has_fields:
                images = images.field(BYTES_FIELD)
            try:
                places, sizes = locate_images(images, stream)
            except DataError as error:
                raise DataError(f"'{archive.path}': {error}") from error
            values = {}
            for name in columns.values:
                column = batch.column(name)
                # Before a number of it is believed.
                column.validate(full=True)
                values[name] = read_texts(column, columns.class_names if name == columns.chosen.label else None)
            yield places, sizes, values


def locate_images(images: Any, stream: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Say where the values of an array lie in the stream that it was read from without a copy.

    Parameters
    ----------
    images : pyarrow.BinaryArray or pyarrow.LargeBinaryArray
    stream : pyarrow.Buffer

    Returns
    -------
    places, sizes : (n,) int64
        -1 each where a value is missing.

    Raises
    ------
    DataError
        If the stream is compressed.
    """
    import pyarrow as pa

    _, offsets_buffer, data = images.buffers()
    width = np.dtype("<i8" if pa.types.is_large_binary(images.type) else "<i4")
    offsets = np.frombuffer(offsets_buffer, width)[images.offset : images.offset + len(images) + 1].astype(np.int64)
    begin = (data.address if data is not None else stream.address) - stream.address
    if not 0 <= begin <= stream.size:
        raise DataError("its columns are compressed: save it without, or as Parquet")
    is_there = np.asarray(images.is_valid())
    return np.where(is_there, offsets[:-1] + begin, -1), np.where(is_there, np.diff(offsets), -1)
