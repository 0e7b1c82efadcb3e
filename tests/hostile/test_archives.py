"""Archives that were made to do harm end in one clear line or in failed images, and take little memory and time."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import tarfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from featx.data.sources import list_images
from tests.data.sources.archives.making import make_photos, write_tar

MOST_MEGABYTES = 250
"""Python, numpy and Pillow take 40 of them."""

MOST_SECONDS = 60

SCRIPT = """
import sys
from pathlib import Path
from featx.data.digest_cache import digest_all
from featx.data.sources import list_images
from featx.errors import FeatxError

try:
    listing = list_images(sys.argv[1])
    digested = digest_all(Path(sys.argv[2]), listing.subset(range(min(200, len(listing)))))
    print(len(listing), len(digested), digested.unreadable[0].reason if digested.unreadable else "")
except FeatxError as error:
    print(error)
lines = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")))
"""


def make_entry(name: bytes, header: int, packed: int, size: int, method: int = 0, crc: int = 0) -> bytes:
    sizes = (crc, packed, size, len(name), 0, 0, 0, 0, 0, header)
    return struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, method, 0, 33, *sizes) + name


def make_local(name: bytes, packed: int, size: int, method: int = 0, crc: int = 0) -> bytes:
    return struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, method, 0, 33, crc, packed, size, len(name), 0) + name


def make_end(count: int, size: int, place: int) -> bytes:
    stated = min(count, 0xFFFF)
    return struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, stated, stated, size, place, 0)


def zip_of_giants(count: int = 100_000) -> bytes:
    """Members that state 4 GB each, all of the same few bytes."""
    local = make_local(b"a/0.jpg", 1, 1) + b"x"
    directory = b"".join(make_entry(b"c%d/%07d.jpg" % (row % 10, row), 0, 2**32 - 2, 2**32 - 2) for row in range(count))
    return local + directory + make_end(count, len(directory), len(local))


def zip_of_one_kernel(count: int = 20_000) -> bytes:
    """Members that all unpack the same 200 KB to 200 MB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    size = 200 * 2**20
    kernel = packer.compress(bytes(size)) + packer.flush()
    crc = zlib.crc32(bytes(size))
    local = make_local(b"a/0.png", len(kernel), size, 8, crc) + kernel
    directory = b"".join(
        make_entry(b"c%d/%07d.png" % (row % 10, row), 0, len(kernel), size, 8, crc) for row in range(count)
    )
    return local + directory + make_end(count, len(directory), len(local))


def zip_of_a_great_directory() -> bytes:
    """A directory that states 4 GB of itself."""
    return b"PK\x01\x02" + bytes(1000) + make_end(1, 2**32 - 2, 0)


def zip_with_its_directory_beyond_the_end() -> bytes:
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 2**60, 1)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2**60, 2**60, 2**62, 2**62)
    return bytes(100) + end64 + locator + make_end(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)


def zip_of_members_in_themselves() -> bytes:
    """A directory whose entries lie at the place of the directory."""
    local = make_local(b"a/0.jpg", 1, 1) + b"x"
    directory = b"".join(make_entry(b"a/%d.jpg" % row, len(local), 100, 100) for row in range(1000))
    return local + directory + make_end(1000, len(directory), len(local))


def tar_header(name: bytes, size: bytes, kind: bytes = b"0") -> bytes:
    block = bytearray(512)
    block[: len(name)] = name
    block[124:136] = size
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def tar_of_empty_members(count: int = 20_000) -> bytes:
    return b"".join(tar_header(b"a/%d.jpg" % row, b"%011o\0" % 0) for row in range(count)) + bytes(1024)


def tar_of_absurd_sizes() -> bytes:
    sizes = (
        *(b"\x80" + b"\xff" * 11, b"\xff" * 12, b"\x80" + bytes(3) + b"\x7f" + b"\xff" * 7),
        *(b"77777777777\0", b"-1" + b" " * 10),
    )
    return b"".join(tar_header(b"a/%d.jpg" % row, size) + bytes(512) for row, size in enumerate(sizes)) + bytes(1024)


def tar_of_names_without_end() -> bytes:
    """Headers for long names that hold headers for long names, and one that states a gigabyte."""
    nested = b"".join(tar_header(b"././@LongLink", b"%011o\0" % 512, b"L") + b"a" * 512 for _ in range(20_000))
    return nested + tar_header(b"././@LongLink", b"%011o\0" % 2**30, b"L") + bytes(4096)


def tar_of_pax_numbers() -> bytes:
    """A size of 20 digits, a record that counts more than there is, and one that counts nothing."""
    body = b"29 size=%s\n" % (b"9" * 20) + b"99999999999 path=x\n0 path=y\n"
    header = tar_header(b"x", b"%011o\0" % len(body), b"x")
    return header + body.ljust(512, b"\0") + tar_header(b"a.jpg", b"%011o\0" % 9)


def tar_of_records_that_count_nothing() -> bytes:
    body = b"0 path=y\n" * 9
    header = tar_header(b"x", b"%011o\0" % len(body), b"x")
    return header + body.ljust(512, b"\0") + tar_header(b"a.jpg", b"%011o\0" % 9)


def tar_of_many_pax_records() -> bytes:
    body = b"6 a=b\n" * 170_000
    header = tar_header(b"x", b"%011o\0" % len(body), b"x")
    return header + body.ljust(-(-len(body) // 512) * 512, b"\0") + tar_header(b"a.jpg", b"%011o\0" % 9)


def tar_of_deep_json() -> bytes:
    members = {"0.jpg": b"x", "0.json": b"[" * 900_000, "1.jpg": b"x", "1.json": b'{"label":' * 90_000}
    return pack(members)


def tar_of_great_labels() -> bytes:
    return pack({f"{row}.{suffix}": b"a" * 10**6 for row in range(60) for suffix in ("cls", "jpg")})


def pack(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


ATTACKS: dict[str, tuple[Callable[[], bytes], str]] = {
    "giants.zip": (zip_of_giants, "100000 0 "),
    "kernel.zip": (zip_of_one_kernel, "20000 0 overlaps another member"),
    "directory.zip": (zip_of_a_great_directory, "is not a whole zip file"),
    "beyond.zip": (zip_with_its_directory_beyond_the_end, "is not a whole zip file"),
    "itself.zip": (zip_of_members_in_themselves, "1000 0 "),
    "empty.tar": (tar_of_empty_members, "20000 200"),
    "sizes.tar": (tar_of_absurd_sizes, "GiB are more than the|ends beyond the end|holds no pictures"),
    "names.tar": (tar_of_names_without_end, "holds no pictures: its headers are damaged"),
    "numbers.tar": (tar_of_pax_numbers, "1 0 it ends beyond the end"),
    "nothing.tar": (tar_of_records_that_count_nothing, "1 0 it ends beyond the end"),
    "records.tar": (tar_of_many_pax_records, "1 0 it ends beyond the end"),
    "json.tar": (tar_of_deep_json, "2 2 "),
    "labels.tar": (tar_of_great_labels, "60 60 "),
}
"""What is made, and the beginning or a part of what is said."""


@pytest.mark.parametrize("name", ATTACKS)
def test_hostile_archives_end_in_a_line_or_in_failed_images(tmp_path: Path, name: str) -> None:
    make, expected = ATTACKS[name]
    (tmp_path / name).write_bytes(make())
    started = time.monotonic()
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / name), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=MOST_SECONDS)
    assert done.returncode == 0, done.stderr
    said, megabytes = done.stdout.splitlines()
    assert re.search(expected, said), said
    assert int(megabytes) < MOST_MEGABYTES, f"{megabytes} MB"
    assert time.monotonic() - started < MOST_SECONDS


def test_a_sound_shard_between_hostile_ones_is_used(tmp_path: Path) -> None:
    write_tar(tmp_path / "shards" / "1.tar", make_photos())
    (tmp_path / "shards" / "0.tar").write_bytes(tar_of_absurd_sizes())
    (tmp_path / "shards" / "2.tar").write_bytes(b"\xff" * 10_000)
    listing = list_images(str(tmp_path / "shards"))
    assert {path for path in listing.paths if "/1.tar/" in path} == {
        f"{tmp_path}/shards/1.tar/{name}" for name in make_photos()
    }
