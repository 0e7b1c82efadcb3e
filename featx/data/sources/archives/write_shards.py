"""Writes images that lie in memory or in a Torch data set as tar shards, which are then DATA like any other."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from featx.data.given_images import describe_object, is_picture_array, write_ppm
from featx.data.listing import find_split
from featx.data.sources.archives.shards import TAR_SUFFIX
from featx.data.sources.image_files import read_file
from featx.errors import DataError, StoreError, first_line
from featx.files import atomic_file

CHANNELS = (1, 3)
"""First axis of a picture as Torch has it."""


class LabelledFile(NamedTuple):
    """An image as a file, with its label and the suffix of its name."""

    data: bytes
    label: str
    suffix: str


def write_shards(
    images: Any, out: Path, labels: Sequence[Any] | None = None, classes: Sequence[str] | None = None
) -> Path:
    """Write labelled images as one shard, or as one for each split.

    Parameters
    ----------
    images : sequence or iterable of (picture, label), or mapping of str to such
        A data set of Torch is one. With `labels`, pictures alone. A mapping gives one for each split.
    out : pathlib.Path
        A file whose name ends in `.tar`; for splits, a folder.
    labels : sequence, optional
        The label of each picture.
    classes : sequence of str, optional
        Names of labels that are numbers; by default what the data set itself calls `classes`.

    Returns
    -------
    pathlib.Path
        `out`, to be given as DATA.

    Raises
    ------
    DataError
        If something is no picture or has no label, or a split has a name that is not known.
    StoreError
        If a shard cannot be written; one that was there stays as it was.
    """
    if isinstance(images, Mapping):
        unknown = [repr(name) for name in images if find_split(str(name)) is None]
        if unknown or labels is not None:
            raise DataError(f"the splits are {', '.join(map(repr, images))}: name them train, val or test, with labels")
        for split, of_split in images.items():
            write_shard(list_files(of_split, None, classes), out / f"{split}{TAR_SUFFIX}")
        return out
    if out.suffix.lower() != TAR_SUFFIX:
        raise DataError(f"'{out}' must end in {TAR_SUFFIX}")
    write_shard(list_files(images, labels, classes), out)
    return out


def write_shard(files: Iterable[LabelledFile], out: Path) -> None:
    """Write a shard: the same images give the same bytes.

    Raises
    ------
    DataError
        As the images do.
    StoreError
        If it cannot be written.
    """
    try:
        with (
            atomic_file(out) as (handle, _),
            os.fdopen(os.dup(handle), "wb") as file,
            tarfile.open(fileobj=file, mode="w") as shard,
        ):
            for number, image in enumerate(files):
                add_member(shard, f"{number:08}{image.suffix}", image.data)
                add_member(shard, f"{number:08}.cls", image.label.encode())
    except OSError as error:
        raise StoreError(f"'{out}' cannot be written: {error.strerror or error}") from error


def add_member(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a member without time or owner."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    shard.addfile(info, io.BytesIO(data))


def list_files(images: Any, labels: Sequence[Any] | None, classes: Sequence[str] | None) -> Iterator[LabelledFile]:
    """Yield images as files; those of a data set that reads them from files are these files.

    Raises
    ------
    DataError
        If something is no picture, has no label, or cannot be read.
    """
    names = find_classes(images) if classes is None else classes
    samples = getattr(images, "samples", None)
    pairs: Iterator[Any] = pair_labels(images, labels) if samples is None or labels is not None else iter(samples)
    for number, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise DataError(f"image {number} is {describe_object(pair)}: give pairs of picture and label, or `labels`")
        picture, label = pair
        try:
            if isinstance(picture, str | os.PathLike):
                path = os.fspath(picture)
                data, suffix = read_file(path), Path(path).suffix
            else:
                data, suffix = write_ppm(as_picture(picture, number)), ".ppm"
        except DataError:
            raise
        except (OSError, ValueError) as error:
            raise DataError(f"image {number} cannot be read: {first_line(error)}") from error
        yield LabelledFile(data, write_label(label, names, number), suffix)


def pair_labels(images: Any, labels: Sequence[Any] | None) -> Iterator[Any]:
    """Yield pairs of picture and label.

    Raises
    ------
    DataError
        If there are more labels than images, or fewer.
    """
    # Data sets of Torch end by their length: not all of them raise IndexError.
    is_counted = hasattr(images, "__getitem__") and hasattr(images, "__len__")
    each = (images[number] for number in range(len(images))) if is_counted else iter(images)
    if labels is None:
        yield from each
        return
    try:
        yield from zip(each, labels, strict=True)
    except ValueError as error:
        raise DataError(f"there are {len(labels)} labels, and another number of images") from error


def find_classes(images: Any) -> Sequence[str] | None:
    """Find the names of classes that a data set gives, or the one that it is a part of."""
    while images is not None:
        names = getattr(images, "classes", None)
        if names is not None:
            return [str(name) for name in names]
        images = getattr(images, "dataset", None)
    return None


def as_picture(picture: Any, number: int) -> Any:
    """Take a picture as it is in memory; uint8 tensors of (channels, height, width) become arrays.

    Raises
    ------
    DataError
        If it is no picture.
    """
    if isinstance(picture, Image.Image) or is_picture_array(picture):
        return picture
    if hasattr(picture, "numpy") and hasattr(picture, "dim"):
        array = picture.numpy(force=True)
        if array.dtype == np.uint8 and array.ndim == 3 and array.shape[0] in CHANNELS and array.size:
            return np.repeat(array.transpose(1, 2, 0), 3 // array.shape[0], axis=2)
        raise DataError(
            f"image {number} is a tensor of shape {tuple(array.shape)} and dtype {array.dtype}: give the data set "
            "without the transform that makes it, as PIL images or uint8"
        )
    what = describe_object(picture)
    raise DataError(f"image {number} is {what}: give PIL images or uint8 arrays of (height, width, 3)")


def write_label(label: Any, names: Sequence[str] | None, number: int) -> str:
    """Write a label as the name of its class.

    Raises
    ------
    DataError
        If it is none.
    """
    value = label.item() if hasattr(label, "item") else label
    if isinstance(value, int) and not isinstance(value, bool) and names is not None:
        if not 0 <= value < len(names):
            raise DataError(f"image {number} has the label {value}, and there are {len(names)} classes")
        value = names[value]
    if not isinstance(value, str | int) or not str(value).strip():
        raise DataError(f"image {number} has the label {value!r}: labels are numbers or names of classes")
    return str(value)
