"""Whether a file is a picture: by its suffix, else by its first bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from featx.files import open_regular

HEAD_BYTES = 256
"""Bytes that are looked at: DICOM states itself at byte 128."""

PICTURE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in [
        "jpg",
        "jpeg",
        "jpe",
        "jfif",
        "jif",
        "png",
        "apng",
        "webp",
        "avif",
        "avifs",
        "gif",
        "tif",
        "tiff",
        "bmp",
        "dib",
        "jp2",
        "j2k",
        "jpf",
        "jpx",
        "jpm",
        "jpc",
        "j2c",
        "ppm",
        "pgm",
        "pbm",
        "pnm",
        "pfm",
        "pam",
        "tga",
        "icb",
        "vda",
        "vst",
        "ico",
        "cur",
        "qoi",
        "pcx",
        "dcx",
        "sgi",
        "rgb",
        "rgba",
        "bw",
        "mpo",
        "heic",
        "heif",
        "hif",
        "jxl",
        "psd",
        "psb",
        "xcf",
        "exr",
        "hdr",
        "dds",
        "icns",
        "jxr",
        "wdp",
        "fits",
        "fit",
        "fts",
        "dcm",
        "dicom",
        "cr2",
        "cr3",
        "crw",
        "nef",
        "nrw",
        "arw",
        "srf",
        "sr2",
        "dng",
        "orf",
        "rw2",
        "raf",
        "pef",
        "raw",
        "3fr",
        "erf",
        "kdc",
        "mrw",
        "x3f",
    ]
)
"""Suffixes of pictures, also of those that featx cannot decode: such a file fails with its reason."""

MAGIC = re.compile(
    rb"\xff\xd8\xff|\x89PNG|GIF8[79]a|RIFF....WEBP|II\*\0|MM\0\*|II\+\0|MM\0\+|II\xbc"  # JPEG to JPEG XR
    rb"|BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0|\0\0[\x01\x02]\0[^\0]\0|qoif|P[1-7fF]\s"  # BMP, ICO, QOI, PNM
    rb"|\0\0\0\x0cjP  |\xff\x4f\xff\x51|\xff\x0a|\0\0\0\x0cJXL |....ftyp(?:avi[fs]|hei[cxms]|hev[cx]|mif1|msf1|crx )"
    rb"|8BPS|\x01\xda|DDS |\x76\x2f\x31\x01|#\?R|icns|gimp xcf|SIMPLE  ="  # PSD to FITS
    rb"|FUJIFILMCCD-RAW|IIRO|IIU\0|MMOR|\0MRM|FOVb|.{6}HEAPCCDR|.{128}DICM",
    re.DOTALL,
)
"""How files of the formats above begin."""

TEXT = re.compile(rb"[\t\n\r\f\x20-\x7e\x80-\xff]*")


def is_picture(path: str) -> bool:
    """Whether a regular file counts as a picture, sound or broken.

    A file whose suffix is that of a picture does, whatever it holds: as a picture it is broken, and named as such. Any
    other file does if it begins like a picture, or if nothing tells what it is: neither a suffix nor text.
    """
    return is_picture_name(path, lambda: read_head(path))


def read_head(path: str) -> bytes:
    """Read the first bytes of a file.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with open(open_regular(path), "rb") as file:
        return file.read(HEAD_BYTES)


def is_picture_name(name: str, read: Callable[[], bytes]) -> bool:
    """Whether a file counts as a picture; its first `HEAD_BYTES`, which `read` gives, are asked for where need be."""
    suffix = find_suffix(name)
    if suffix in PICTURE_SUFFIXES:
        return True
    try:
        head = read()
    except OSError:
        # Nobody can tell: reading it will fail, with the reason.
        return True
    if MAGIC.match(head):
        return True
    return not suffix and TEXT.fullmatch(head) is None


def find_suffix(path: str) -> str:
    """Give the suffix of a file in small letters with its dot; "" if there is none."""
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 - a Path a file is slow at a million files
