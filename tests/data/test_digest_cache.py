from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from featx.data.digest_cache import DIGESTS_VERSION, digest_all, load_digests, locate_file, save_digests
from featx.data.sources import list_images
from tests.data.counted import count_reads


def later() -> int:
    """A clock by which files that were just written are old."""
    return time.time_ns() + 10**10


def test_digests_are_those_of_the_bytes(photos: Path, cache: Path) -> None:
    digested = digest_all(cache, list_images(str(photos)))
    assert len(digested) == 36
    for path, digest in zip(digested.listing.paths, digested.digests, strict=True):
        assert digest.tobytes() == hashlib.sha256(Path(path).read_bytes()).digest()


def test_a_second_scan_reads_nothing(photos: Path, cache: Path) -> None:
    first = digest_all(cache, list_images(str(photos)), now=later)
    listing, reads = count_reads(list_images(str(photos)))
    second = digest_all(cache, listing)
    assert reads == []
    assert np.array_equal(first.digests, second.digests)


def test_rehash_reads_everything(photos: Path, cache: Path) -> None:
    digest_all(cache, list_images(str(photos)), now=later)
    listing, reads = count_reads(list_images(str(photos)))
    digest_all(cache, listing, rehash=True)
    assert len(reads) == 36


def write_more(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def write_in_place(path: Path) -> None:
    """Other contents of the same size, in the same inode, with the old modification time."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)


CHANGES: dict[str, Callable[[Path], object]] = {
    "contents": write_more,
    "contents, with size and time as before": write_in_place,
    "time": lambda path: os.utime(path, ns=(1, 1)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_is_read_again(photos: Path, cache: Path, change: str) -> None:
    digest_all(cache, list_images(str(photos)), now=later)
    changed = photos / "red" / "03.png"
    CHANGES[change](changed)
    listing, reads = count_reads(list_images(str(photos)))
    digested = digest_all(cache, listing)
    assert reads == [str(changed)]
    row = list(listing.paths).index(str(changed))
    assert digested.digests[row].tobytes() == hashlib.sha256(changed.read_bytes()).digest()


def test_a_time_that_is_young_or_in_the_future_is_not_trusted(photos: Path, cache: Path) -> None:
    in_future = photos / "red" / "03.png"
    os.utime(in_future, ns=(1, later() + 10**12))
    digest_all(cache, list_images(str(photos)))
    listing, reads = count_reads(list_images(str(photos)))
    digest_all(cache, listing, now=later)
    assert len(reads) == 36, "all were younger than two seconds when they were read"
    reads.clear()
    digest_all(cache, listing, now=later)
    assert reads == [str(in_future)]


def test_times_that_64_bits_do_not_hold_are_no_error(photos: Path, cache: Path) -> None:
    file = photos / "red" / "03.png"
    os.utime(file, (1, 13_000_000_000))
    digest_all(cache, list_images(str(photos)), now=later)
    assert len(digest_all(cache, list_images(str(photos)), now=later)) == 36


def test_a_file_under_another_name_is_read_once_more(photos: Path, cache: Path) -> None:
    first = digest_all(cache, list_images(str(photos)), now=later)
    (photos / "red" / "03.png").rename(photos / "red" / "moved.png")
    listing, reads = count_reads(list_images(str(photos)))
    again = digest_all(cache, listing, now=later)
    assert reads == [str(photos / "red" / "moved.png")]
    assert sorted(again.digests.tolist()) == sorted(first.digests.tolist())


def flip(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut": lambda data: data[:100],
    "cut by one": lambda data: data[:-1],
    "longer": lambda data: data + b"x",
    "a bit of the digests": lambda data: flip(data, -1),
    "a bit of the stamps": lambda data: flip(data, 128 + 32 + 36 * 16),
    "another version": lambda data: data.replace(b"version 3", b"version 4", 1),
    "more rows": lambda data: data.replace(b"; 36 rows", b"; 99 rows", 1),
    "something else": lambda data: b"PK\3\4" + data,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_costs_time_but_no_truth(photos: Path, cache: Path, damage: str) -> None:
    first = digest_all(cache, list_images(str(photos)), now=later)
    (file,) = (cache / "scans").iterdir()
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    assert not load_digests(cache, list_images(str(photos))).known.any()
    assert np.array_equal(digest_all(cache, list_images(str(photos))).digests, first.digests)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_something_else_in_its_place_is_passed_over(
    photos: Path, cache: Path, make: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    file = locate_file(cache, list_images(str(photos)))
    file.parent.mkdir(parents=True)
    make(file)
    assert len(digest_all(cache, list_images(str(photos)), now=later)) == 36
    assert "not a file): files are hashed again" in caplog.text


def test_a_file_that_vanished_is_named_and_the_rest_kept(photos: Path, cache: Path) -> None:
    listing = list_images(str(photos))
    (photos / "red" / "00.png").unlink()
    digested = digest_all(cache, listing)
    assert len(digested) == 35
    assert [file.reason for file in digested.unreadable] == ["No such file or directory"]


def test_what_others_noted_meanwhile_is_kept(photos: Path, cache: Path) -> None:
    """As the processes of several shards do, each of which knows its own rows only."""
    listing, reads = count_reads(list_images(str(photos)))
    expected = digest_all(cache, listing, now=later).digests
    locate_file(cache, listing).unlink()
    both = [load_digests(cache, listing, now=later) for _ in range(2)]
    for place, known in enumerate(both):
        known.digests[place::2] = expected[place::2]
        known.known[place::2] = True
    for known in both:
        save_digests(cache, listing, known)
        assert known.known.sum() == 18, "what others know is not taken for what this run has read"
    reads.clear()
    assert np.array_equal(digest_all(cache, listing, now=later).digests, expected)
    assert reads == []


def test_processes_that_save_at_once_lose_nothing(photos: Path, cache: Path) -> None:
    listing = list_images(str(photos))
    expected = digest_all(cache, listing, now=later).digests
    locate_file(cache, listing).unlink()

    def save(place: int) -> None:
        known = load_digests(cache, listing, now=later)
        known.digests[place] = expected[place]
        known.known[:] = np.arange(36) == place
        save_digests(cache, listing, known)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(save, range(36)))
    assert load_digests(cache, listing, now=later).known.all()


def test_what_was_remembered_of_folders_has_the_same_form_as_before_archives(photos: Path, cache: Path) -> None:
    """The stamps that folders had before listings knew how their files are read: no version rises without need."""
    listing = list_images(str(photos))
    status = [Path(path).stat() for path in listing.paths]
    expected = [(each.st_size, each.st_mtime_ns, each.st_ctime_ns, each.st_ino) for each in status]
    assert load_digests(cache, listing).stamps.tolist() == [list(row) for row in expected]
    assert DIGESTS_VERSION == 3
