"""A large JPEG decoded at a part of its size: how large it becomes, what it looks like and what it takes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from featx.images.decode import (
    DECODING_BUDGET,
    BrokenImage,
    NeedsMemory,
    decode,
    decode_within,
    decoding,
    decoding_apart,
)
from featx.images.formats.jpeg import SCALES, choose_scale, count_bytes_per_pixel
from featx.images.formats.tiff import ORIENTATION
from featx.images.transform import scale_shown_size, scale_size, to_pixels
from featx.images.upright import SHOWN_BOX, find_shown_box
from featx.images.views import Corners, keep_raw
from featx.keys import InputTransform
from tests.images.files import encoded

EXACT = InputTransform(64, 56)
SCALED = InputTransform(64, 56, decode="scaled")
WIDTH, HEIGHT = 1200, 800
MEGABYTE = 2**20

KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "all colours at full size": {"subsampling": 0},
    "grey": {"mode": "L"},
    "CMYK": {"mode": "CMYK"},
    "CMYK, progressive": {"mode": "CMYK", "progressive": True},
}


def photo(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Soft spots with some grain, as photos have."""
    draw = np.random.default_rng(0)
    spots = Image.fromarray(draw.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    soft = np.asarray(spots.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    return Image.fromarray((soft + draw.integers(-12, 13, soft.shape)).clip(0, 255).astype(np.uint8))


def jpeg(picture: Image.Image, mode: str = "RGB", kind: str = "JPEG", **options: Any) -> bytes:
    return encoded(picture.convert(mode), kind, quality=90, **options)


def as_numbers(data: bytes, transform: InputTransform) -> Any:
    return to_pixels(decode(data, least_side=transform.least_side), transform).astype(int)


@given(st.integers(1, 70_000), st.integers(1, 2000))
def test_the_scale_is_the_largest_that_leaves_twice_the_resized_side(side: int, resize: int) -> None:
    least = InputTransform(resize, resize, decode="scaled").least_side
    scale = choose_scale(side, least)
    assert least == 2 * resize
    assert scale == 1 or side / scale >= 2 * resize
    larger = [other for other in SCALES if other > scale]
    assert all(side / other < 2 * resize for other in larger)
    assert choose_scale(side, None) == 1


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 40))
def test_a_file_becomes_as_large_as_the_rule_says(width: int, height: int, least: int) -> None:
    data = encoded(Image.new("RGB", (width, height)), "JPEG")
    scale = choose_scale(min(width, height), least)
    with decoding(data, least_side=least) as decoded:
        assert decoded.picture.size == (-(-width // scale), -(-height // scale))
        assert decoded.jpeg_side == min(width, height)


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_file_is_decoded_small_and_looks_the_same(kind: str) -> None:
    data = jpeg(photo(), **KINDS[kind])
    with decoding(data, least_side=SCALED.least_side) as decoded:
        assert decoded.picture.size == (300, 200)
        assert decoded.picture.mode == "RGB"
    exact = as_numbers(data, EXACT)
    scaled = as_numbers(data, SCALED)
    assert not np.array_equal(exact, scaled)
    assert np.abs(exact - scaled).mean() < 2
    assert np.abs(exact - scaled).max() < 24


ODD_SIZES = [(1203, 801, 1), (1199, 799, 1), (803, 1205, 1), *((609, 407, orientation) for orientation in range(1, 9))]


@pytest.mark.parametrize(("width", "height", "orientation"), ODD_SIZES)
def test_sides_that_cannot_be_divided_move_nothing(width: int, height: int, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = jpeg(photo(width, height), exif=exif)
    # Were its last pixels taken for whole ones, the mean would be 5.
    assert np.abs(as_numbers(data, EXACT) - as_numbers(data, SCALED)).mean() < 1.5
    picture = decode(data, least_side=SCALED.least_side)
    upright = (width, height) if orientation < 5 else (height, width)
    assert scale_shown_size(picture, 64) == scale_size(*upright, 64)
    corners = [Corners(decode(data, least_side=least), EXACT).crop((1, 1)) for least in (None, SCALED.least_side)]
    assert np.abs(corners[0].astype(int) - corners[1]).mean() < 1.5


def test_what_ends_within_a_pixel_is_not_left_to_a_device() -> None:
    for size, is_left in [((1200, 800), True), ((1203, 800), False)]:
        picture = decode(jpeg(photo(*size)), least_side=SCALED.least_side)
        assert (0 in keep_raw(picture, SCALED, [0])[0]) == is_left


def test_text_in_a_file_is_not_taken_for_a_part_of_it() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text(SHOWN_BOX, "(0, 0, 1, 1)")
    data = encoded(photo(), pnginfo=text)
    assert SHOWN_BOX in decode(data).info
    assert find_shown_box(decode(data)) is None


def test_it_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = jpeg(photo(), exif=exif)
    assert decode(data, least_side=SCALED.least_side).size == (200, 300)
    assert np.abs(as_numbers(data, EXACT) - as_numbers(data, SCALED)).mean() < 2


def test_so_is_the_first_picture_of_several() -> None:
    data = jpeg(photo(), kind="MPO", save_all=True, append_images=[photo(90, 90)])
    with decoding(data, least_side=SCALED.least_side) as decoded:
        assert decoded.picture.size == (300, 200)
        assert decoded.has_more_pages
        assert decoded.jpeg_side == HEIGHT


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_too_small_for_it_is_decoded_as_ever(kind: str) -> None:
    data = jpeg(photo(400, 255), **KINDS[kind])
    assert np.array_equal(np.asarray(decode(data, least_side=128)), np.asarray(decode(data)))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG2000"])
def test_other_kinds_are_decoded_as_ever(kind: str) -> None:
    data = encoded(photo(), kind)
    with decoding(data, least_side=SCALED.least_side) as decoded:
        assert decoded.jpeg_side == 0
        assert np.array_equal(np.asarray(decoded.picture), np.asarray(decode(data)))


def test_a_value_range_does_not_matter_to_it() -> None:
    data = jpeg(photo())
    least = SCALED.least_side
    assert np.array_equal(np.asarray(decode(data, (0, 4095), least)), np.asarray(decode(data, None, least)))


@pytest.mark.parametrize(("kind", "of_the_whole"), [("baseline", 0), ("progressive", 6), ("CMYK, progressive", 8)])
def test_it_takes_its_own_pixels_and_what_several_scans_keep_of_the_whole(kind: str, of_the_whole: int) -> None:
    data = jpeg(photo(), **KINDS[kind])
    pixels = WIDTH * HEIGHT
    with decoding(data, least_side=SCALED.least_side):
        assert pixels * of_the_whole < DECODING_BUDGET.held < pixels * (of_the_whole + 0.6)
    with decoding(data):
        assert DECODING_BUDGET.held > pixels * 4
    assert DECODING_BUDGET.held == 0


def test_one_colour_after_the_other_keeps_the_whole_too() -> None:
    data = in_scans_of_one_colour(jpeg(photo()))
    with decoding(data, least_side=SCALED.least_side):
        assert DECODING_BUDGET.held > WIDTH * HEIGHT * 6


def in_scans_of_one_colour(data: bytes) -> bytes:
    """Let a file state that its first scan has one colour only; what follows is then read as that colour's."""
    place = data.index(b"\xff\xda")
    length = int.from_bytes(data[place + 2 : place + 4], "big")
    header = b"\xff\xda" + (8).to_bytes(2, "big") + b"\x01" + data[place + 5 : place + 7] + b"\x00\x3f\x00"
    return data[:place] + header + data[place + 2 + length :]


def test_a_share_of_memory_that_is_enough_for_it_decodes_it() -> None:
    small = jpeg(photo())
    allowed = 2 * MEGABYTE
    assert decode_within(small, None, allowed, SCALED.least_side).picture.size == (300, 200)
    with pytest.raises(NeedsMemory):
        decode_within(small, None, allowed)
    with pytest.raises(NeedsMemory):
        decode_within(jpeg(photo(), progressive=True), None, allowed, SCALED.least_side)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_same_in_another_process(kind: str) -> None:
    data = jpeg(photo(WIDTH + 1, HEIGHT + 1), **KINDS[kind])
    with decoding(data, least_side=SCALED.least_side) as here, decoding_apart(data, None, SCALED.least_side) as there:
        assert np.array_equal(np.asarray(here.picture), np.asarray(there.picture))
        assert find_shown_box(here.picture) == find_shown_box(there.picture) is not None
        assert here.jpeg_side == there.jpeg_side == HEIGHT + 1


def test_a_broken_file_is_named_so_and_gives_its_memory_back() -> None:
    data = jpeg(photo())
    with pytest.raises(BrokenImage, match="truncated"), decoding(data[: len(data) // 2], least_side=100):
        pass
    assert DECODING_BUDGET.held == 0


def test_a_size_that_only_the_header_claims_is_refused_as_ever() -> None:
    file = io.BytesIO()
    Image.new("L", (16, 16)).save(file, "JPEG")
    claimed = file.getvalue().replace(b"\x00\x10\x00\x10", b"\xff\xdc\xff\xdc", 1)
    with pytest.raises(BrokenImage, match="more than the 102 million pixels"):
        decode(claimed, least_side=SCALED.least_side)


def count_of(mode: str, **options: object) -> int:
    data = io.BytesIO()
    Image.new(mode, (64, 48)).save(data, "JPEG", **options)
    with Image.open(data) as opened:
        return count_bytes_per_pixel(opened)


def test_a_jpeg_takes_what_its_mode_turning_and_scans_ask_for() -> None:
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    assert (count_of("RGB"), count_of("L"), count_of("CMYK")) == (4, 5, 8)
    assert (count_of("RGB", exif=turned), count_of("L", exif=turned)) == (8, 8)
    assert (count_of("RGB", progressive=True), count_of("CMYK", progressive=True)) == (8, 12)


def test_a_broken_exif_counts_as_turned() -> None:
    data = io.BytesIO()
    Image.new("RGB", (64, 48)).save(data, "JPEG")

    def fail() -> Image.Exif:
        raise ValueError("broken")

    with Image.open(data) as opened:
        opened.getexif = fail  # type: ignore[method-assign]
        assert count_bytes_per_pixel(opened) == 8
