from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from featx.images.picture_digest import digest_picture
from tests.images.files import encoded, png_of_16_bits, tiff_of

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
DEEP = GREY.astype(np.uint16) * 257

AS_BEFORE = {
    "nothing": b"",
    "text": b"II*",
    **{kind: encoded(Image.fromarray(GREY), kind) for kind in ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP")},
    "16 bits": encoded(Image.fromarray(DEEP)),
    "16 bits, TIFF": encoded(Image.fromarray(DEEP), "TIFF"),
    "a lone plane of 8 bits": tiff_of(GREY, more={284: (3, (2,))}),
    "16 bits, colour": png_of_16_bits(np.dstack([DEEP] * 3)),
}
ANEW = {
    "float": tiff_of(GREY.astype(np.float32)),
    "float, big-endian": tiff_of(GREY.astype(np.float32), ">"),
    "signed": tiff_of(GREY.astype(np.int16)),
    "32 bits": tiff_of(GREY.astype(np.uint32)),
    "a stated maximum": tiff_of(DEEP, more={341: (3, (1023,))}),
    "white is 0": tiff_of(DEEP, more={262: (3, (0,))}),
    "16 bits, colours apart": tiff_of(np.dstack([DEEP] * 3), more={284: (3, (2,))}),
    "sBIT": png_of_16_bits(DEEP, 12),
    "a lone plane, white is 0": tiff_of(GREY, more={262: (3, (0,)), 284: (3, (2,))}),
    "raw": tiff_of(GREY, more={50706: (2, (1, 4, 0, 0))}),
}


@pytest.mark.parametrize("name", AS_BEFORE)
def test_what_is_read_as_before_keeps_the_sha256_of_its_file(name: str) -> None:
    assert digest_picture(AS_BEFORE[name]) == hashlib.sha256(AS_BEFORE[name]).digest()


@pytest.mark.parametrize("name", ANEW)
def test_what_is_read_anew_has_another_digest(name: str) -> None:
    assert digest_picture(ANEW[name]) != hashlib.sha256(ANEW[name]).digest()
