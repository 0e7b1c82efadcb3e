from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from featx.images.decode import BrokenImage, decode, decoding
from featx.images.depth import RangeUse
from featx.keys import ValueRange
from tests.images.files import Values, encoded, png_of_16_bits, scaled, tiff_of

DRAWN = np.random.default_rng(0)
GREY = DRAWN.integers(0, 256, (20, 30)).astype(np.uint8)
COLOUR = DRAWN.integers(0, 256, (20, 30, 3)).astype(np.uint8)
GREY[0, :2] = 0, 255
COLOUR[0, 0], COLOUR[0, 1] = 0, 255
OPAQUE = np.full((20, 30, 1), 65535)


def as_rgb(values: Values) -> Values:
    return values if values.ndim == 3 else np.stack([values] * 3, axis=2)


def use_of(data: bytes, value_range: ValueRange | None = None) -> RangeUse:
    with decoding(data, value_range) as decoded:
        assert decoded.range_use is not None
        return decoded.range_use


STATED: dict[str, tuple[Values, Callable[[], bytes]]] = {
    "png grey": (GREY, lambda: png_of_16_bits(scaled(GREY, 65535))),
    "png colour": (COLOUR, lambda: png_of_16_bits(scaled(COLOUR, 65535))),
    "png of 12 bits": (GREY, lambda: png_of_16_bits(scaled(GREY, 4095), 12)),
    "png of 12 bits, colour": (COLOUR, lambda: png_of_16_bits(scaled(COLOUR, 4095), 12)),
    "png of 12 bits that fill 16": (GREY, lambda: png_of_16_bits(scaled(GREY, 4095).astype(int) * 16, 12)),
    "pgm": (GREY, lambda: b"P5 30 20 1023\n" + scaled(GREY, 1023).astype(">u2").tobytes()),
    "ppm": (COLOUR, lambda: b"P6 30 20 1023\n" + scaled(COLOUR, 1023).astype(">u2").tobytes()),
    "pfm": (GREY, lambda: b"Pf\n30 20\n-1.0\n" + (GREY[::-1] / 255).astype("<f4").tobytes()),
    "tiff": (GREY, lambda: tiff_of(scaled(GREY, 65535))),
    "tiff, big-endian": (GREY, lambda: tiff_of(scaled(GREY, 65535), ">")),
    "tiff colour": (COLOUR, lambda: tiff_of(scaled(COLOUR, 65535))),
    "tiff of 32 bits": (GREY, lambda: tiff_of((GREY / 255 * (2**32 - 1)).astype(np.uint32))),
    "tiff whose tag states 1023": (GREY, lambda: tiff_of(scaled(GREY, 1023), more={341: (3, (1023,))})),
    "tiff, signed": (GREY, lambda: tiff_of((scaled(GREY, 65535).astype(int) - 32768).astype(np.int16))),
    "tiff, 0 is white": (255 - GREY, lambda: tiff_of(scaled(GREY, 65535), more={262: (3, (0,))})),
    "tiff float": (GREY, lambda: tiff_of((GREY / 255).astype(np.float32))),
    "tiff float whose tag states 255": (GREY, lambda: tiff_of(GREY.astype(np.float32), more={341: (12, (255.0,))})),
    "jpeg 2000": (GREY, lambda: encoded(Image.fromarray(scaled(GREY, 65535)), "JPEG2000")),
}


@pytest.mark.parametrize("name", STATED)
def test_the_range_that_a_file_or_its_format_states_gives_the_8_bit_picture(name: str) -> None:
    expected, make = STATED[name]
    data = make()
    assert np.array_equal(np.asarray(decode(data)), as_rgb(expected))
    use = use_of(data)
    assert use.low <= use.least < use.greatest <= use.high * (1 + 1e-6)


GIVEN: dict[str, tuple[Values, Callable[[], bytes], ValueRange]] = {
    "png": (GREY, lambda: png_of_16_bits(scaled(GREY, 4095)), (0, 4095)),
    "png colour": (COLOUR, lambda: png_of_16_bits(scaled(COLOUR, 4095)), (0, 4095)),
    "png grey and alpha": (GREY, lambda: png_of_16_bits(np.dstack([scaled(GREY, 4095), OPAQUE])), (0, 4095)),
    "png colour and alpha": (COLOUR, lambda: png_of_16_bits(np.dstack([scaled(COLOUR, 4095), OPAQUE])), (0, 4095)),
    "ppm": (COLOUR, lambda: b"P6 30 20 65535\n" + scaled(COLOUR, 1023).astype(">u2").tobytes(), (0, 1023)),
    "pgm": (GREY, lambda: b"P5 30 20 65535\n" + scaled(GREY, 1023).astype(">u2").tobytes(), (0, 1023)),
    "tiff": (GREY, lambda: encoded(Image.fromarray(scaled(GREY, 1023)), "TIFF", compression="tiff_lzw"), (0, 1023)),
    "tiff colour": (COLOUR, lambda: tiff_of(scaled(COLOUR, 1023)), (0, 1023)),
    "tiff colour, big-endian": (COLOUR, lambda: tiff_of(scaled(COLOUR, 1023), ">"), (0, 1023)),
    "tiff, Hounsfield": (
        GREY,
        lambda: tiff_of((scaled(GREY, 4095).astype(int) - 1024).astype(np.int16)),
        (-1024, 3071),
    ),
    "tiff float": (GREY, lambda: tiff_of(GREY.astype(np.float32)), (0, 255)),
    "jpeg 2000": (GREY, lambda: encoded(Image.fromarray(scaled(GREY, 4095)), "JPEG2000"), (0, 4095)),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_value_range_overrides_it_and_loses_nothing(name: str) -> None:
    expected, make, value_range = GIVEN[name]
    assert np.array_equal(np.asarray(decode(make(), value_range)), as_rgb(expected))


@pytest.mark.parametrize("name", GIVEN)
def test_without_it_the_true_values_are_told(name: str) -> None:
    _, make, value_range = GIVEN[name]
    use = use_of(make())
    assert (use.least, use.greatest) == value_range


def test_no_picture_is_stretched_by_its_own_values() -> None:
    dark = tiff_of(np.full((4, 4), 0.25, np.float32))
    bright = tiff_of(np.linspace(0, 4, 16, dtype=np.float32).reshape(4, 4))
    assert np.unique(np.asarray(decode(dark))).tolist() == [64]
    assert np.asarray(decode(bright))[0, 1, 0] == 68
    assert np.asarray(decode(bright)).max() == 255


def test_pictures_of_8_bits_are_read_as_they_are_whatever_the_range() -> None:
    data = encoded(Image.fromarray(COLOUR))
    assert np.array_equal(np.asarray(decode(data, (0, 1023))), COLOUR)
    with decoding(data, (0, 1023)) as decoded:
        assert decoded.range_use is None


def test_colour_of_which_only_8_bits_can_be_had_refuses_a_range() -> None:
    plain = b"P3 2 1 1023\n0 0 0 1023 1023 1023\n"
    assert np.asarray(decode(plain)).max() == 255
    with pytest.raises(BrokenImage, match="leave out --value-range"):
        decode(plain, (0, 1023))


def test_deep_pictures_are_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("PNG", "TIFF"):
        turned = decode(encoded(Image.fromarray(scaled(GREY, 65535)), kind, exif=exif))
        assert np.array_equal(np.asarray(turned), np.rot90(as_rgb(GREY), -1)), kind


def test_the_first_of_several_pages_or_frames_is_read_and_known() -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    for kind in ("GIF", "TIFF", "PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        with decoding(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)) as decoded:
            assert decoded.has_more_pages, kind
            assert np.array_equal(np.asarray(decoded.picture), as_rgb(GREY)), kind
        with decoding(encoded(frames[0], kind, **options)) as decoded:
            assert not decoded.has_more_pages, kind


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize(
    "values",
    [
        np.arange(256, dtype=np.uint8).reshape(16, 16),
        np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16),
        np.arange(-128, 128, dtype=np.int16).reshape(16, 16) * 256,
        np.arange(256, dtype=np.int32).reshape(16, 16) * 2**20,
        np.arange(256, dtype=np.float32).reshape(16, 16) / 255,
    ],
    ids=lambda values: str(values.dtype),
)
def test_one_sample_in_a_plane_of_its_own_is_read_as_any_other(values: Values, white_is_zero: bool, order: str) -> None:
    more = {262: (3, (0,))} if white_is_zero else {}
    plain = tiff_of(values, order, more)
    in_a_plane = tiff_of(values, order, {**more, 284: (3, (2,))})
    assert np.array_equal(np.asarray(decode(in_a_plane)), np.asarray(decode(plain)))
