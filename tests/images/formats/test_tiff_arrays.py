from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from featx.images.decode import BrokenImage, decode, decoding
from featx.images.formats.tiff_arrays import is_tiff_array
from tests.images.files import scaled, tiff_of

tifffile = pytest.importorskip("tifffile")

DRAWN = np.random.default_rng(0)
GREY = DRAWN.integers(0, 256, (20, 30)).astype(np.uint8)
COLOUR = DRAWN.integers(0, 256, (20, 30, 3)).astype(np.uint8)
OPAQUE = np.full((20, 30, 1), 255, np.uint8)


def written(values: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


def rgb(values: Any, **options: Any) -> bytes:
    return written(values, photometric="rgb", **options)


def planes(values: Any) -> Any:
    return np.moveaxis(values, 2, 0)


FLOAT_COLOUR = (COLOUR / 255).astype(np.float32)
TRANSPARENT = np.dstack([FLOAT_COLOUR, np.ones((20, 30), np.float32)])

READ: dict[str, tuple[Any, bytes, Any]] = {
    "float": (COLOUR, rgb(FLOAT_COLOUR), (0, 1)),
    "float of 64 bits": (COLOUR, rgb(FLOAT_COLOUR.astype(np.float64)), (0, 1)),
    "float up to 255": (COLOUR, rgb(COLOUR.astype(np.float32)), (0, 255)),
    "float up to 255, of 16 bits": (COLOUR, rgb(COLOUR.astype(np.float16)), (0, 255)),
    "float, planes": (COLOUR, rgb(planes(FLOAT_COLOUR), planarconfig="separate"), (0, 1)),
    "float, alpha": (COLOUR, rgb(TRANSPARENT, extrasamples=["unassalpha"]), (0, 1)),
    "float, deflate": (COLOUR, rgb(FLOAT_COLOUR, compression="zlib"), (0, 1)),
    "float, tiles": (COLOUR, rgb(FLOAT_COLOUR, tile=(16, 16), compression="zlib"), (0, 1)),
    "float, big-endian": (COLOUR, rgb(FLOAT_COLOUR, byteorder=">"), (0, 1)),
    "float, BigTIFF": (COLOUR, rgb(FLOAT_COLOUR, bigtiff=True), (0, 1)),
    "float whose tag states 255": (COLOUR, tiff_of(COLOUR.astype(np.float32), more={341: (12, (255.0,))}), None),
    "16 bits, planes": (COLOUR, rgb(planes(scaled(COLOUR, 65535)), planarconfig="separate"), None),
    "12 bits, planes": (COLOUR, rgb(planes(scaled(COLOUR, 4095)), planarconfig="separate"), (0, 4095)),
    "32 bits": (COLOUR, rgb((COLOUR / 255 * (2**32 - 1)).astype(np.uint32)), None),
    "signed": (COLOUR, rgb((scaled(COLOUR, 65535).astype(int) - 32768).astype(np.int16)), None),
    "grey, float of 64 bits": (GREY, written(GREY / 255), None),
    "grey, float of 16 bits": (GREY, written(GREY.astype(np.float16)), (0, 255)),
}


@pytest.mark.parametrize("name", READ)
def test_what_pillow_does_not_read_gives_the_8_bit_picture(name: str) -> None:
    expected, data, value_range = READ[name]
    assert is_tiff_array(data)
    read = np.asarray(decode(data, value_range))
    assert np.array_equal(read, expected if expected.ndim == 3 else np.dstack([expected] * 3))


def test_pillow_reads_what_it_can() -> None:
    assert not is_tiff_array(rgb(COLOUR))
    assert not is_tiff_array(rgb(scaled(COLOUR, 65535)))
    assert not is_tiff_array(written(FLOAT_COLOUR[..., 0]))
    assert not is_tiff_array(b"II*\0" + bytes(40))


def test_floating_point_colour_without_a_range_is_an_error_that_names_the_flag() -> None:
    with pytest.raises(
        BrokenImage, match=r"3 x 32 bits \(floating-point\) that does not state its range.*--value-range"
    ):
        decode(rgb(FLOAT_COLOUR))


def test_what_it_holds_is_told_pages_and_orientation_included() -> None:
    with decoding(rgb(COLOUR.astype(np.float32)), (0, 100)) as decoded:
        use = decoded.range_use
        assert use is not None
        assert (use.low, use.high, use.least, use.greatest) == (0, 100, COLOUR.min(), COLOUR.max())
        assert not decoded.has_more_pages
    with decoding(rgb(np.stack([FLOAT_COLOUR] * 2)), (0, 1)) as decoded:
        assert decoded.has_more_pages
        assert np.array_equal(np.asarray(decoded.picture), COLOUR)
    turned = decode(tiff_of(COLOUR.astype(np.float32), more={274: (3, (6,))}), (0, 255))
    assert np.array_equal(np.asarray(turned), np.rot90(COLOUR, 3))


def test_other_compressions_and_kinds_are_named() -> None:
    pieces = tiff_of(COLOUR.astype(np.float32), more={259: (3, (5,))})
    with pytest.raises(BrokenImage, match="compressed by LZW: save it with deflate, or without"):
        decode(pieces, (0, 1))
    with pytest.raises(BrokenImage, match="5 x 16 bits .integer. that is neither grey nor RGB: save it as"):
        decode(
            written(DRAWN.integers(0, 9, (8, 9, 5)).astype(np.uint16), photometric="minisblack", planarconfig="contig")
        )


def test_a_piece_that_inflates_beyond_its_size_is_refused() -> None:
    import zlib

    data = rgb(FLOAT_COLOUR, compression="zlib", rowsperstrip=20)
    page = tifffile.TiffFile(io.BytesIO(data)).pages[0]
    bomb = zlib.compress(bytes(50_000_000), 9)
    offset = page.dataoffsets[0]
    forged = data[:offset] + bomb
    place = next(tag.valueoffset for tag in page.tags if tag.name == "StripByteCounts")
    size = 2 if page.tags["StripByteCounts"].dtype == 3 else 4
    forged = forged[:place] + len(bomb).to_bytes(size, "little") + forged[place + size :]
    with pytest.raises(BrokenImage, match="holds more than its size"):
        decode(forged, (0, 1))


def test_truncated_and_huge_ones_are_broken_images() -> None:
    whole = rgb(FLOAT_COLOUR)
    for end in (len(whole) - 1, len(whole) // 2, 60):
        with pytest.raises(BrokenImage, match=r"\w"):
            decode(whole[:end], (0, 1))
    with pytest.raises(BrokenImage, match="would take .* GB"):
        decode(tiff_of(FLOAT_COLOUR, more={256: (4, (60_000,)), 257: (4, (60_000,))}), (0, 1))
