"""The built-in data set `digits`: 1,797 handwritten digits that come with scikit-learn, as PNG files in memory.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (the test part), 8 x 8 pixels.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.data.listing import Listing

MARGIN = 2
TEST_EVERY = 4


@cache
def load() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read scikit-learn's copy without importing scikit-learn's data sets (which takes seconds).

    Returns
    -------
    pixels : (1797, 8, 8) uint8
        Ink from 0 to 16.
    labels : (1797,) int64
    """
    raw = gzip.decompress((files("sklearn.datasets") / "data" / "digits.csv.gz").read_bytes())
    table = np.array(list(csv.reader(io.StringIO(raw.decode()))), dtype=np.float64)
    return table[:, :-1].reshape(-1, 8, 8).astype(np.uint8), table[:, -1].astype(np.int64)


def splits(labels: NDArray[np.int64]) -> list[str]:
    """Hold out every fourth image of each digit: fixed, stratified, the same for ever."""
    seen = dict.fromkeys(range(10), 0)
    parts = []
    for label in labels.tolist():
        seen[label] += 1
        parts.append("test" if seen[label] % TEST_EVERY == 0 else "train")
    return parts


@cache
def encoded() -> Mapping[str, bytes]:
    """Encode every digit as a PNG of 12 x 12 pixels, light on black with a margin, by name (`digits/7/0123.png`)."""
    pixels, labels = load()
    images = {}
    for row, (ink, label) in enumerate(zip(pixels, labels.tolist(), strict=True)):
        picture = Image.fromarray(np.pad(np.rint(ink * (255 / 16)).astype(np.uint8), MARGIN))
        file = io.BytesIO()
        picture.save(file, "PNG", compress_level=1)
        images[f"digits/{label}/{row:04}.png"] = file.getvalue()
    return images


def listing(name: str) -> Listing:
    """List the digits; their bytes are made on the first read."""
    _, labels = load()
    paths = [f"digits/{label}/{row:04}.png" for row, label in enumerate(labels.tolist())]
    return Listing(name, paths, [str(n) for n in labels], splits(labels), lambda path: encoded()[path], on_disk=False)
