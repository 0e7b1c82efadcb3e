"""Files of ordinary programs are plain; those whose size says nothing about their cost are not."""

from __future__ import annotations

import struct
import time

import numpy as np
import pytest
from PIL import Image

from featx.images.formats.file_structure import SMALL_FILE, is_plain
from featx.images.formats.tiff import TooManyTags, read_first_page
from featx.images.formats.tiff_layout import read_layout
from tests.hostile.pictures import PICTURES, noise, tags_of, tiff
from tests.images.files import encoded, tiff_of
from tests.images.fuzzing import KINDS, sample, variants

DEEP_IN_THE_FILE = {"AVIF", "JPEG2000"}
"""Kinds whose decoders take what is written deep in the file."""


@pytest.mark.parametrize("kind", sorted({*KINDS} - DEEP_IN_THE_FILE))
def test_pictures_of_pillow_are_plain(kind: str) -> None:
    assert is_plain(sample(kind, 0))


def test_so_are_its_variants() -> None:
    assert all(is_plain(data) for data in variants())


LARGE: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 95},
    "progressive JPEG": {"quality": 95, "progressive": True},
    "PNG": {},
    "TIFF": {},
    "TIFF by LZW": {"compression": "tiff_lzw"},
    "TIFF by Deflate": {"compression": "tiff_adobe_deflate"},
    "TIFF by JPEG": {"compression": "jpeg"},
    "TIFF by PackBits": {"compression": "packbits"},
    "WEBP": {},
    "BMP": {},
    "PPM": {},
    "GIF": {},
}


@pytest.mark.parametrize("name", LARGE)
def test_so_are_large_pictures(name: str) -> None:
    data = encoded(noise(1600, 1200), name.removeprefix("progressive ").split()[0], **LARGE[name])
    assert len(data) > SMALL_FILE
    assert is_plain(data)


def test_so_are_deep_pictures_and_those_in_memory() -> None:
    assert is_plain(tiff_of(np.zeros((300, 500, 3), np.uint16)))
    assert is_plain(tiff_of(np.zeros((300, 500), np.float32)))
    assert is_plain(b"P6 2000 1000 255\n" + b" #\n9" * 1_500_000)


def test_so_are_animations_of_a_common_size() -> None:
    frames = [noise(300, 200).convert("P") for _ in range(8)]
    for kind in ("GIF", "PNG", "WEBP"):
        assert is_plain(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))


COSTLY = [
    *("png: profiles that unpack", "png: chunks of nothing", "png: pixels without a byte"),
    *("png: animation of 60000 x 60000", "png: two headers", "jpeg: 30000 scans", "jpeg: comments without a letter"),
    *("jpeg: EXIF in 2000 segments", "gif: comments without a letter", "gif: blocks of a byte"),
    *("gif: frame of 65535 x 65535", "gif: junk before the frame", "tiff: strips that share their work"),
    *("tiff: JPEG of 3000 scans", "tiff: a tag of 10 million offsets", "tiff: a tag of 100 MB", "tiff: 65000 tags"),
    *("tiff: LZMA with a dictionary of 1.5 GB", "tiff: 150 MB between two strips", "ico: PNG of 10000 x 10000"),
    *("ico: 65535 icons", "bmp: runs of a pixel", "bmp: runs without a header", "ppm: numbers in letters"),
    *("ppm: comments in numbers", "ppm: a comment of 100 MB", "ppm: a maximum of 100", "webp: chunks of nothing"),
    *("webp: 200000 frames", "jp2: 65025 tiles", "avif: 6000 x 6000", "dcm: elements of nothing"),
]


@pytest.mark.parametrize("case", COSTLY)
def test_what_its_size_does_not_bound_is_not_plain(case: str) -> None:
    data = PICTURES[case][1]()
    started = time.process_time()
    assert not is_plain(data)
    assert time.process_time() - started < 1


def test_a_page_of_more_tags_than_there_can_be_is_refused() -> None:
    data = PICTURES["tiff: 12 million tags"][1]()
    assert read_first_page(data) is None
    with pytest.raises(TooManyTags, match="a TIFF with 11700000 tags, of which a page has some dozens"):
        is_plain(data)


def test_the_layout_of_a_page_is_read_off_its_tags() -> None:
    layout = read_layout(tiff(tags_of(300, 200, 8, 64, count=7)))
    assert layout is not None
    assert (layout.tile_width, layout.tile_height, layout.tile_bytes) == (300, 64, 300 * 64)
    assert layout.offsets.tolist() == [16] * 4
    assert layout.byte_counts.sum() == 28
    assert read_layout(b"II*\0" + struct.pack("<I", 2**31)) is None
    assert read_layout(encoded(Image.new("L", (4, 4)))) is None


@pytest.mark.parametrize("kind", ["not a number", "infinite", "a name of numbers"])
def test_tags_of_the_wrong_type_are_passed_over(kind: str) -> None:
    number = float("nan") if kind == "not a number" else float("inf")
    tag = (11, struct.pack("<f", number))
    wrong = {271: (3, (999,) * 9)} if kind == "a name of numbers" else {258: tag, 262: tag, 339: tag, 277: tag}
    page = read_first_page(tiff(tags_of(16, 16) | wrong))
    assert page is not None
    assert page.bits in (1, 8)
    assert page.make == ""
