from __future__ import annotations

import csv
import io
import json
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx.images.decode import (
    DECODING_BUDGET,
    DECODING_MEMORY,
    FORMATS,
    BrokenImage,
    check_size,
    decode,
    decoding,
)
from featx.images.depth import Depth, to_8_bits

IS_LONG = bool(os.environ.get("FEATX_STRESS"))
IMAGES = 20_000 if IS_LONG else 1_000


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, *more: bytes) -> bytes:
    """A PNG that claims a size and holds almost nothing."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    chunks = (png_chunk(b"IHDR", header), *more, png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.weights
def test_each_odd_image_is_decoded_or_refused_as_its_list_says(shared: Path) -> None:
    folder = shared / "data" / "odd-images"
    sizes = {
        row["file"]: row["size_after_exif_transpose"]
        for row in csv.DictReader((folder / "manifest.csv").read_text(encoding="utf-8").splitlines())
    }
    for path in sorted((folder / "ok").iterdir()):
        picture = decode(path.read_bytes())
        assert picture.mode == "RGB"
        assert sizes[f"ok/{path.name}"] == f"{picture.width}x{picture.height}", path.name
    for path in sorted((folder / "broken").iterdir()):
        with pytest.raises(BrokenImage, match=r"\w"):
            decode(path.read_bytes())


@pytest.mark.slow
@pytest.mark.stress
def test_mutated_images_neither_crash_nor_hang_nor_take_much_memory() -> None:
    script = Path(__file__).with_name("fuzzing.py")
    odd = Path(__file__).resolve().parents[3] / "shared" / "data" / "odd-images"
    command = [sys.executable, str(script), str(IMAGES), "7", *([str(odd)] if odd.is_dir() else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report["features"] + report["reasons"] == IMAGES
    assert report["slowest"] < 2, report["worst"]
    assert report["peak_megabytes"] < 1000
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "data", [b"", b"x", b"text" * 100, bytes(5000), b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"]
)
def test_what_is_not_an_image_is_said_not_to_be_one(data: bytes) -> None:
    with pytest.raises(BrokenImage, match="empty file|not an image, or of an unknown format"):
        decode(data)


def icon_of(inner: bytes) -> bytes:
    """An icon that claims 16 x 16 pixels and holds whatever PNG."""
    return struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inner), 22) + inner


def patched(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new, 1)


SMALL = Image.new("L", (4, 4))
BOMBS = {
    "png": png_of(60_000, 60_000),
    "png in an icon": icon_of(png_of(30_000, 30_000)),
    "gif screen": patched(encoded(SMALL, "GIF"), struct.pack("<HH", 4, 4), b"\xff\xff\xff\xff"),
    "gif frame": patched(encoded(SMALL, "GIF"), struct.pack("<HHHH", 0, 0, 4, 4), bytes(4) + b"\xff\xff\xff\xff"),
    "bmp": patched(encoded(SMALL, "BMP"), struct.pack("<ii", 4, 4), struct.pack("<ii", 50_000, 50_000)),
    "tiff": patched(
        patched(encoded(SMALL, "TIFF"), struct.pack("<HHII", 256, 4, 1, 4), struct.pack("<HHII", 256, 4, 1, 99_999)),
        struct.pack("<HHII", 257, 4, 1, 4),
        struct.pack("<HHII", 257, 4, 1, 99_999),
    ),
    "text": png_of(4, 4, png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000)))),
    "profile": png_of(4, 4, png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(50_000_000)))),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_is_decoded(name: str) -> None:
    import tracemalloc

    tracemalloc.start()
    started = time.process_time()
    try:
        decode(BOMBS[name])
    except BrokenImage as error:
        assert str(error)  # noqa: PT017
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - started < 1
    assert peak < 20_000_000


@pytest.mark.parametrize("name", ["png", "png in an icon", "gif screen", "gif frame", "bmp", "tiff"])
def test_a_picture_too_large_is_named_so(name: str) -> None:
    with pytest.raises(BrokenImage, match="more than the 102 million pixels|would take"):
        decode(BOMBS[name])


def test_costly_formats_are_refused_sooner() -> None:
    class Opened:
        size, info = (7000, 7000), {}

        def __init__(self, kind: str) -> None:
            self.format = kind

    assert check_size(Opened("PNG")) < DECODING_MEMORY  # type: ignore[arg-type]
    with pytest.raises(BrokenImage, match=r"7000 x 7000 pixels would take 1\.2 GB to decode, more than 0\.82 GB"):
        check_size(Opened("JPEG2000"))  # type: ignore[arg-type]
    with pytest.raises(BrokenImage, match="of QOI would take too long"):
        check_size(Opened("QOI"))  # type: ignore[arg-type]


def test_formats_that_start_programs_are_not_among_those_read() -> None:
    assert not {"EPS", "WMF", "MIC", "FPX", "ICNS"} & set(FORMATS)


def test_a_picture_is_turned_upright() -> None:
    picture = Image.fromarray(np.arange(96, dtype=np.uint8).reshape(4, 8, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode(encoded(picture, "PNG", exif=exif))
    assert np.array_equal(np.asarray(turned), np.rot90(np.asarray(picture), -1))


def test_deep_grey_is_scaled_not_clipped() -> None:
    deep = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    grey = np.asarray(decode(encoded(Image.fromarray(deep))))[..., 0]
    assert np.array_equal(grey.reshape(-1), np.arange(256))


@pytest.mark.parametrize("band_pixels", [1, 100, 480])
def test_a_tall_deep_grey_picture_is_scaled_in_bands_like_in_one(band_pixels: int) -> None:
    deep = Image.fromarray(np.random.default_rng(0).normal(0.5, 0.5, (64, 48)).astype(np.float32))
    depth = Depth((0.0, 1.0), is_float=True)
    whole, use = to_8_bits(depth, deep, b"", None)
    in_bands, same_use = to_8_bits(depth, deep, b"", None, band_pixels)
    assert np.array_equal(np.asarray(in_bands), np.asarray(whole))
    assert same_use == use
    assert np.array_equal(np.asarray(decode(encoded(deep, "TIFF")))[..., 0], np.asarray(whole))


def test_nan_and_infinity_become_black_or_white() -> None:
    values = np.array([[np.nan, np.inf, -np.inf, 0.5]], np.float32)
    picture = decode(encoded(Image.fromarray(values), "TIFF"))
    assert np.asarray(picture)[0, :, 0].tolist() == [0, 255, 0, 128]


def test_a_broken_picture_gives_its_memory_back() -> None:
    whole = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)), "JPEG")
    with pytest.raises(BrokenImage, match="truncated"), decoding(whole[: len(whole) // 2]):
        pass
    assert DECODING_BUDGET.held == 0
