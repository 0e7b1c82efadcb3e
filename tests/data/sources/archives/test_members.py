"""Members of archives are read by place, in threads and in processes apart, and told apart by their stamps."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx.base_choice import BaseChoice
from featx.data.loader import Loader
from featx.data.loading_process import LoadingProcesses, can_load_in_processes
from featx.data.remote_loading import RemoteLoading, RemotePreparation
from featx.data.sources import list_images
from featx.data.sources.archives.members import Archive, ByteRange, NoMember, mix_numbers
from featx.data.sources.image_files import MAX_IMAGE_BYTES, read_stamp
from featx.keys import InputTransform
from featx.requests import ExtractRequest
from featx.timing import Clock
from featx.types import Pixels
from featx.workflows.extract import extract_features
from tests.data.sources.archives.making import make_photos, write_folder, write_tar, write_zip

KINDS: dict[str, Callable[[Path], Path]] = {
    "zip": lambda folder: write_zip(folder / "a.zip", make_photos(), zipfile.ZIP_DEFLATED),
    "tar": lambda folder: write_tar(folder / "a.tar", make_photos()),
}


@pytest.mark.skipif(not can_load_in_processes(), reason="this system has no files in memory")
@pytest.mark.parametrize("kind", KINDS)
def test_loading_processes_read_from_archives_what_threads_read(tmp_path: Path, kind: str) -> None:
    listing = list_images(str(KINDS[kind](tmp_path)))
    transform = InputTransform(40, 32)

    def prepare(picture: Image.Image, digest: bytes) -> dict[int, Pixels]:
        raise AssertionError("decoded in a thread")

    assert listing.files.are_shareable
    loader = Loader(listing, lambda digest, row: True, prepare, 2, Clock(), device_batch=8)
    with LoadingProcesses(1) as processes:
        remote = RemoteLoading(loader, RemotePreparation(transform, lambda digest: (0,), lambda: False), processes)
        loaded = remote.load_all(range(len(listing)))
    folder = list_images(str(write_folder(tmp_path / "folder", make_photos())))
    in_folder = Loader(folder, lambda digest, row: True, lambda picture, digest: {}, 2, Clock())
    assert [image.digest for image in loaded] == [in_folder.load(row).digest for row in range(len(folder))]
    assert all(image.pixels[0].shape == (32, 32, 3) for image in loaded)


def test_a_photo_in_a_folder_a_zip_and_a_tar_is_one_row(tmp_path: Path) -> None:
    data = [write_folder(tmp_path / "folder", make_photos()), *(make(tmp_path) for make in KINDS.values())]
    extracted = []
    for each in data:
        request = ExtractRequest(str(each), BaseChoice("tiny", "random"), ["layer1"], cache=tmp_path / "cache")
        extracted.append(extract_features(request).extracted)
    assert extracted == [8, 0, 0]


def test_a_range_is_checked_before_memory_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "a.tar"
    with file.open("wb") as handle:
        handle.truncate(MAX_IMAGE_BYTES * 4)
    archive = Archive(str(file), read_stamp(str(file)))
    for place, size, reason in [
        (0, MAX_IMAGE_BYTES + 1, "are more than the 256 MiB that are read of one image"),
        (MAX_IMAGE_BYTES * 4 - 10, 11, "ends beyond the end"),
        (2**62, 10, "ends beyond the end"),
        (-1, 10, "ends beyond the end"),
        (5, -10, "ends beyond the end"),
    ]:
        with pytest.raises(OSError, match=reason):
            ByteRange(archive, place, size).read()
        assert ByteRange(archive, place, size).find_size() <= 11
    assert ByteRange(archive, 100, 20).read() == bytes(20)


def test_a_path_that_no_archive_has_is_a_failed_image(tmp_path: Path) -> None:
    listing = list_images(str(KINDS["tar"](tmp_path)))
    assert isinstance(listing.files.find("elsewhere"), NoMember)
    with pytest.raises(OSError, match="there is no such member"):
        listing.read("elsewhere")
    assert listing.files.read_stamps(["elsewhere"]).tolist() == [[-1, -1, -1, -1]]


def test_stamps_of_members_ask_for_each_archive_once_and_differ_by_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        write_tar(tmp_path / "shards" / f"{number}.tar", make_photos())
    listing = list_images(str(tmp_path / "shards"))
    asked = []
    stat = os.stat

    def count(path: str) -> os.stat_result:
        asked.append(path)
        return stat(path)

    monkeypatch.setattr(os, "stat", count)
    stamps = listing.files.read_stamps(listing.paths)
    assert sorted(asked) == [str(tmp_path / "shards" / f"{number}.tar") for number in range(3)]
    assert len(np.unique(stamps[:, 3])) == len(listing) == 24


def test_numbers_of_a_million_places_in_a_thousand_archives_are_distinct() -> None:
    places = np.tile(np.arange(1000, dtype=np.int64) * 512, 1000)
    inodes = np.repeat(np.arange(1000, dtype=np.int64) + 2**40, 1000)
    numbers = mix_numbers(inodes, np.full(10**6, 10**9, np.int64), places)
    assert numbers.min() >= 0
    assert len(np.unique(numbers)) == 10**6


def test_an_archive_that_is_replaced_by_one_of_the_same_size_and_time_is_noticed(tmp_path: Path) -> None:
    file = KINDS["tar"](tmp_path)
    listing = list_images(str(file))
    status = file.stat()
    time.sleep(0.02)
    other = tmp_path / "other"
    other.write_bytes(bytes(status.st_size))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)
    with pytest.raises(OSError, match="was changed after its contents were listed"):
        listing.read(listing.paths[0])
