"""The built-in data set `digits`: 1,797 handwritten digits that come with scikit-learn, as PNG files in memory.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (the test part), 8 x 8 pixels.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.data.listing import Listing
from featx.data.sources.image_files import MemoryFiles
from featx.errors import DataError

BORDER = 2
"""Black pixels around a digit, which fills its 8 x 8 pixels to the edge: convolutions see little of edges."""

MOST_INK = 16
"""Value of a pixel that is all ink: the digits were counted down from 32 x 32 in black and white, 4 x 4 to a pixel."""

TEST_EVERY = 4


NAMES = ("digits", "builtin:digits")
"""How DATA may name this data set; the second also where a folder of the first name exists."""


def is_digits(data: str) -> bool:
    """Whether DATA names this data set.

    Raises
    ------
    DataError
        If it may as well name a file or folder.
    """
    if data == NAMES[0] and os.path.lexists(data):
        kind = "folder" if Path(data).is_dir() else "file"
        raise DataError(
            f"'{data}' is the name of the built-in data set and of a {kind} here: "
            f"write './{data}' for the {kind}, or 'builtin:{data}' for the built-in data set"
        )
    return data in NAMES


def list_digits(data: str) -> Listing:
    """List the digits, which need no download; their bytes are made on the first read."""
    _, labels = load_digits()
    paths = [name_digit(row, label) for row, label in enumerate(labels.tolist())]
    names = [str(label) for label in labels]
    return Listing(data, paths, names, assign_splits(labels), MemoryFiles(read_digit))


def name_digit(row: int, label: int) -> str:
    """Make the path that a digit would have in a class folder: `digits/7/0123.png`."""
    return f"digits/{label}/{row:04}.png"


def read_digit(path: str) -> bytes:
    """Give the PNG file of a digit by its path."""
    return encode_digits()[path]


@cache
def load_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read scikit-learn's copy without importing scikit-learn's data sets (which takes seconds).

    Returns
    -------
    pixels : (1797, 8, 8) uint8
        Ink from 0 to 16.
    labels : (1797,) int64
    """
    raw = gzip.decompress((files("sklearn.datasets") / "data" / "digits.csv.gz").read_bytes())
    rows = list(csv.reader(io.StringIO(raw.decode())))
    table = np.array(rows, dtype=np.float64)
    pixels = table[:, :-1].reshape(-1, 8, 8).astype(np.uint8)
    labels = table[:, -1].astype(np.int64)
    return pixels, labels


def assign_splits(labels: NDArray[np.int64]) -> list[str]:
    """Hold out every fourth image of each digit: fixed, stratified, the same for ever."""
    counts = dict.fromkeys(range(10), 0)
    splits = []
    for label in labels.tolist():
        counts[label] += 1
        is_held_out = counts[label] % TEST_EVERY == 0
        splits.append("test" if is_held_out else "train")
    return splits


@cache
def encode_digits() -> Mapping[str, bytes]:
    """Encode every digit as a PNG file, by its path."""
    pixels, labels = load_digits()
    encoded = {}
    for row, (ink, label) in enumerate(zip(pixels, labels.tolist(), strict=True)):
        encoded[name_digit(row, label)] = encode_digit(ink)
    return encoded


def encode_digit(ink: NDArray[np.uint8]) -> bytes:
    """Encode a digit as a PNG of 12 x 12 pixels, light on black with a border; (8, 8) ink from 0 to 16."""
    light = np.rint(ink * (255 / MOST_INK)).astype(np.uint8)
    file = io.BytesIO()
    # The level of compression is part of the bytes, and so of the digests under which features are stored.
    Image.fromarray(np.pad(light, BORDER)).save(file, "PNG", compress_level=1)
    return file.getvalue()
