"""Pictures of more than 8 bits, of several pages, and of kinds that are not read."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.corpus.case import Case
from tests.corpus.making import write
from tests.images.files import Values, encoded, png_of_16_bits, scaled, tiff_of

COUNT = 8

READ = {"/ants": COUNT, "/bees": COUNT}

WHITE_IS_ZERO = {262: (3, (0,))}
PLANES = {284: (3, (2,))}
GREATEST_4095 = {341: (3, (4095,))}


def make_grey(kind: int, number: int) -> Values:
    """Dark or bright noise with the full range in it."""
    grey = np.random.default_rng([kind, number]).integers(0, 120, (20, 24)) + 90 * kind
    grey[0, :2] = 0, 255
    return grey.astype(np.uint8)


def pictures(
    name: str, file: Callable[[Values], bytes], *said: str, suffix: str = "tif", count: int = COUNT, **expected: Any
) -> Case:
    """Dark ants and bright bees, written by `file`; what is said of them, or why they fail."""

    def make(folder: Path) -> None:
        for kind, label in enumerate(("ants", "bees")):
            for number in range(count):
                write(folder / "photos" / label / f"{number}.{suffix}".rstrip("."), file(make_grey(kind, number)))

    return Case(name=name, make=make, pixels_said=said, **{"read": READ, **expected})


def unread(name: str, data: bytes, reason: str, suffix: str) -> Case:
    """Two files of a kind that is not read, each with its own last byte."""
    case = pictures(name, lambda grey: data + grey[5:6].tobytes(), suffix=suffix, count=1)
    failed = tuple(f"photos/{label}/0.{suffix}: {reason}" for label in ("ants", "bees"))
    return Case(
        name=name,
        make=case.make,
        read={},
        failed=failed,
        fitted="none of its 2 images can be read, 'photos/ants/0.",
    )


def colour(grey: Values) -> Values:
    return np.dstack([grey] * 3)


def animated(kind: str, **options: object) -> Callable[[Values], bytes]:
    """Write a picture and, as a second page or frame, its negative."""

    def file(grey: Values) -> bytes:
        first, second = Image.fromarray(grey).convert("RGB"), Image.fromarray(255 - grey).convert("RGB")
        return encoded(first, kind, save_all=True, append_images=[second], **options)

    return file


def in_planes(grey: Values) -> bytes:
    """A TIFF of 16-bit colour whose colours lie one after the other."""
    import tifffile

    file = io.BytesIO()
    planes = np.stack([scaled(grey, 65535)] * 3)
    tifffile.imwrite(file, planes, photometric="rgb", planarconfig="separate")
    return file.getvalue()


def floating_colour(grey: Values) -> bytes:
    """A TIFF of floating-point colour from 0 to 1."""
    return tiff_of(colour((grey / 255).astype(np.float32)))


def heic(grey: Values) -> bytes:
    """A HEIC picture, large enough for its codec."""
    import pillow_heif

    large = np.kron(colour(grey), np.ones((4, 4, 1), np.uint8))
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(large)).save(file)
    return file.getvalue()


def dicom(grey: Values) -> bytes:
    """A DICOM picture of 12 bits."""
    from tests.images.formats.test_dicom import dicom as write_dicom

    return write_dicom(scaled(grey, 4095))


def warning(kind: str, held: str, flag: str) -> str:
    return f"warning: {2 * COUNT} pictures of {kind} {held}: give --value-range {flag}"


SEVERAL = f"note: {2 * COUNT} files hold several pages or frames: the first was read"

RANGED: Mapping[str, Any] = {"flags": ("--value-range", "0:4095")}

DEEP = [
    pictures("8 bits", lambda grey: encoded(Image.fromarray(grey)), suffix="png"),
    pictures("16 bits", lambda grey: png_of_16_bits(scaled(grey, 65535)), suffix="png"),
    pictures(
        "12 bits in 16",
        lambda grey: png_of_16_bits(scaled(grey, 4095)),
        warning("more than 8 bits", "use 0 to 4095 of 0 to 65535", "0:4095"),
        suffix="png",
    ),
    pictures("12 bits with the flag", lambda grey: png_of_16_bits(scaled(grey, 4095)), suffix="png", **RANGED),
    pictures("12 bits that are stated", lambda grey: png_of_16_bits(scaled(grey, 4095), 12), suffix="png"),
    pictures(
        "10 bits in 16",
        lambda grey: tiff_of(scaled(grey, 1023)),
        warning("more than 8 bits", "use 0 to 1023 of 0 to 65535", "0:1023"),
    ),
    pictures("a stated maximum", lambda grey: tiff_of(scaled(grey, 4095), more=GREATEST_4095)),
    pictures("float from 0 to 1", lambda grey: tiff_of((grey / 255).astype(np.float32))),
    pictures(
        "float from 0 to 255",
        lambda grey: tiff_of(grey.astype(np.float32)),
        warning("floating-point numbers", "hold 0 to 255, beyond 0 to 1", "0:255"),
    ),
    pictures(
        "float with the flag",
        lambda grey: tiff_of(grey.astype(np.float32)),
        flags=("--value-range", "0:255"),
    ),
    pictures(
        "float from -1 to 1",
        lambda grey: tiff_of((grey / 127.5 - 1).astype(np.float32)),
        warning("floating-point numbers", "hold -1 to 1, beyond 0 to 1", "-1:1"),
    ),
    pictures(
        "float with NaN",
        lambda grey: tiff_of(np.where(grey == 255, np.nan, grey / 255).astype(np.float32)),
        f"{2 * COUNT} pictures with NaN: NaN was read as black",
    ),
    pictures("signed numbers", lambda grey: tiff_of((grey.astype(np.int16) - 128) * 256)),
    pictures(
        "signed numbers of a scanner",
        lambda grey: tiff_of(grey.astype(np.int16) * 8 - 1024),
        warning("more than 8 bits", "use -1024 to 1016 of -32768 to 32767", "-1024:1016"),
    ),
    pictures("32 bits", lambda grey: tiff_of(grey.astype(np.uint32) * 2**24)),
    pictures("white is 0", lambda grey: tiff_of(scaled(grey, 65535), more=WHITE_IS_ZERO)),
    pictures("a plane of its own", lambda grey: tiff_of(scaled(grey, 65535), ">", {**WHITE_IS_ZERO, **PLANES})),
    pictures("big-endian", lambda grey: tiff_of(scaled(grey, 65535), ">")),
    pictures("colour of 16 bits", lambda grey: png_of_16_bits(colour(scaled(grey, 65535))), suffix="png"),
    pictures(
        "colour of 12 bits in 16",
        lambda grey: tiff_of(colour(scaled(grey, 4095))),
        warning("more than 8 bits", "use 0 to 4095 of 0 to 65535", "0:4095"),
    ),
    pictures("colour of 12 bits with the flag", lambda grey: tiff_of(colour(scaled(grey, 4095))), **RANGED),
    pictures(
        "the flag for 8 bits",
        lambda grey: encoded(Image.fromarray(grey)),
        f"--value-range is for more than 8 bits: {2 * COUNT} pictures of 8 bits were read without it",
        suffix="png",
        **RANGED,
    ),
]

PAGES = [
    pictures("pages", animated("TIFF"), SEVERAL),
    pictures("an animated GIF", animated("GIF"), SEVERAL, suffix="gif"),
    pictures("an animated PNG", animated("PNG"), SEVERAL, suffix="png"),
    pictures("an animated WebP", animated("WEBP", lossless=True), SEVERAL, suffix="webp"),
    pictures("an animated AVIF", animated("AVIF", speed=10), SEVERAL, suffix="avif"),
    pictures("AVIF", lambda grey: encoded(Image.fromarray(grey), "AVIF", speed=10), suffix="avif"),
]

EXTRAS = [
    pictures("HEIC", heic, suffix="heic", needs="pillow_heif"),
    pictures("DICOM", dicom, suffix="dcm", needs="pydicom"),
    pictures("DICOM without suffix", dicom, suffix="", needs="pydicom"),
    pictures("16-bit colours in planes", in_planes, needs="tifffile"),
    pictures("floating-point colour", floating_colour, needs="tifffile", flags=("--value-range", "0:1")),
]

FOREIGN = [
    unread("JPEG XL", b"\xff\x0a", "is a JPEG XL picture: convert it to PNG or JPEG", "jxl"),
    unread("Photoshop", b"8BPS", "is a Photoshop (PSD) picture: export it as PNG or JPEG", "psd"),
    unread("a raw photo", b"II*\0\x10\0\0\0CR\2\0", "is a raw photo (CR2): develop it with a raw converter", "cr2"),
    unread("OpenEXR", b"\x76\x2f\x31\x01", "is an OpenEXR picture: convert it to floating-point grey", "exr"),
    unread("a video called .jpg", b"\0\0\0\x20ftypisom", "is a video (MP4 or MOV): export the pictures", "jpg"),
    unread("a document called .png", b"%PDF-1.4", "is a PDF document: export its pictures as PNG or JPEG", "png"),
    Case(
        name="arrays",
        make=lambda folder: write(folder / "photos/ants/1.npy", b"\x93NUMPY"),
        stops="its class folders hold no images (passed over: 1 file that is not a picture (.npy 1)",
        labelled="there are no images in 'photos'",
    ),
]

RANGES = [*DEEP, *PAGES, *EXTRAS, *FOREIGN]
