"""Kinds of pictures that are not read, told by their first bytes, each with what to do about it."""

from __future__ import annotations

import importlib.util

from featx.images.formats.tiff import DNG_VERSION, NEW_SUBFILE_TYPE, SUB_IFDS, read_first_page

HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"}
"""Brands of the ISO base media format (ISO 23008-12) under which HEVC pictures come."""

GENERAL_BRANDS = {b"mif1", b"msf1"}
"""Brands of any picture in such a container; the compatible brands say which."""

AVIF_BRANDS = {b"avif", b"avis"}
VIDEO_BRANDS = (b"iso", b"mp4", b"qt  ", b"M4V", b"3gp", b"avc1", b"mp7")

TO_PNG = "convert it to PNG or JPEG"
DEVELOP = "develop it with a raw converter and export it as JPEG, PNG or TIFF"
TO_TIFF = "convert it to floating-point grey or 16-bit TIFF"

SIGNATURES: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\xff\x0a", "a JPEG XL picture", TO_PNG),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "a JPEG XL picture", TO_PNG),
    (0, b"8BPS", "a Photoshop (PSD) picture", "export it as PNG or JPEG"),
    (0, b"gimp xcf", "a GIMP (XCF) picture", "export it as PNG or JPEG"),
    (4, b"ftypcrx ", "a raw photo (CR3)", DEVELOP),
    (0, b"FUJIFILMCCD-RAW", "a raw photo (RAF)", DEVELOP),
    (0, b"FOVb", "a raw photo (X3F)", DEVELOP),
    (0, b"IIRO", "a raw photo (ORF)", DEVELOP),
    (0, b"IIRS", "a raw photo (ORF)", DEVELOP),
    (0, b"MMOR", "a raw photo (ORF)", DEVELOP),
    (0, b"IIU\x00", "a raw photo (RW2)", DEVELOP),
    (0, b"II\xbc", "a JPEG XR picture", TO_PNG),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture", TO_TIFF),
    (0, b"#?RADIANCE", "a Radiance HDR picture", TO_TIFF),
    (0, b"#?RGBE", "a Radiance HDR picture", TO_TIFF),
    (0, b"SIMPLE  =", "a FITS picture", TO_TIFF),
    (0, b"AT&TFORM", "a DjVu document", TO_PNG),
    (0, b"FLIF", "a FLIF picture", TO_PNG),
    (0, b"\x1a\x45\xdf\xa3", "a video (Matroska or WebM)", "export the pictures that you need"),
    (0, b"%PDF-", "a PDF document", "export its pictures as PNG or JPEG"),
)
"""Place, bytes, name and what to do."""


def has_package(name: str) -> bool:
    """Whether an optional package is installed."""
    return importlib.util.find_spec(name) is not None


def is_heic(data: bytes) -> bool:
    """Whether a file is an HEVC picture in an ISO container."""
    if data[4:8] != b"ftyp":
        return False
    brands = read_brands(data)
    if brands[0] in HEIC_BRANDS:
        return True
    return brands[0] in GENERAL_BRANDS and not AVIF_BRANDS & set(brands)


def read_brands(data: bytes) -> list[bytes]:
    """List the major brand of an ISO container and its compatible ones."""
    end = min(int.from_bytes(data[:4], "big"), 256)
    return [data[8:12], *(data[place : place + 4] for place in range(16, end, 4))]


def is_dicom(data: bytes) -> bool:
    """Whether a file is DICOM (PS3.10: 128 bytes of anything, then its name)."""
    return data[128:132] == b"DICM"


def describe_foreign(data: bytes) -> str | None:
    """Say what a file is that is not read, and what to do; None if nothing is known against it."""
    for place, signature, name, advice in SIGNATURES:
        if data.startswith(signature, place):
            return f"is {name}: {advice}"
    if is_heic(data):
        return None if has_package("pillow_heif") else "is a HEIC picture: pip install 'featx[heif]'"
    if data[4:8] == b"ftyp" and data[8:12].startswith(VIDEO_BRANDS):
        return "is a video (MP4 or MOV): export the pictures that you need"
    if is_dicom(data):
        return None if has_package("pydicom") else "is a DICOM picture: pip install 'featx[dicom]'"
    return describe_raw(data)


def describe_raw(data: bytes) -> str | None:
    """Say that a TIFF is a raw photo: its first page is a small preview, which must not pass for the photo."""
    if data[:2] not in (b"II", b"MM"):
        return None
    if data[8:10] == b"CR" and data[:4] == b"II*\0":
        return f"is a raw photo (CR2): {DEVELOP}"
    page = read_first_page(data)
    if page is None:
        return None
    if DNG_VERSION in page.tags:
        return f"is a raw photo (DNG): {DEVELOP}"
    if SUB_IFDS not in page.tags or not page.make:
        return None
    kinds = {"NIKON": "NEF", "SONY": "ARW", "PENTAX": "PEF", "SAMSUNG": "SRW"}
    for make, kind in kinds.items():
        if page.make.startswith(make):
            return f"is a raw photo ({kind}): {DEVELOP}"
    # Other makers: a first page that calls itself a reduced version of another one.
    return f"is a raw photo: {DEVELOP}" if page.first(NEW_SUBFILE_TYPE, 0) & 1 else None


def describe_unread_tiff(data: bytes) -> str:
    """Say what a TIFF is that Pillow does not read (see `tiff_arrays`), and what to do."""
    page = read_first_page(data)
    name = "a TIFF" if page is None else page.description
    return f"{name}: pip install 'featx[tiff]', or save it as 8 or 16 bits, or as grey"
