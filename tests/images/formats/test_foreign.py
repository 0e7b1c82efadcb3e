from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from featx.images.decode import BrokenImage, decode
from featx.images.formats import foreign
from tests.images.files import encoded, tiff_of

SMALL = np.zeros((4, 4, 3), np.uint8)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50)
DICOM = bytes(128) + b"DICM" + bytes(50)

KINDS = {
    "JPEG XL": b"\xff\x0a" + bytes(99),
    "JPEG XL picture: convert": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99),
    "PSD": b"8BPS" + bytes(99),
    "CR2": b"II*\0\x10\0\0\0CR\2\0" + bytes(99),
    "CR3": b"\0\0\0\x18ftypcrx " + bytes(99),
    "RAF": b"FUJIFILMCCD-RAW " + bytes(99),
    "DNG": tiff_of(SMALL, more={50706: (2, (1, 4, 0, 0))}),
    "NEF": tiff_of(SMALL, more={271: (2, tuple(b"NIKON CORPORATION\0")), 330: (4, (8,))}),
    "ARW": tiff_of(SMALL, more={271: (2, tuple(b"SONY\0")), 330: (4, (8,))}),
    "OpenEXR": b"\x76\x2f\x31\x01" + bytes(99),
    "video": b"\0\0\0\x14ftypisom" + bytes(99),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_not_read_is_named_with_what_to_do(name: str) -> None:
    with pytest.raises(BrokenImage, match=rf"{name}.*: (convert|export|develop|save)|{name}"):
        decode(KINDS[name])


def test_a_tiff_that_an_extra_reads_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featx.images.decode.has_package", lambda package: False)
    words = r"a TIFF of 3 x 32 bits \(floating-point\): pip install 'featx\[tiff\]', or save it"
    with pytest.raises(BrokenImage, match=words):
        decode(tiff_of(SMALL.astype(np.float32)))


@pytest.mark.parametrize(("data", "name"), [(HEIC, "HEIC"), (DICOM, "DICOM")])
def test_what_an_extra_reads_is_named_with_the_extra(data: bytes, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "has_package", lambda package: False)
    extra = {"HEIC": "heif", "DICOM": "dicom"}[name]
    with pytest.raises(BrokenImage, match=rf"is a {name} picture: pip install 'featx\[{extra}\]'"):
        decode(data)


def test_heic_is_read_with_its_extra() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), (200, 30, 30))).save(file)
    picture = decode(file.getvalue())
    assert picture.size == (64, 48)
    assert np.abs(np.asarray(picture).astype(int) - [200, 30, 30]).max() < 8


@pytest.mark.parametrize("kind", ["AVIF", "TIFF", "PNG"])
def test_pictures_that_are_read_are_not_foreign(kind: str) -> None:
    assert foreign.describe_foreign(encoded(Image.fromarray(SMALL), kind)) is None
