"""Images that a caller names one by one or holds in memory, as a listing without labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TypeGuard

import numpy as np
from PIL import Image, ImageOps

from featx.data.listing import Listing
from featx.data.sources import is_system_file, read_file, walk
from featx.errors import DataError, shorten
from featx.images.decode import to_rgb
from featx.types import Pixels

Picture = Image.Image | Pixels
"""An image in memory: of any mode, or (height, width, 3) uint8 in RGB."""


class GivenImages:
    """Reads files, and pictures in memory as the files that they would be.

    Parameters
    ----------
    pictures : dict of str to Picture
        Pictures by the name that stands in the place of a path; every other path is a file.
    """

    def __init__(self, pictures: dict[str, Picture]) -> None:
        self.pictures = pictures
        self._lock = Lock()

    def read(self, path: str) -> bytes:
        """Read one image.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        if path not in self.pictures:
            return read_file(path)
        # Pillow loads an opened file at its first use, and one picture may have been given twice.
        with self._lock:
            return write_ppm(self.pictures[path])


def write_ppm(picture: Picture) -> bytes:
    """Write a picture as a PPM file: its size and its RGB pixels as they are, upright.

    So pictures in memory are decoded, digested and counted like any file.

    Raises
    ------
    OSError
        If the picture is of an opened file that cannot be decoded.
    """
    if isinstance(picture, Image.Image):
        try:
            rgb = to_rgb(ImageOps.exif_transpose(picture))
        except (ValueError, SyntaxError) as error:  # what decoders raise beside OSError
            raise OSError(str(error)) from error
        width, height = rgb.size
        pixels = rgb.tobytes()
    else:
        height, width = picture.shape[:2]
        pixels = picture.tobytes()
    return b"P6 %d %d 255\n" % (width, height) + pixels


def list_given_images(images: Sequence[object]) -> Listing:
    """List images in the order in which they are given, each file once.

    Parameters
    ----------
    images : sequence of str, pathlib.Path, PIL.Image.Image or (height, width, 3) uint8
        A folder stands for every file below it, but for side files of operating systems. A picture in memory is
        called "image I", by its place in the sequence.

    Raises
    ------
    DataError
        If there is no image, or something is neither a path nor a picture.
    """
    paths: list[str] = []
    pictures: dict[str, Picture] = {}
    problems: list[str] = []
    for number, image in enumerate(images):
        name = f"image {number}"
        if isinstance(image, str | Path):
            paths += list_files(str(image))
        elif isinstance(image, Image.Image) or is_rgb_array(image):
            paths.append(name)
            pictures[name] = image
        else:
            problems.append(f"{name} is {describe_object(image)}")
    if problems:
        raise DataError(f"{shorten(problems, 3)}: give paths, PIL images or uint8 arrays of (height, width, 3)")
    if not paths:
        named = shorten(repr(str(image)) for image in images)
        raise DataError(f"there are no images in {named or 'an empty list'}")
    paths = list(dict.fromkeys(paths))
    no_labels = [""] * len(paths)
    return Listing("images", paths, no_labels, no_labels, GivenImages(pictures).read)


def list_files(path: str) -> list[str]:
    """List a file as it is named, or all files below a folder."""
    if not Path(path).is_dir():
        return [path]
    return [file for file in walk(path) if not is_system_file(Path(file).name)]


def is_rgb_array(image: object) -> TypeGuard[Pixels]:
    """Whether an object is an array of (height, width, 3) uint8."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        return False
    return image.ndim == 3 and image.shape[2] == 3 and image.size > 0


def describe_object(image: object) -> str:
    """Say what was given instead of an image."""
    if isinstance(image, np.ndarray):
        return f"an array of shape {image.shape} and dtype {image.dtype}"
    return f"of type {type(image).__name__}"
