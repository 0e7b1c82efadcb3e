"""The directory of a zip file is read as Python's own `zipfile` reads it, and damage is an error of one kind."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from featx.archives.zip_directory import DamagedDirectory, Read, ZipEntry, find_bytes, find_directory, read_entries


def read_from(data: bytes) -> Read:
    def read(place: int, count: int) -> bytes:
        if place < 0 or place + count > len(data):
            raise EOFError
        return data[place : place + count]

    return read


def list_entries(data: bytes) -> list[ZipEntry]:
    read = read_from(data)
    place = find_directory(read, len(data))
    return list(read_entries(read(place.begin, place.size), place.shift))


def write_zip(wide: bool = False, comment: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.comment = comment
        for name, method in (("a/b.txt", zipfile.ZIP_STORED), ("\u00e9.bin", zipfile.ZIP_DEFLATED), ("c/", 0)):
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with archive.open(info, "w", force_zip64=wide) as member:
                member.write(b"" if name == "c/" else name.encode() * 50)
    return file.getvalue()


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("before", [b"", b"#!/bin/sh\n"])
@pytest.mark.parametrize("comment", [b"", b"PK\x05 a comment"])
def test_entries_are_those_of_zipfile(wide: bool, before: bytes, comment: bytes) -> None:
    data = before + write_zip(wide, comment)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        expected = archive.infolist()
    entries = list_entries(data)
    assert [
        (entry.name, entry.header, entry.packed, entry.size, entry.crc, entry.flags, entry.method) for entry in entries
    ] == [
        (one.filename, one.header_offset, one.compress_size, one.file_size, one.CRC, one.flag_bits, one.compress_type)
        for one in expected
    ]
    begin = find_bytes(read_from(data), entries[0].header)
    assert begin is not None
    assert data[begin : begin + entries[0].packed] == b"a/b.txt" * 50


def test_sizes_of_64_bits_are_taken_from_the_extra_field(monkeypatch: pytest.MonkeyPatch) -> None:
    # All sizes and places count as large, so that the directory and its end are written in their wide form.
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    data = write_zip(wide=True)
    assert b"PK\x06\x06" in data
    assert data.count((2**32 - 1).to_bytes(4, "little")) > 2
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        expected = [(one.filename, one.header_offset, one.file_size) for one in archive.infolist()]
    assert [(entry.name, entry.header, entry.size) for entry in list_entries(data)] == expected


@pytest.mark.parametrize("cut", [1, 21, 22, 60])
def test_a_file_that_is_cut_short_has_no_directory(cut: int) -> None:
    with pytest.raises(DamagedDirectory, match="cut short"):
        list_entries(write_zip()[:-cut])


def test_damage_is_one_error_or_other_entries() -> None:
    sound = write_zip(wide=True)
    dice = np.random.default_rng(3)
    refused = 0
    for _ in range(2000):
        data = bytearray(sound)
        data[int(dice.integers(len(data) - 300, len(data)))] = int(dice.integers(256))
        try:
            list_entries(bytes(data))
        except (DamagedDirectory, EOFError):
            refused += 1
    assert 100 < refused < 1900
