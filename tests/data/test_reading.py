"""Files that threads read and use hold their share of one budget."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from featx.data.listing import Listing
from featx.data.reading import READING_BUDGET, READING_MEMORY, reading
from featx.data.sources import MAX_IMAGE_BYTES
from featx.data.sources.image_files import ON_DISK, DiskFile


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
