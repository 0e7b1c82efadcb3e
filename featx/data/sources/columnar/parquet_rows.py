"""Reads images from Parquet files: a few rows at a time, kept while the rows around them are read.

Values of a column can only be read one after the other. Threads that read rows near one another share what was read;
whoever goes back further begins its row group anew.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from threading import Lock
from typing import Any, NamedTuple

from featx.data.sources.archives.members import Archive, opened
from featx.data.sources.columnar.parquet_pages import check_pages
from featx.data.sources.image_files import MAX_IMAGE_BYTES, refuse_large

KEPT_BYTES = 2**26
"""Bytes of images that are kept of a row group: what a hundred threads read at a time of photos of 500 x 375."""

BATCH_BYTES = 2**22
"""Bytes of images that are read at a time, as far as their mean size tells."""

MOST_BATCH_ROWS = 64

OPEN_GROUPS = 2
"""Row groups that are read at a time: threads that go on to the next one, and those that have not finished."""

CHUNK_BYTES = 2**20
"""Bytes that are read from disk at a time."""


class ImageColumn(NamedTuple):
    """A column of images in a file.

    Attributes
    ----------
    archive : Archive
    name : str
        As Parquet has it: `image` or `image.bytes`.
    """

    archive: Archive
    name: str


class ParquetCell(NamedTuple):
    """An image: its row in a row group, and the mean size of the images there."""

    column: ImageColumn
    group: int
    row: int
    mean_size: int

    def find_size(self) -> int:
        """Say what an image of its row group has on average: nothing else is known."""
        return min(self.mean_size, MAX_IMAGE_BYTES)

    def read(self) -> bytes:
        """Read it.

        Raises
        ------
        OSError
            If the file is gone or changed, or the image is missing, too large or damaged.
        """
        with GROUPS.use(self.column, self.group, self.mean_size) as group:
            return group.read(self.row)


class GroupReader:
    """Reads the images of one row group in their order, and keeps those that were read last.

    Parameters
    ----------
    column : ImageColumn
    group : int
    mean_size : int
    """

    def __init__(self, column: ImageColumn, group: int, mean_size: int) -> None:
        self.column = column
        self.group = group
        self.batch_rows = max(1, min(MOST_BATCH_ROWS, BATCH_BYTES // max(1, mean_size)))
        self.lock = Lock()
        self._kept: deque[tuple[int, Any]] = deque()
        self._next_row = 0
        self._batches: Iterator[Any] = iter(())
        self._file: Any = None

    def __enter__(self) -> GroupReader:
        self.lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    def read(self, row: int) -> bytes:
        """Read the image of a row.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        import pyarrow as pa

        try:
            if self._file is None or row < self._first_kept():
                self._restart()
            while row >= self._next_row:
                self._read_batch()
            first, images = next(batch for batch in reversed(self._kept) if batch[0] <= row)
            value = images[row - first]
            size = len(value.as_buffer()) if value.is_valid else 0
            refuse_large(size)
            data: bytes | None = value.as_py()
        except (pa.ArrowException, StopIteration, MemoryError) as error:
            self._close()
            raise OSError(f"is damaged: it cannot be read ({str(error).strip() or 'its row is missing'})") from error
        if data is None:
            raise OSError("its row holds no image")
        return data

    def _first_kept(self) -> int:
        return self._kept[0][0] if self._kept else self._next_row

    def _restart(self) -> None:
        from pyarrow.parquet import ParquetFile

        self._close()
        archive = self.column.archive
        with opened(archive) as handle:
            self._file = ParquetFile(archive.path, buffer_size=CHUNK_BYTES, pre_buffer=False)
            check_pages(handle, archive, find_chunk(self._file.metadata, self.group, self.column.name))
        self._batches = self._file.iter_batches(
            self.batch_rows, row_groups=[self.group], columns=[self.column.name], use_threads=False
        )

    def _read_batch(self) -> None:
        # What is open is the file that was there when it was opened, but its bytes may be others by now.
        with opened(self.column.archive):
            images = next(self._batches).column(0)
        if hasattr(images, "field"):
            images = images.field(0)
        if not len(images):
            raise StopIteration
        self._kept.append((self._next_row, images))
        self._next_row += len(images)
        while len(self._kept) > 1 and sum(kept.nbytes for _, kept in self._kept) > KEPT_BYTES:
            self._kept.popleft()

    def _close(self) -> None:
        self._kept.clear()
        self._next_row = 0
        self._batches = iter(())
        if self._file is not None:
            self._file.close()
            self._file = None


def find_chunk(metadata: Any, group: int, column: str) -> Any:
    """Find a column of a row group by its name as Parquet has it.

    Raises
    ------
    StopIteration
        If there is none.
    """
    of_group = metadata.row_group(group)
    chunks = (of_group.column(place) for place in range(of_group.num_columns))
    return next(chunk for chunk in chunks if chunk.path_in_schema == column)


class GroupReaders:
    """The row groups that are being read, those that were used last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._readers: OrderedDict[tuple[ImageColumn, int], GroupReader] = OrderedDict()

    def use(self, column: ImageColumn, group: int, mean_size: int) -> GroupReader:
        """Give the reader of a row group, to be entered by one thread at a time."""
        with self._lock:
            reader = self._readers.pop((column, group), None) or GroupReader(column, group, mean_size)
            self._readers[column, group] = reader
            while len(self._readers) > OPEN_GROUPS:
                # Whoever still uses it holds it.
                self._readers.popitem(last=False)
            return reader


GROUPS = GroupReaders()
"""What all threads of this process share."""
