"""Files that threads read and use hold their share of one budget."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Barrier
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.data.listing import Listing
from featx.data.loader import Loader
from featx.data.reading import READING_BUDGET, READING_MEMORY, reading
from featx.data.sources import MAX_IMAGE_BYTES
from featx.data.sources.buckets.bucket_files import BucketLost
from featx.data.sources.image_files import ON_DISK, DiskFile
from featx.images.picture_digest import digest_picture
from featx.timing import Clock
from tests.data.sources.archives.making import make_png


def make_listing(*paths: Path) -> Listing:
    names = [str(path) for path in paths]
    return Listing("made", names, [""] * len(names), [""] * len(names), ON_DISK)


def make_file(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_a_file_holds_its_bytes_until_they_have_been_used(tmp_path: Path) -> None:
    listing = make_listing(make_file(tmp_path / "a", 1000))
    with reading(listing, 0) as data:
        assert len(data) == 1000
        assert READING_BUDGET.held == 1000
    assert READING_BUDGET.held == 0


def test_what_cannot_be_read_holds_nothing(tmp_path: Path) -> None:
    listing = make_listing(tmp_path / "gone", Path("a\0b"), make_file(tmp_path / "huge", MAX_IMAGE_BYTES + 1))
    for row, reason in enumerate(("No such file", "null byte", "more than the 256 MiB")):
        with pytest.raises(OSError, match=reason), reading(listing, row):
            pass
    assert READING_BUDGET.held == 0
    assert DiskFile(str(tmp_path / "huge")).find_size() == 0


def test_large_files_wait_for_each_other(tmp_path: Path) -> None:
    size = READING_MEMORY * 2 // 3
    listing = make_listing(make_file(tmp_path / "a", size), make_file(tmp_path / "b", size))
    held = []

    def read(row: int) -> None:
        with reading(listing, row):
            held.append(READING_BUDGET.held)

    threads = [threading.Thread(target=read, args=(row,)) for row in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held == [size, size]


class FarFile(NamedTuple):
    """A file whose reading takes until others are read, too."""

    data: bytes
    together: Barrier

    def find_size(self) -> int:
        return len(self.data)

    def read(self) -> bytes:
        self.together.wait(10)
        if not self.data:
            raise OSError("it is gone")
        if self.data == b"lost":
            raise BucketLost("the bucket is out of reach")
        return self.data


class FarFiles:
    are_stored = True
    are_shareable = True
    are_far = True

    def __init__(self, files: Mapping[str, FarFile]) -> None:
        self.files = files

    def find(self, path: str) -> FarFile:
        return self.files[path]

    def read_stamps(self, paths: Sequence[str]) -> NDArray[np.int64]:
        return np.full((len(paths), 4), -1, np.int64)


def make_far(contents: Sequence[bytes], together: int) -> Loader:
    """Load images that are read only if so many are read at a time."""
    barrier = Barrier(together)
    files = {str(row): FarFile(data, barrier) for row, data in enumerate(contents)}
    nothing = [""] * len(files)
    listing = Listing("far", list(files), nothing, nothing, FarFiles(files))
    return Loader(listing, lambda digest, row: True, lambda picture, digest: {0: np.asarray(picture)}, 1, Clock())


def test_files_that_lie_far_away_are_read_side_by_side_by_one_thread() -> None:
    contents = [make_png(1), b"", make_png(2), b"no picture"]
    loaded = make_far(contents, 4).load_all(range(4))
    assert [len(row.pixels) for row in loaded] == [1, 0, 1, 0]
    assert loaded[1].reason == "it is gone"
    assert [row.digest for row in loaded] == [digest_picture(data) if data else None for data in contents]
    assert not READING_BUDGET.held


def test_no_more_of_them_are_held_than_memory_is_meant_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featx.data.reading.FETCHED_BYTES", 1)
    loaded = make_far([make_png(seed) for seed in range(3)], 1).load_all(range(3))
    assert [len(row.pixels) for row in loaded] == [1, 1, 1]


def test_what_they_lie_in_ends_the_loading_where_it_cannot_be_reached() -> None:
    with pytest.raises(BucketLost, match="out of reach"):
        make_far([make_png(1), b"lost"], 2).load_all(range(2))
    assert not READING_BUDGET.held
