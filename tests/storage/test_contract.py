"""What every place of caches promises, whatever it is: the same tests for folders and for object stores."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from featx.storage.interface import Storage, storage_of
from featx.storage.opened import OpenedFile
from featx.storage.paths import CachePath


def read(opened: OpenedFile) -> bytes:
    with opened:
        return os.pread(opened.handle, opened.size, 0)


def names(paths: Sequence[CachePath]) -> list[str]:
    return [path.name for path in paths]


class TestStorage:
    """The contract."""

    @pytest.fixture
    def storage(self, place: CachePath) -> Storage:
        return storage_of(place)

    def test_a_file_that_was_written_is_read_listed_and_opened(self, place: CachePath, storage: Storage) -> None:
        numbers = np.arange(5, dtype=np.float32)
        file = place / "base" / "layer" / "part"
        storage.write_file(file, [b"head", numbers.data], is_read_again=True)
        expected = b"head" + numbers.tobytes()
        assert storage.read_file(file, 100, "a file") == expected
        assert read(storage.open_file(file)) == read(storage.open_anew(file)) == expected
        (listed,) = storage.list_files(file.parent)
        assert (listed, listed.name) == (file, "part")
        assert read(storage.open_file(listed)) == expected
        assert storage.exists(file)

    def test_folders_and_files_are_told_apart_and_sorted(self, place: CachePath, storage: Storage) -> None:
        for name in ("b", "a/deep/est", "c", ".hidden/x", "layer 2.1+é%20#?/x"):
            storage.write_file(place / name, [b"1"])
        assert names(storage.list_folders(place)) == ["a", "layer 2.1+é%20#?"]
        assert names(storage.list_files(place)) == ["b", "c"]
        assert names(storage.list_entries(place)) == [".hidden", "a", "b", "c", "layer 2.1+é%20#?"]
        assert names(storage.list_files(place / "layer 2.1+é%20#?")) == ["x"]

    def test_what_is_not_there_is_listed_as_nothing_and_read_as_file_not_found(
        self, place: CachePath, storage: Storage
    ) -> None:
        assert storage.list_entries(place) == storage.list_folders(place / "x") == storage.list_files(place / "x") == []
        assert not storage.exists(place / "x")
        for request in (storage.open_file, storage.open_anew, storage.read_modified):
            with pytest.raises(FileNotFoundError):
                request(place / "x")
        with pytest.raises(FileNotFoundError):
            storage.read_file(place / "x", 10, "a file")
        storage.remove_file(place / "x")

    def test_a_file_is_replaced_whole_and_what_is_open_stays(self, place: CachePath, storage: Storage) -> None:
        file = place / "part"
        storage.write_file(file, [b"old"], is_read_again=True)
        with storage.open_file(file) as opened:
            storage.write_file(file, [b"newer"])
            assert os.pread(opened.handle, 9, 0) == b"old"
        (listed,) = storage.list_files(place)
        assert read(storage.open_file(listed)) == read(storage.open_file(file)) == b"newer"

    def test_a_file_is_listed_as_soon_as_it_is_written_and_never_once_it_is_removed(
        self, place: CachePath, storage: Storage
    ) -> None:
        for number in range(30):
            storage.write_file(place / f"f{number:02}", [b"1"])
            assert names(storage.list_files(place)) == [f"f{number:02}"]
            storage.remove_file(place / f"f{number:02}")
            storage.finish_removal(place)
            assert storage.list_files(place) == []

    def test_a_file_larger_than_allowed_is_refused(self, place: CachePath, storage: Storage) -> None:
        storage.write_file(place / "f", [bytes(101)])
        with pytest.raises(OSError, match="are more than the 100 bytes that are read of a record"):
            storage.read_file(place / "f", 100, "a record")

    def test_heads_are_enough_where_only_they_are_asked_for(self, place: CachePath, storage: Storage) -> None:
        for size in (10, 200_000):
            file = place / f"part-{size}"
            content = np.random.default_rng(0).bytes(size + 300_000)
            storage.write_file(file, [content])
            (listed,) = [path for path in storage.list_files(place) if path == file]
            storage.fetch_heads([listed], lambda data, size=size: size)
            with storage.open_file(listed, lambda data, size=size: size) as opened:
                assert opened.size == len(content)
                assert os.pread(opened.handle, size, 0) == content[:size]
                assert opened.is_whole == (len(os.pread(opened.handle, opened.size, 0)) == opened.size)
            assert read(storage.open_file(listed)) == content

    def test_the_newest_of_two_files_is_known_by_its_time(self, place: CachePath, storage: Storage) -> None:
        storage.write_file(place / "f", [b"1"])
        first = storage.read_modified(place / "f")
        (listed,) = storage.list_files(place)
        assert abs(storage.read_modified(listed) - first) < 2e9
        assert first > 1.7e18

    def test_a_file_is_moved_unless_another_has_taken_its_name(self, place_of_moves: CachePath) -> None:
        place = place_of_moves
        storage = storage_of(place)
        file = place / "a" / "part"
        target = place / "quarantine" / "a" / "part"
        storage.write_file(file, [b"broken"])
        with storage.holding(file) as state:
            storage.write_file(file, [b"sound!"])
            assert not storage.move_file(file, target, state)
        assert storage.read_file(file, 9, "f") == b"sound!"
        assert not storage.exists(target)
        with storage.holding(file) as state:
            assert storage.move_file(file, target, state)
        assert storage.list_files(file.parent) == []
        assert not storage.exists(file)
        assert storage.read_file(target, 9, "f") == b"sound!"
        # The name is free again.
        storage.write_file(file, [b"again"])
        assert names(storage.list_files(file.parent)) == ["part"]

    def test_readers_beside_writers_see_whole_files_only(self, place: CachePath, storage: Storage) -> None:
        file = place / "part"
        contents = [bytes([number]) * 100_000 for number in range(4)]
        storage.write_file(file, [contents[0]])
        is_done = threading.Event()

        def write() -> None:
            for content in contents * 5:
                storage.write_file(file, [content[:50_000], content[50_000:]])
            is_done.set()

        writer = threading.Thread(target=write)
        writer.start()
        seen = set()
        while not is_done.is_set():
            seen.add(storage.read_file(file, 200_000, "a file"))
            seen.add(read(storage.open_anew(file)))
        writer.join()
        assert seen <= set(contents)
