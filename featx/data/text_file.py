"""Text files that users wrote: read as UTF-8, and refused in one line where they are something else."""

from __future__ import annotations

import codecs
from pathlib import Path

from featx.errors import DataError

BYTE_ORDER_MARKS = (
    # UTF-32 first: its mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)

OTHER_FILES = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"\x89HDF", "an HDF5 file"),
    (b"PAR1", "a Parquet file"),
)
"""First bytes of files that are no text at all, and what they are."""

MOST_NULS_IN_TEXT = 0.2
"""Share of NUL bytes above which a file is taken for UTF-16 without a mark, where it is nearly a half."""


def read_text(path: str | Path) -> str:
    """Read a text file of UTF-8, with or without a byte order mark.

    Raises
    ------
    DataError
        If it cannot be read or is not UTF-8: with the line, and what to do.
    """
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error
    return decode_text(path, raw)


def decode_text(path: str | Path, raw: bytes) -> str:
    """Decode the bytes of a text file as `read_text` does; `path` names it.

    Raises
    ------
    DataError
        If they are not UTF-8.
    """
    check_encoding(path, raw)
    try:
        # utf-8-sig: Excel begins its files with a byte order mark, which would be part of the first name in them.
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte = raw[error.start]
        raise DataError(
            f"'{path}', line {line}: byte 0x{byte:02x} is not UTF-8 "
            f"(in Latin-1 it is '{chr(byte)}'): save the file as UTF-8"
        ) from error


def check_encoding(path: str | Path, raw: bytes) -> None:
    """Refuse what is no text, and text of another kind than UTF-8 that its bytes give away.

    Raises
    ------
    DataError
        If it is either.
    """
    for start, kind in OTHER_FILES:
        if raw.startswith(start):
            raise DataError(f"'{path}' is {kind}, not a text file: export it as text in UTF-8")
    for mark, encoding in BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            raise DataError(f"'{path}', line 1: the file is {encoding}: save it as UTF-8")
    nuls = raw.count(0)
    if not nuls:
        return
    if nuls > MOST_NULS_IN_TEXT * len(raw):
        raise DataError(f"'{path}', line 1: the file looks like UTF-16: save it as UTF-8")
    line = raw.count(b"\n", 0, raw.index(0)) + 1
    raise DataError(f"'{path}', line {line}: there is a NUL byte, so the file is damaged: save it anew as UTF-8")
