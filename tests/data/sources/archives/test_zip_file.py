"""Zip files are read as the folders that they would be unpacked to, and what is wrong is said in a line."""

from __future__ import annotations

import hashlib
import os
import pickle
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from featx.data.digest_cache import digest_all
from featx.data.groups import list_relative_paths
from featx.data.listing import Listing
from featx.data.reading import read_whole
from featx.data.sources import list_images
from featx.errors import DataError
from featx.runners.shard import Shard
from tests.data.counted import count_reads
from tests.data.sources.archives.making import make_photos, make_png, make_splits, write_folder, write_zip


def summarize(listing: Listing) -> list[tuple[str, str, bytes]]:
    """Label, split and bytes of each row, in order."""
    data = [listing.read(path) for path in listing.paths]
    return list(zip(listing.labels, listing.splits, data, strict=True))


LAYOUTS: dict[str, Callable[[], dict[str, bytes]]] = {
    "class folders": make_photos,
    "splits of class folders": make_splits,
    "names that sort otherwise with their separators": lambda: {
        **make_photos("a a.b a-b", 2),
        "a.b/sub/1.png": make_png(9),
    },
    "files beside": lambda: {**make_photos(), "notes.txt": b"text", "__MACOSX/._a.png": b"", "red/Thumbs.db": b"x"},
    "no suffix": lambda: {**make_photos(), "red/picture": make_png(77), "red/text": b"no picture at all"},
    "no class folders": lambda: {"1.png": make_png(1), "2.png": make_png(2)},
    "splits inside classes": lambda: {
        f"{label}/{split}/{label}.png": make_png(len(label + split))
        for label in ("ants", "bees")
        for split in ("train", "val")
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_read_as_the_folder_that_it_holds(tmp_path: Path, layout: str, method: int) -> None:
    members = LAYOUTS[layout]()
    folder = list_images(str(write_folder(tmp_path / "data", members)))
    zipped = list_images(str(write_zip(tmp_path / "data.zip", members, method)))
    assert summarize(zipped) == summarize(folder)

    def words(listing: Listing) -> list[str]:
        return [line.replace("data.zip", "data").partition("; if")[0] for line in listing.notes]

    assert words(zipped) == words(folder)


def test_a_folder_around_everything_counts_for_nothing_unless_it_is_a_split(tmp_path: Path) -> None:
    photos = make_photos()
    plain = list_images(str(write_zip(tmp_path / "plain.zip", photos)))
    wrapped = {f"flowers/data/{name}": data for name, data in photos.items()} | {"__MACOSX/x.png": b""}
    assert summarize(list_images(str(write_zip(tmp_path / "w.zip", wrapped)))) == summarize(plain)
    split = {f"train/{name}": data for name, data in photos.items()}
    assert set(list_images(str(write_zip(tmp_path / "s.zip", split))).splits) == {"train"}


def test_hints_of_layouts_are_those_of_folders(tmp_path: Path) -> None:
    mixed = {"train/red/1.png": make_png(1), "blue/red/1.png": make_png(2)}
    with pytest.raises(DataError, match="mixes splits with other folders: 'train'"):
        list_images(str(write_zip(tmp_path / "mixed.zip", mixed)))
    with pytest.raises(DataError, match="holds no class folders"):
        list_images(str(write_zip(tmp_path / "empty.zip", {})))


def test_members_are_pickled_small_and_read_elsewhere(tmp_path: Path) -> None:
    listing = list_images(str(write_zip(tmp_path / "a.zip", make_photos(count=200), zipfile.ZIP_DEFLATED)))
    pickled = pickle.dumps(listing.files.find(listing.paths[7]))
    assert len(pickled) < 1000
    assert pickle.loads(pickled).read() == listing.read(listing.paths[7])


def later() -> int:
    return time.time_ns() + 10**10


def test_digests_are_remembered_by_member_and_forgotten_with_the_archive(tmp_path: Path) -> None:
    file = write_zip(tmp_path / "a.zip", make_photos())
    first = digest_all(tmp_path / "cache", list_images(str(file)), now=later)
    listing, reads = count_reads(list_images(str(file)))
    assert np.array_equal(digest_all(tmp_path / "cache", listing).digests, first.digests)
    assert reads == []
    stamps = listing.files.read_stamps(listing.paths)
    assert len(np.unique(stamps[:, 3])) == len(listing), "members of equal size are told apart by their place"
    os.utime(file, ns=(1, 1))
    listing, reads = count_reads(list_images(str(file)))
    digest_all(tmp_path / "cache", listing)
    assert len(reads) == len(listing)


def test_an_archive_that_changes_after_it_was_listed_gives_no_image_and_no_stamp(tmp_path: Path) -> None:
    file = write_zip(tmp_path / "a.zip", make_photos())
    listing = list_images(str(file))
    write_zip(file, make_photos("blue green"))
    os.utime(file, ns=(5, 5))
    with pytest.raises(OSError, match="was changed after its contents were listed"):
        listing.read(listing.paths[0])
    assert (listing.files.read_stamps(listing.paths) == -1).all()


def state_size(data: bytearray, entry: int, size: int) -> None:
    data[entry + 24 : entry + 28] = struct.pack("<L", size)


def set_flag(data: bytearray, entry: int) -> None:
    data[entry + 8] |= 1


def set_method(data: bytearray, entry: int) -> None:
    data[entry + 10] = 14


DAMAGES: dict[str, tuple[Callable[[bytearray, int], object], str]] = {
    "encrypted": (set_flag, "is encrypted"),
    "of another method": (set_method, "is compressed by method 14"),
    "stating 4 GB": (lambda data, entry: state_size(data, entry, 2**32 - 2), "4 GiB are more than the 256 MiB"),
    "stating too little": (lambda data, entry: state_size(data, entry, 10), "is damaged"),
    "stating too much": (lambda data, entry: state_size(data, entry, 10**8), "is damaged"),
    "with an absurd place": (
        lambda data, entry: data.__setitem__(slice(entry + 42, entry + 46), b"\xfe" * 4),
        "ends beyond the end of the archive",
    ),
    "with another member's header": (
        lambda data, entry: data.__setitem__(slice(entry + 42, entry + 46), struct.pack("<L", 7)),
        "header is not where",
    ),
    "with flipped bits": (lambda data, entry: data.__setitem__(200, data[200] ^ 4), "is damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_member_is_one_failed_image(tmp_path: Path, damage: str) -> None:
    change, reason = DAMAGES[damage]
    file = write_zip(tmp_path / "a.zip", make_photos(), zipfile.ZIP_DEFLATED)
    data = bytearray(file.read_bytes())
    change(data, data.index(b"PK\x01\x02"))
    file.write_bytes(data)
    digested = digest_all(tmp_path / "cache", list_images(str(file)))
    assert len(digested) == 7
    assert [image.path for image in digested.unreadable] == [f"{file}/red/00.png"]
    assert reason in digested.unreadable[0].reason


def test_a_bomb_takes_no_more_memory_than_it_states(tmp_path: Path) -> None:
    """10 MB of zeros that are stated as 1,000 bytes."""
    file = write_zip(tmp_path / "a.zip", {**make_photos(), "red/bomb.png": bytes(10**7)}, zipfile.ZIP_DEFLATED)
    data = bytearray(file.read_bytes())
    state_size(data, data.rindex(b"PK\x01\x02"), 1000)
    file.write_bytes(data)
    member = list_images(str(file)).files.find(f"{file}/red/bomb.png")
    with pytest.raises(OSError, match="is damaged"):
        read_whole(member)
    assert member.find_size() < 20_000


@pytest.mark.parametrize("kept", [0, 1, 100, -1, -30])
def test_a_truncated_zip_is_one_clear_line(tmp_path: Path, kept: int) -> None:
    file = write_zip(tmp_path / "a.zip", make_photos())
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(DataError, match="'.*a.zip' is not a whole zip file: .*Copy or download it again"):
        list_images(str(file))


def test_bytes_before_a_zip_are_not_counted_by_it(tmp_path: Path) -> None:
    file = write_zip(tmp_path / "a.zip", make_photos())
    file.write_bytes(b"#!/bin/sh\n" + file.read_bytes())
    listing = list_images(str(file))
    assert [listing.read(path) for path in listing.paths if "/red/" in path] == list(make_photos("red").values())


@pytest.mark.parametrize("name", ["../red/x.png", "/red/x.png", "red/../../x.png", "red/a\0b.png"])
def test_names_that_lead_out_of_the_archive_are_passed_over(tmp_path: Path, name: str) -> None:
    place = "red/NNNNNNN" if "\0" in name else name
    file = write_zip(tmp_path / "a.zip", {**make_photos(), place: make_png(5)})
    if "\0" in name:
        file.write_bytes(file.read_bytes().replace(place.encode(), b"red/a\0b.png"))
    listing = list_images(str(file))
    assert len(listing) == 8
    assert any("whose name leads out of the archive" in line for line in listing.notes)


def test_folders_in_folders_without_end_are_refused(tmp_path: Path) -> None:
    deep = {f"{number}/" + "a/" * 30_000 + "x.png": b"" for number in range(40)}
    with pytest.raises(DataError, match="has too many folders in folders"):
        list_images(str(write_zip(tmp_path / "deep.zip", deep)))


def test_groups_and_shards_of_a_zip_are_those_of_the_folder(tmp_path: Path) -> None:
    folder = list_images(str(write_folder(tmp_path / "data", make_photos(count=20))))
    zipped = list_images(str(write_zip(tmp_path / "data.zip", make_photos(count=20))))
    assert list_relative_paths(zipped) == list_relative_paths(folder)
    assert np.array_equal(Shard(1, 3).select(zipped), Shard(1, 3).select(folder))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_random_damage_ends_in_failed_images_or_one_clear_line(tmp_path: Path, method: int) -> None:
    """Half of the bytes are changed in the directory; what is read all the same is what was written."""
    sound = write_zip(tmp_path / "a.zip", make_photos(), method).read_bytes()
    written = {hashlib.sha256(data).digest() for data in make_photos().values()}
    directory = sound.index(b"PK\x01\x02")
    rng = np.random.default_rng(0)
    for _ in range(150):
        data = bytearray(sound)
        for begin in (0, directory, directory):
            data[int(rng.integers(begin, len(data)))] = int(rng.integers(256))
        (tmp_path / "b.zip").write_bytes(data)
        try:
            listing = list_images(str(tmp_path / "b.zip"))
        except DataError:
            continue
        digests = digest_all(tmp_path / "cache", listing).digests
        assert {digest.tobytes() for digest in digests} <= written
