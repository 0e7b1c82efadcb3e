"""The digest by which a picture's features are found: sha256 of the file, but for kinds that are read anew.

Features that were computed while floating-point pictures were stretched by their own values must not be found again.
So pictures whose reading has changed have a digest of their own, and all others keep theirs, with all their features.
"""

from __future__ import annotations

from featx.files import digest
from featx.images.depth import read_significant_bits
from featx.images.formats.foreign import describe_raw
from featx.images.formats.tiff import SIGNED, UNSIGNED, read_first_page

READ_ANEW = b"featx reads this by a fixed range\0"
"""What stands before the bytes of such a picture in its digest."""

CANDIDATES = (b"II", b"MM", b"\x89PNG", b"Pf")
"""How the files begin that may be such pictures: TIFF, PNG and PFM."""

PNG_DEPTH_BYTE = 24


def digest_picture(data: bytes) -> bytes:
    """Return the digest of an image file: 32 bytes."""
    return digest(READ_ANEW + data) if is_read_anew(data) else digest(data)


def is_read_anew(data: bytes) -> bool:
    """Whether a picture means something else than before ranges were fixed."""
    if not data.startswith(CANDIDATES):
        return False
    if data.startswith(b"Pf"):
        return True
    if data.startswith(b"\x89PNG"):
        return data[PNG_DEPTH_BYTE : PNG_DEPTH_BYTE + 1] == b"\x10" and read_significant_bits(data) is not None
    page = read_first_page(data)
    if page is None:
        return False
    if describe_raw(data) or page.is_lone_plane_misread:
        return True
    is_other_number = page.sample_format not in (UNSIGNED, SIGNED) or page.bits > 16
    is_signed = page.sample_format == SIGNED
    is_other_range = page.is_inverted or page.stated_range is not None
    return page.is_deep and (is_other_number or is_signed or is_other_range or page.has_deep_planes)
