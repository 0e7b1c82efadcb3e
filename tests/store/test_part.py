from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from featx.errors import BrokenPart, NewerPart, NotFinite
from featx.keys import FeatureKey
from featx.store.header import CHECKSUM_BLOCK_BYTES, FIRST_LINE_BYTES, PART_FORMAT
from featx.store.part import Part, are_finite, part_name, to_stored, write_part
from tests.store.samples import BASE, KEY, features_of, make_digests

pytestmark = pytest.mark.slow

MANY = 5 * CHECKSUM_BLOCK_BYTES // (24 * 4) + 7


def write(folder: Path, rows: int = 10, shape: tuple[int, ...] = (24,), key: FeatureKey = KEY) -> Path:
    digests = make_digests(rows)
    return write_part(folder, key, digests, [to_stored(key, features_of(digests, shape))], {"seconds": 2.5})


def test_plain_h5py_reads_a_part(tmp_path: Path) -> None:
    digests = make_digests(10)
    with h5py.File(write(tmp_path)) as file:
        assert set(file) == {"digest", "checksums", "features"}
        assert np.array_equal(file["digest"], digests)
        assert np.array_equal(file["features"], features_of(digests))
        assert file.attrs["key"] == KEY.to_json()
        assert file.attrs["format"] == PART_FORMAT
        assert json.loads(file.attrs["provenance"]) == {"seconds": 2.5}


def test_the_beginning_of_a_part_can_be_read_by_people(tmp_path: Path) -> None:
    lines = write(tmp_path).read_bytes()[:1024].split(b"\n")
    assert lines[0].startswith(b"featx part, format 1; header of ")
    assert b'"shape": [10, 24], "dtype": "float32"' in lines[1]


@pytest.mark.parametrize("shape", [(1,), (24,), (3, 4, 5), (2, 1, 1), (20_000,)])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_any_shape_and_dtype_comes_back(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    key = FeatureKey(BASE, "layer3", "flat", dtype)
    with Part.open(write(tmp_path, 9, shape, key)) as part:
        out = np.empty((9, *shape), dtype)
        part.read(np.arange(9), out)
        assert part.header.shape == (9, *shape)
        assert np.array_equal(out, features_of(make_digests(9), shape).astype(dtype))
        with h5py.File(part.path) as file:
            assert np.array_equal(file["features"], out)


@pytest.mark.parametrize(
    "rows",
    [[0], [MANY - 1], [3, 3, 3, 9], list(range(5, MANY, 97)), list(range(MANY)), list(range(1, MANY - 1))],
    ids=["first", "last", "repeated", "scattered", "all", "inner"],
)
def test_any_rows_can_be_read(tmp_path: Path, rows: list[int]) -> None:
    expected = features_of(make_digests(MANY))
    with Part.open(write(tmp_path, MANY)) as part:
        out = np.empty((len(rows), 24), np.float32)
        part.read(np.array(rows), out)
    assert np.array_equal(out, expected[rows])


def test_a_part_is_named_for_its_rows_in_their_order() -> None:
    digests = make_digests(5)
    assert part_name(digests) != part_name(digests[::-1])
    assert part_name(digests[::-1][::-1]) == part_name(digests)


def test_two_writers_of_the_same_rows_write_the_same_file(tmp_path: Path) -> None:
    first = write(tmp_path).read_bytes()
    assert write(tmp_path).read_bytes() == first
    assert len(list(tmp_path.iterdir())) == 1


def test_an_open_part_stays_whole_when_its_name_is_taken_over(tmp_path: Path) -> None:
    path = write(tmp_path, 9)
    with Part.open(path) as part:
        path.write_bytes(b"")
        os.replace(write(tmp_path / "other", 9), path)
        with pytest.raises(BrokenPart, match="fail their checksum"):
            part.read(np.arange(9), np.empty((9, 24), np.float32))
    with Part.open(path) as part:
        path.unlink()
        part.read(np.arange(9), np.empty((9, 24), np.float32))


def test_every_bit_of_a_small_part_is_covered(tmp_path: Path) -> None:
    path = write(tmp_path, 2, (3,))
    good = path.read_bytes()
    out = np.empty((2, 3), np.float32)
    for place in [*range(FIRST_LINE_BYTES), *range(FIRST_LINE_BYTES, len(good), 7), *range(len(good) - 24, len(good))]:
        for bit in range(8):
            bad = bytearray(good)
            bad[place] ^= 1 << bit
            path.write_bytes(bad)
            with pytest.raises((BrokenPart, NewerPart), match="'"), Part.open(path) as part:
                part.read(np.arange(2), out)


@pytest.mark.parametrize("length", [0, 1, 60, 127, 128, 300, 511, 512, 1024, 3000, -100, -1])
def test_a_part_cut_short_anywhere_is_broken(tmp_path: Path, length: int) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(BrokenPart, match="empty|cut short|not a part|bytes instead of|damaged"):
        Part.open(path)


def test_bytes_behind_the_end_are_noticed(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(BrokenPart, match="bytes instead of"):
        Part.open(path)


def test_a_newer_format_is_not_damage(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"format 1;", b"format 2;", 1))
    with pytest.raises(NewerPart, match=r"newer featx \(format 2, this one reads 1\): upgrade"):
        Part.open(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n" + b"\0" * 4000, b"featx part, format x" * 50])
def test_a_foreign_file_is_not_a_part(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "part-0123456789abcdef.h5"
    path.write_bytes(content)
    with pytest.raises(BrokenPart, match="it does not begin as parts of featx do"):
        Part.open(path)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_something_else_of_that_name_is_not_a_part(tmp_path: Path, make: object) -> None:
    path = tmp_path / "part-0123456789abcdef.h5"
    make(path)  # type: ignore[operator]
    with pytest.raises(BrokenPart, match="is a (folder|named pipe), not a file"):
        Part.open(path)


def test_a_renamed_part_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path).rename(tmp_path / "part-0123456789abcdef.h5")
    with pytest.raises(BrokenPart, match="holds other rows than its name says"):
        Part.open(path)


def test_numbers_too_large_for_float16_are_refused() -> None:
    key = FeatureKey(BASE, "layer3", dtype="float16")
    assert to_stored(key, np.full((2, 2), 65504, np.float32)).dtype == np.float16
    with pytest.raises(NotFinite, match="reach 70000, but float16 holds at most 65504: extract with --store-dtype"):
        to_stored(key, np.full((2, 2), 70000, np.float32))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_nan_and_inf_are_refused(number: float, dtype: str) -> None:
    features = np.ones((3, 4), np.float32)
    features[1, 2] = number
    with pytest.raises(NotFinite, match=r"are not finite \(NaN or inf\)"):
        to_stored(FeatureKey(BASE, "layer3", dtype=dtype), features)


def test_finite_numbers_whose_sum_is_not_are_finite() -> None:
    assert are_finite(np.full(10, 3e38, np.float32))
