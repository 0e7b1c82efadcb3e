"""From the bytes of an image file to an RGB picture, with one policy for everything that can be odd or broken."""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cache

from PIL import AvifImagePlugin, Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from featx.errors import FeatxError
from featx.images.decoding_process import PICTURE_SECONDS, PROCESSES, Decoded, NeedsMemory, NotDecoded, TookTooLong
from featx.images.depth import Depth, find_depth, needs_low_bytes, to_8_bits
from featx.images.formats import jpeg
from featx.images.formats.dicom import DicomPicture, open_dicom
from featx.images.formats.file_structure import is_plain
from featx.images.formats.foreign import describe_foreign, describe_unread_tiff, has_package, is_dicom, is_heic
from featx.images.formats.tiff import ORIENTATION, declare_contiguous, read_first_page
from featx.images.formats.tiff_arrays import TiffArray, is_tiff_array, open_tiff_array
from featx.images.formats.tiff_layout import read_layout
from featx.images.memory_budget import MANY_BLOCKS, FreedMemory, MemoryBudget, keep_freed_memory
from featx.images.upright import find_upright_box, note_shown_box, to_rgb, turn_upright
from featx.keys import ValueRange

FORMATS = (
    *("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "DIB", "JPEG2000"),
    *("PPM", "TGA", "ICO", "QOI", "PCX", "SGI"),
)
"""Formats that are read. Pillow knows others, but some of them start programs (EPS) or hold pictures in pictures."""

DECODING_MEMORY = 820_000_000
"""Bytes that all pictures being decoded at one time may take together, in however many threads."""

BYTES_PER_PIXEL = 8
BYTES_PER_PIXEL_OF = {"WEBP": 22, "JPEG2000": 25, "AVIF": 16, "TIFF": 14, "HEIF": 22}
"""What decoding takes at its peak, conversion to RGB included: in general, and by format."""

MAX_PIXELS = DECODING_MEMORY // BYTES_PER_PIXEL
"""More pixels (102 million) are refused before they are decoded, in pictures within a file, too."""

MAX_SLOW_PIXELS = {"QOI": 2**20}
"""Formats that Pillow decodes in plain Python, some microseconds a pixel."""

LINE_BYTES_PER_PIXEL = 16
"""What decoders take beside that: of PNG two lines of up to 8 bytes a pixel."""

LINE_BYTES = 24
"""What each line of a picture takes, however short: pointers to it, in up to three pictures at a time."""

RGB_BYTES_IN_MEMORY = 4
"""Bytes of a pixel of a decoded picture."""

FIRST_SHARE = 2**26
FIRST_SHARE_PER_BYTE = 20
"""What a process gets to open a file and to decode a small picture, before it is known what it takes."""

SPARE_MEMORY = 2**26
"""What a process gets beyond what a picture takes."""

LOW_BYTES_PER_PIXEL = 8
"""What the lower bytes of 16-bit colour take beside that, where the upper ones are not enough, and their result."""

# Pillow asks these when a picture lies within a picture, where no size can be seen from outside (ICO, TIFF, GIF). It
# warns from MAX_IMAGE_PIXELS on, and refuses from twice as many.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
# Compressed texts in PNG files are decompressed while the file is opened: a bomb of its own.
PngImagePlugin.MAX_TEXT_MEMORY = 2**24
# Warnings about odd metadata would appear once for each file; what matters raises an error.
warnings.filterwarnings("ignore", module=r"PIL\.")

DECODING_BUDGET = MemoryBudget(DECODING_MEMORY)
"""What all threads of this process share while they decode."""

FREED_MEMORY = FreedMemory()

LARGE_SHARE = 2**26
"""Bytes from which on a picture looks for memory that other threads have freed and not returned."""


class BrokenImage(FeatxError, ValueError):
    """Bytes that are not an image, or an image that is damaged or too large."""


@contextmanager
def decoding(
    data: bytes,
    value_range: ValueRange | None = None,
    allowed: int = DECODING_MEMORY,
    least_side: int | None = None,
) -> Iterator[Decoded]:
    """Decode an image file as `decode` does, and keep its share of the memory until the picture has been used.

    Parameters
    ----------
    data : bytes
        The whole file, in any of `FORMATS`, HEIC or DICOM.
    value_range : pair of float, optional
        Values that mean black and white in a picture of more than 8 bits.
    allowed : int
        Bytes that it may take; fewer than all only where somebody else decodes what takes more.
    least_side : int, optional
        Pixels that are left at least of the shorter side of a JPEG that is decoded at a part of its size; by default
        it is decoded as it is.

    Raises
    ------
    BrokenImage
        With a reason that can be shown to the user.
    NeedsMemory
        If it takes more, or may take more since its size does not tell.
    """
    if not data:
        raise BrokenImage("empty file")
    if foreign := describe_foreign(data):
        raise BrokenImage(foreign)
    with raising_broken_image():
        data = declare_contiguous(data)
        is_array = is_tiff_array(data)
        is_apart = is_array or not is_plain(data)
    if is_array and not has_package("tifffile"):
        raise BrokenImage(describe_unread_tiff(data))
    if is_apart:
        check_share(DECODING_MEMORY, allowed)
        with decoding_apart(data, value_range, least_side) as decoded:
            yield decoded
        return
    opened, depth, jpeg_side = open_picture(data, least_side)
    with opened, holding(check_share(check_size(opened, data, depth, value_range), allowed)):
        try:
            with raising_broken_image():
                decoded = read_picture(opened, depth, data, value_range)
        # Pixels must not live longer than their share of the memory, in tracebacks or beside their RGB copy.
        except BrokenImage:
            opened.close()
            raise
        if decoded.picture is not opened:
            opened.close()
        yield replace(decoded, jpeg_side=jpeg_side)


@contextmanager
def holding(needed: int) -> Iterator[None]:
    """Keep a share of the memory for decoding; for a large one, return to the system what others have freed."""
    if needed >= MANY_BLOCKS:
        keep_freed_memory()
    watched = FREED_MEMORY.kept_low(needed, DECODING_BUDGET) if needed >= LARGE_SHARE else nullcontext()
    with DECODING_BUDGET.hold(needed), watched:
        yield


@contextmanager
def decoding_apart(data: bytes, value_range: ValueRange | None, least_side: int | None = None) -> Iterator[Decoded]:
    """Decode a file in another process, as `decoding` does: its size does not tell what that takes."""
    allowed = min(FIRST_SHARE + FIRST_SHARE_PER_BYTE * len(data), DECODING_MEMORY)
    seconds_left = PICTURE_SECONDS
    while True:
        with holding(allowed + len(data)):
            started = time.monotonic()
            try:
                with PROCESSES.take() as process:
                    started = time.monotonic()
                    decoded = process.decode(data, value_range, allowed, seconds_left, least_side)
            except NeedsMemory as error:
                needed = error.needed + SPARE_MEMORY
            except NotDecoded as error:
                # Decoders word a lack of memory as they like.
                needed = DECODING_MEMORY
                if allowed >= DECODING_MEMORY or isinstance(error, TookTooLong):
                    raise BrokenImage(str(error)) from error
            else:
                yield decoded
                return
        # Waiting for memory or for a process does not count.
        seconds_left = max(seconds_left - (time.monotonic() - started), 0.0)
        allowed = min(max(needed, allowed + 1), DECODING_MEMORY)


def decode_within(data: bytes, value_range: ValueRange | None, allowed: int, least_side: int | None = None) -> Decoded:
    """Decode a file with so many bytes of memory, in a process of its own.

    Raises
    ------
    NeedsMemory
        If it takes more.
    BrokenImage
        With a reason that can be shown to the user.
    """
    # Threads count as memory, and as many pictures are decoded at a time as there are cores.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    if is_dicom(data):
        return decode_array(open_dicom, data, value_range, allowed)
    if is_tiff_array(data):
        return decode_array(open_tiff_array, data, value_range, allowed)
    opened, depth, jpeg_side = open_picture(data, least_side)
    with opened, raising_broken_image():
        check_share(check_size(opened, data, depth, value_range), allowed)
        return replace(read_picture(opened, depth, data, value_range), jpeg_side=jpeg_side)


def decode_array(
    open_header: Callable[[bytes], DicomPicture | TiffArray], data: bytes, value_range: ValueRange | None, allowed: int
) -> Decoded:
    """Decode a picture that another library than Pillow reads as an array, as `decode_within` does."""
    with raising_broken_image():
        header = open_header(data)
        needed = header.count_bytes()
        if needed > DECODING_MEMORY:
            raise BrokenImage(describe_too_large(header.width, header.height, needed))
        check_share(needed, allowed)
        picture, use = header.read(value_range)
        upright = turn_upright(picture, header.orientation)
        return Decoded(to_rgb(upright), use, has_further_tiff_pages(data))


def check_share(needed: int, allowed: int) -> int:
    """Give back the bytes that a picture takes; raise NeedsMemory if it may not, unless that is all there is."""
    if needed > allowed and allowed < DECODING_MEMORY:
        raise NeedsMemory(needed)
    return needed


def open_picture(data: bytes, least_side: int | None) -> tuple[Image.Image, Depth | None, int]:
    """Open a file without decoding its pixels, and say how they are to be read.

    Returns
    -------
    PIL.Image.Image
        A JPEG of its scaled size, if least_side lets it be scaled.
    Depth or None
    int
        Pixels of the shorter side of a JPEG as it lies in the file; 0 of other kinds.

    Raises
    ------
    BrokenImage
        If it cannot be opened.
    """
    with raising_broken_image():
        opened = Image.open(io.BytesIO(data), formats=list_formats(data))
        depth = find_depth(opened, data)
        jpeg_side = jpeg.measure_side(opened)
        jpeg.scale_down(opened, least_side)
        return opened, depth, jpeg_side


def decode(data: bytes, value_range: ValueRange | None = None, least_side: int | None = None) -> Image.Image:
    """Decode an image file: first page or frame, turned upright as its EXIF data say, as RGB.

    Pictures of more than 8 bits are scaled by a fixed range (Pillow alone clips grey at 255, nearly white): that of the
    user, else the one that the file states, else 0 to 65535, or 0 to 1 of floating-point numbers. Transparency is
    dropped, as torchvision's image folders do.

    Parameters
    ----------
    data : bytes
        The whole file, in any of `FORMATS`, HEIC or DICOM.
    value_range : pair of float, optional
        Values that mean black and white in a picture of more than 8 bits.
    least_side : int, optional
        As for `decoding`.

    Returns
    -------
    PIL.Image.Image
        Mode RGB.

    Raises
    ------
    BrokenImage
        With a reason that can be shown to the user.
    """
    with decoding(data, value_range, least_side=least_side) as decoded:
        return decoded.picture


def list_formats(data: bytes) -> tuple[str, ...]:
    """List the formats that Pillow may open a file as: HEIC only where it is one, since its decoder is an extra."""
    if not is_heic(data):
        return FORMATS
    register_heif()
    return ("HEIF",)


@cache
def register_heif() -> None:
    """Teach Pillow to open HEIC."""
    if has_package("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False)


def read_picture(opened: Image.Image, depth: Depth | None, data: bytes, value_range: ValueRange | None) -> Decoded:
    """Load an opened picture, bring it to 8 bits, turn it upright, and make it RGB."""
    opened.load()  # once only: a second load of a truncated file can succeed without a word
    box = find_upright_box(opened)
    picture = opened
    use = None
    if depth is not None:
        picture, use = to_8_bits(depth, opened, data, value_range)
    if picture is opened:
        ImageOps.exif_transpose(opened, in_place=True)
    else:
        picture = turn_upright(picture, opened.getexif().get(ORIENTATION, 1))
    rgb = to_rgb(picture)
    note_shown_box(rgb, box)
    return Decoded(rgb, use, has_more_pages(opened, data))


def has_further_tiff_pages(data: bytes) -> bool:
    """Whether a TIFF holds more pages than the first; no other file does."""
    page = read_first_page(data)
    return page is not None and page.has_more_pages


def has_more_pages(opened: Image.Image, data: bytes) -> bool:
    """Whether a file holds more pages or frames than the first."""
    if opened.format == "TIFF":
        return has_further_tiff_pages(data)
    try:
        return bool(getattr(opened, "is_animated", False))
    except Exception:  # whatever is wrong with the second frame, the first one is sound
        return False


@contextmanager
def raising_broken_image() -> Iterator[None]:
    """Turn whatever a decoder raises into BrokenImage."""
    try:
        yield
    except (BrokenImage, NeedsMemory):
        raise
    except MemoryError:
        raise BrokenImage("not enough memory to decode it") from None
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error, IndexError ...
        raise BrokenImage(describe_decoder_error(error)) from error


def describe_decoder_error(error: Exception) -> str:
    """Say in a few words why a decoder gave up."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or of an unknown format"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than the {MAX_PIXELS / 1e6:.0f} million pixels that are decoded"
    return str(error).strip().rstrip(".") or type(error).__name__


def check_size(
    image: Image.Image, data: bytes = b"", depth: Depth | None = None, value_range: ValueRange | None = None
) -> int:
    """Estimate the bytes that decoding takes, from the header alone.

    Raises
    ------
    BrokenImage
        If they are more than `DECODING_MEMORY`, or a slow format has more pixels than `MAX_SLOW_PIXELS`.
    """
    width, height = image.size
    kind = image.format or ""
    bytes_per_pixel = estimate_bytes_per_pixel(image)
    if depth is not None and needs_low_bytes(depth, value_range):
        bytes_per_pixel += LOW_BYTES_PER_PIXEL
    scale = jpeg.find_scale(image)
    needed = width * height * bytes_per_pixel + width * scale * LINE_BYTES_PER_PIXEL + height * scale * LINE_BYTES
    if scale > 1:
        needed += jpeg.count_coefficient_bytes(image, data)
    if kind == "TIFF":
        needed = max(needed, width * height * RGB_BYTES_IN_MEMORY + measure_tile(data))
    if needed > DECODING_MEMORY:
        raise BrokenImage(describe_too_large(width, height, needed))
    if width * height * scale**2 > MAX_SLOW_PIXELS.get(kind, MAX_PIXELS):
        raise BrokenImage(f"{width} x {height} pixels of {kind} would take too long to decode: convert it to PNG")
    return needed


def measure_tile(data: bytes) -> int:
    """Count the bytes of a TIFF's tile or strip, which may be larger than the picture."""
    layout = read_layout(data)
    return layout.tile_bytes if layout is not None else 0


def describe_too_large(width: int, height: int, needed: int) -> str:
    """Say that a picture takes more memory than there is for all."""
    return (
        f"{width} x {height} pixels would take {needed / 1e9:.1f} GB to decode, "
        f"more than {DECODING_MEMORY / 1e9:.2f} GB"
    )


def estimate_bytes_per_pixel(image: Image.Image) -> int:
    """Say how many bytes a pixel takes while its format is decoded."""
    if jpeg.is_jpeg(image):
        return jpeg.count_bytes_per_pixel(image)
    return BYTES_PER_PIXEL_OF.get(image.format or "", BYTES_PER_PIXEL)
