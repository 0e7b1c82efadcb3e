"""Shards in tar files: labels beside pictures or in folders, splits by names, and what may be wrong with one."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from featx.data.digest_cache import digest_all
from featx.data.sources import list_images
from featx.data.sources.archives.members import Archive
from featx.data.sources.archives.remembered_index import locate_index, make_head
from featx.data.sources.archives.tar_index import BLOCK
from featx.data.sources.image_files import read_stamp
from featx.errors import DataError
from tests.data.counted import count_reads
from tests.data.sources.archives.making import make_photos, make_png, make_splits, write_folder, write_tar
from tests.data.sources.archives.test_zip_file import later, summarize

LABELS: dict[str, Callable[[str], dict[str, bytes]]] = {
    "cls": lambda label: {"cls": label.encode() + b"\n"},
    "txt": lambda label: {"txt": b"\xef\xbb\xbf" + label.encode()},
    "json": lambda label: {"json": json.dumps({"width": 48, "label": label}).encode()},
    "JSON with class": lambda label: {"json": json.dumps({"class": label}).encode()},
    "cls before a caption": lambda label: {"txt": b"a picture of " + label.encode(), "cls": label.encode()},
}


def make_samples(first: int = 0, count: int = 6, kind: str = "cls", folder: str = "") -> dict[str, bytes]:
    """Members of a shard: pictures of ants and bees by turns."""
    members: dict[str, bytes] = {}
    for number in range(first, first + count):
        key = f"{folder}{number:06}"
        label = "bees" if number % 2 else "ants"
        members[f"{key}.png"] = make_png(number, number % 2)
        members |= {f"{key}.{suffix}": data for suffix, data in LABELS[kind](label).items()}
    return members


@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_read_beside_the_pictures(tmp_path: Path, kind: str) -> None:
    listing = list_images(str(write_tar(tmp_path / "a.tar", make_samples(kind=kind))))
    assert listing.labels == ["ants", "bees"] * 3
    assert [listing.read(path) for path in listing.paths] == [make_png(number, number % 2) for number in range(6)]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_read_in_every_format_of_tar(tmp_path: Path, form: int) -> None:
    folder = f"{'a' * 80}/" if form == tarfile.USTAR_FORMAT else f"{'ä' * 60}/{'b' * 120}/"
    listing = list_images(str(write_tar(tmp_path / "a.tar", make_samples(folder=folder), form)))
    assert listing.paths[1] == f"{tmp_path}/a.tar/{folder}000001.png"
    assert listing.read(listing.paths[1]) == make_png(1, 1)


def write_shards(folder: Path, names: str = "000 001 002") -> Path:
    for number, name in enumerate(names.split()):
        write_tar(folder / f"{name}.tar", make_samples(6 * number))
    return folder


def test_a_pattern_a_folder_and_its_shards_are_one_data_set(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "shards")
    expected = list_images(str(folder))
    assert len(expected) == 18
    for pattern in ("{000..002}", "00{0,1,2}", "0{0}{0..2}"):
        assert list_images(f"{folder}/{pattern}.tar").paths == expected.paths
    with pytest.raises(DataError, match=r"1 of its 4 shards does not exist: '.*003.tar'"):
        list_images(f"{folder}/{{000..003}}.tar")
    with pytest.raises(DataError, match="names more than 100,000 shards"):
        list_images(f"{folder}/{{0..999999}}{{0..999999}}.tar")


@pytest.mark.parametrize(
    "names",
    [
        "train-000 train-001 test-000",
        "train/0 train/1 test/0",
        "a_train_1 b_train_2 flowersTest",
        "data/train data/val",
    ],
)
def test_folders_and_names_of_shards_say_the_split(tmp_path: Path, names: str) -> None:
    listing = list_images(str(write_shards(tmp_path / "shards", names)))
    expected = {"train" if "train" in name else "val" if "val" in name else "test" for name in names.split()}
    assert set(listing.splits) == expected
    for path, split in zip(listing.paths, listing.splits, strict=True):
        assert split in path.lower().removeprefix(str(tmp_path))


def test_shards_only_some_of_which_name_a_split_are_refused(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "shards", "train-0 extra-0")
    with pytest.raises(DataError, match="mixes shards of splits with others: 'train-0.tar' .* unlike 'extra-0.tar'"):
        list_images(str(folder))


def test_class_folders_beside_an_archive_are_read_as_before(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", make_photos())
    write_tar(folder / "photos.tar", make_samples())
    assert list_images(str(folder)).labels == ["green"] * 4 + ["red"] * 4


@pytest.mark.parametrize("make", [make_photos, make_splits])
def test_a_packed_folder_is_read_as_the_folder(tmp_path: Path, make: Callable[[], dict[str, bytes]]) -> None:
    folder = list_images(str(write_folder(tmp_path / "data", make())))
    packed = {f"./data/{name}": data for name, data in make().items()}
    assert summarize(list_images(str(write_tar(tmp_path / "data.tar", packed)))) == summarize(folder)


def test_hard_links_have_the_bytes_of_their_target(tmp_path: Path) -> None:
    file = write_tar(tmp_path / "a.tar", make_photos())
    with tarfile.open(file, "a") as tar:
        for name, target in (("red/link.png", "red/00.png"), ("red/loop.png", "red/loop.png"), ("red/x.png", "gone")):
            info = tarfile.TarInfo(name)
            info.type = tarfile.LNKTYPE
            info.linkname = target
            tar.addfile(info)
    listing = list_images(str(file))
    assert len(listing) == 9
    assert listing.read(f"{file}/red/link.png") == make_photos()["red/00.png"]
    assert any("2 members passed over, such as" in line for line in listing.notes)


def test_pictures_without_a_label_beside_labelled_ones_are_named(tmp_path: Path) -> None:
    members = make_samples() | {"x.png": make_png(50), "y.png": make_png(51), "y.json": b"[" * 9000}
    listing = list_images(str(write_tar(tmp_path / "a.tar", members)))
    assert len(listing) == 6
    assert {image.path.rpartition("/")[2] for image in listing.skipped} == {"x.png", "y.png"}
    assert "2 pictures have no label and are passed over" in listing.notes[0]
    assert "y.json' (its label cannot be read)" in listing.notes[0]


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar"])
def test_a_compressed_tar_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    data = write_tar(tmp_path / "plain.tar", make_samples()).read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(data))
    with pytest.raises(DataError, match=f"'.*{name}' is compressed.*unpack it to a plain .tar .*or to a folder"):
        list_images(str(tmp_path / name))


def place_of(data: bytes, name: str) -> int:
    return data.index(name.encode() + b"\0")


def negative_size(data: bytearray, header: int) -> None:
    data[header + 124 : header + 136] = b"\xff" * 12
    fix_checksum(data, header)


def absurd_size(data: bytearray, header: int) -> None:
    data[header + 124 : header + 136] = b"\x80" + b"\xff" * 11
    fix_checksum(data, header)


def fix_checksum(data: bytearray, header: int) -> None:
    data[header + 148 : header + 156] = b" " * 8
    data[header + 148 : header + 156] = b"%06o\0 " % sum(data[header : header + BLOCK])


def flip_header(data: bytearray, header: int) -> None:
    data[header + 3] ^= 1


def zero_header(data: bytearray, header: int) -> None:
    data[header : header + BLOCK] = b"\x01" * BLOCK


DAMAGES: dict[str, tuple[Callable[[bytearray, int], object], int, int]] = {
    "a header with a flipped bit": (flip_header, 5, 0),
    "a header overwritten": (zero_header, 5, 0),
    "a negative size": (negative_size, 5, 0),
    "a size beyond everything": (absurd_size, 2, 1),
    "cut in a picture": (lambda data, header: data.__delitem__(slice(header + BLOCK + 100, None)), 2, 1),
    "cut in a header": (lambda data, header: data.__delitem__(slice(header + 100, None)), 2, 0),
}
"""What is done at the third picture; pictures that are still readable, and those that are listed and fail."""


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_readable_in_a_damaged_shard_is_used(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    change, readable, failed = DAMAGES[damage]
    file = write_tar(tmp_path / "a.tar", make_photos("red", 6))
    data = bytearray(file.read_bytes())
    change(data, place_of(data, "red/02.png"))
    file.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        digested = digest_all(tmp_path / "cache", list_images(str(file)))
    assert (len(digested), len(digested.unreadable)) == (readable, failed)
    assert f"1 shard is damaged, and what is readable is used: '{file}'" in caplog.text


@pytest.mark.parametrize("data", [b"", b"\0" * 10240, b"no tar " * 1000, b"\xff" * 4096])
def test_a_file_that_is_no_tar_is_one_clear_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(DataError, match="'.*a.tar' holds no pictures"):
        list_images(str(tmp_path / "a.tar"))


def test_random_damage_ends_in_failed_images_or_one_clear_line(tmp_path: Path) -> None:
    sound = write_tar(tmp_path / "a.tar", make_samples(), tarfile.PAX_FORMAT).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(100):
        data = bytearray(sound)
        for _ in range(3):
            header = BLOCK * int(rng.integers(len(data) // BLOCK))
            data[header + int(rng.integers(BLOCK))] = int(rng.integers(256))
            if rng.random() < 0.5:
                fix_checksum(data, header)
        (tmp_path / "b.tar").write_bytes(data)
        try:
            listing = list_images(str(tmp_path / "b.tar"))
        except DataError:
            continue
        digest_all(tmp_path / "cache", listing)


def make_old(file: Path) -> None:
    """Wait until a shard's change time proves that it did not change again."""
    age = time.time_ns() - file.stat().st_ctime_ns
    time.sleep(max(0, 2.1 - age / 1e9))


def test_an_index_is_remembered_until_the_shard_changes(tmp_path: Path) -> None:
    file, cache = write_tar(tmp_path / "a.tar", make_samples()), tmp_path / "cache"
    remembered = locate_index(cache, str(file))
    list_images(str(file), cache)
    assert not remembered.exists(), "the shard is younger than its clock tells apart"
    make_old(file)
    first = list_images(str(file), cache)
    # An index with other labels and the right checksum is believed: so headers are not read again.
    body = remembered.read_bytes().partition(b"\n")[2].replace(b"bees", b"wasp")
    remembered.write_bytes(make_head(Archive(str(file), read_stamp(str(file))), body) + b"\n" + body)
    assert list_images(str(file), cache).labels == ["ants", "wasp"] * 3
    os.utime(file, ns=(1, 1))
    assert list_images(str(file), cache).labels == first.labels


@pytest.mark.parametrize(
    "damage", [lambda data: data.replace(b"bees", b"wasp"), lambda data: data[:-1], lambda data: b""]
)
def test_a_damaged_index_is_made_anew(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    file, cache = write_tar(tmp_path / "a.tar", make_samples()), tmp_path / "cache"
    make_old(file)
    first = list_images(str(file), cache)
    remembered = locate_index(cache, str(file))
    sound = remembered.read_bytes()
    remembered.write_bytes(damage(sound))
    assert list_images(str(file), cache).labels == first.labels
    assert remembered.read_bytes() == sound


def test_digests_of_shards_are_remembered_and_the_same_as_of_files(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards")
    pictures = {f"{number % 2}/{number}.png": make_png(number, number % 2) for number in range(18)}
    folder = digest_all(tmp_path / "cache", list_images(str(write_folder(tmp_path / "data", pictures))))
    first = digest_all(tmp_path / "cache", list_images(str(shards)), now=later)
    assert sorted(first.digests.tolist()) == sorted(folder.digests.tolist())
    listing, reads = count_reads(list_images(str(shards)))
    digest_all(tmp_path / "cache", listing)
    assert reads == []
    make_old(shards / "001.tar")
    write_tar(shards / "001.tar", make_samples(6, 4))
    listing, reads = count_reads(list_images(str(shards)))
    digest_all(tmp_path / "cache", listing)
    assert {path.split("/")[-2] for path in reads} == {"001.tar"}, "one shard changed"


def test_names_that_are_repeated_or_lead_out_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "a.tar"
    with tarfile.open(file, "w") as tar:
        for name in ("red/1.png", "red/2.png", "red/1.png", "../red/3.png", "/etc/4.png", "blue/5.png"):
            data = make_png(len(name))
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    listing = list_images(str(file))
    assert [path.removeprefix(f"{file}/") for path in listing.paths] == ["blue/5.png", "red/1.png", "red/2.png"]
    assert any("3 members passed over" in line for line in listing.notes)
