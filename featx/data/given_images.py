"""Images that a caller names one by one or holds in memory, as a listing without labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from featx.data.listing import ImageFile, ImageFiles, Listing
from featx.data.path_lists import expand, is_path_table, read_path_table
from featx.data.sources import ColumnChoice
from featx.data.sources.archives.members import ArchivedFiles
from featx.data.sources.archives.remembered_index import find_usual_cache
from featx.data.sources.archives.shards import is_shards, list_shard_pictures
from featx.data.sources.archives.zip_file import is_zip, list_zip_pictures
from featx.data.sources.buckets.bucket_files import BucketFiles, find_named_objects
from featx.data.sources.buckets.bucket_folder import list_bucket_pictures
from featx.data.sources.columnar.parquet_file import is_parquet, list_parquet
from featx.data.sources.columnar.saved_dataset import is_saved_dataset, list_saved_dataset
from featx.data.sources.content import PICTURE_SUFFIXES, find_suffix
from featx.data.sources.folder import list_all_pictures
from featx.data.sources.image_files import ON_DISK, MemoryFile
from featx.data.sources.tree import Tree
from featx.data.sources.web.web_table import list_web_pictures
from featx.errors import DataError, FeatxError, shorten
from featx.images.upright import to_rgb
from featx.paths import is_folder
from featx.storage.paths import is_object_url, is_web_url
from featx.types import Pixels

Picture = Image.Image | Pixels
"""An image in memory: of any mode, or (height, width, 3) uint8 in RGB."""

Container = ArchivedFiles | BucketFiles
"""What finds images by paths that are not those of files."""


NOWHERE = BucketFiles({}, [])
"""Where objects lie that are not there."""


def is_asked(files: Container, path: str) -> bool:
    """Whether something is known of a path, be it why there is nothing."""
    return path in files.rows or (isinstance(files, BucketFiles) and path in files.reasons)


class GivenImages:
    """Files, members of archives, and pictures in memory as the files that they would be.

    Parameters
    ----------
    pictures : dict of str to Picture
        Pictures by the name that stands in the place of a path.
    archives : sequence of ArchivedFiles or BucketFiles
        Where members of archives and objects of buckets are found by their paths; every other path is a file.
    """

    def __init__(self, pictures: dict[str, Picture], archives: Sequence[Container] = ()) -> None:
        self.pictures = pictures
        self.archives = archives
        # Nothing is remembered of pictures in memory, and they stay in this process.
        self.are_stored = not pictures
        self.are_shareable = not pictures and all(files.are_shareable for files in archives)
        self.are_far = any(files.are_far for files in archives)
        self._lock = Lock()

    def find(self, path: str) -> ImageFile:
        """Find a file, a member of an archive, or the picture of that name."""
        return MemoryFile(path, self.write) if path in self.pictures else self.find_owner(path).find(path)

    def find_owner(self, path: str) -> ImageFiles:
        """Find the archive that a path belongs to; all others are files of their own."""
        for files in self.archives:
            if path in files.rows:
                return files
        if not is_object_url(path):
            return ON_DISK
        return next((files for files in self.archives if is_asked(files, path)), NOWHERE)

    def read_stamps(self, paths: Sequence[str]) -> NDArray[np.int64]:
        """Ask for the stamps of files and members: (n, 4) int64."""
        stamps = np.full((len(paths), 4), -1, np.int64)
        rows_of: dict[int, list[int]] = {}
        owners = [self.find_owner(path) for path in paths]
        for row, owner in enumerate(owners):
            rows_of.setdefault(id(owner), []).append(row)
        for rows in rows_of.values():
            stamps[rows] = owners[rows[0]].read_stamps([paths[row] for row in rows])
        return stamps

    def write(self, name: str) -> bytes:
        """Write a picture as a file.

        Raises
        ------
        OSError
            If it is of an opened file that cannot be decoded.
        """
        # Pillow loads an opened file at its first use, and one picture may have been given twice.
        with self._lock:
            return write_ppm(self.pictures[name])


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
        rgb_array = picture if picture.ndim == 3 else np.stack([picture] * 3, axis=2)
        pixels = rgb_array.tobytes()
    return b"P6 %d %d 255\n" % (width, height) + pixels


def list_given_images(images: Sequence[object], path_column: str | None = None, cache: Path | None = None) -> Listing:
    """List images in the order in which they are given, each file once.

    Parameters
    ----------
    images : sequence of str, pathlib.Path, PIL.Image.Image or (height, width, 3) uint8
        A folder stands for every file below it, but for side files of operating systems; a zip or tar file, or a
        Parquet file, for the pictures in it, and a folder of nothing but shards for those in them; a table (`.csv`,
        `.tsv`, `.jsonl`) for the files that it lists. A picture in memory is called "image I", by its place in the
        sequence.
    path_column : str, optional
        Column of the tables that holds the paths, or the images; None finds it by its name.
    cache : pathlib.Path, optional
        Where the index of each tar shard is remembered; None: in the user's own cache, if there is one.

    Raises
    ------
    DataError
        If there is no image, something is neither a path nor a picture, or a table cannot be read.
    """
    names, pictures = name_images(images)
    cache = find_usual_cache() if cache is None else cache
    paths: list[str] = []
    archives: list[Container] = []
    for name in names:
        archive = None if name in pictures else list_archive(name, path_column, cache)
        if archive is not None and isinstance(archive.files, ArchivedFiles | BucketFiles):
            paths += archive.paths
            archives.append(archive.files)
        else:
            paths += [name] if name in pictures else list_files(name, ColumnChoice(path_column))
    if not paths:
        given = shorten(repr(str(image)) for image in images)
        raise DataError(f"there are no images in {given or 'an empty list'}")
    urls = [path for path in paths if is_object_url(path) and not any(is_asked(files, path) for files in archives)]
    if urls:
        archives.append(find_named_objects(urls))
    return make_listing("images", list(dict.fromkeys(paths)), pictures, archives)


def list_each_image(images: Sequence[object]) -> Listing:
    """List images one row each, repetitions included, so that rows belong to what was given.

    Parameters
    ----------
    images : sequence of str, pathlib.Path, PIL.Image.Image or (height, width, 3) uint8
        A path may be the URL of an object.

    Raises
    ------
    DataError
        If there is no image, something is neither a path nor a picture, or a path is a folder.
    BucketLost
        If a bucket cannot be read.
    """
    names, pictures = name_images(images)
    if not names:
        raise DataError("there are no images in an empty list")
    folders = [name for name in names if name not in pictures and Path(name).is_dir()]
    if folders:
        raise DataError(f"'{folders[0]}' is a folder, and each image is given by itself: list its files")
    # Digests are remembered by the name of a data set; equal lists of files have equal names.
    listed = hashlib.sha256("\0".join(names).encode(errors="surrogateescape")).hexdigest()
    urls = [name for name in dict.fromkeys(names) if name not in pictures and is_object_url(name)]
    return make_listing(f"images-{listed[:16]}", names, pictures, [find_named_objects(urls)] if urls else [])


def name_images(images: Sequence[object]) -> tuple[list[str], dict[str, Picture]]:
    """Name each image, by its path or as "image I", and find the pictures among them.

    Raises
    ------
    DataError
        If something is neither a path nor a picture.
    """
    names: list[str] = []
    pictures: dict[str, Picture] = {}
    problems: list[str] = []
    paths = {str(image) for image in images if isinstance(image, str | Path)}
    for number, image in enumerate(images):
        name = f"image {number}"
        # A picture must never be taken for a file that happens to have its name.
        while name in paths:
            name += " in memory"
        if isinstance(image, str) and not image:
            problems.append(f"image {number} is an empty path")
        elif isinstance(image, str | Path):
            names.append(str(image))
        elif isinstance(image, Image.Image) or is_picture_array(image):
            names.append(name)
            pictures[name] = image
        else:
            problems.append(f"{name} is {describe_object(image)}")
    if problems:
        raise DataError(f"{shorten(problems, 3)}: give paths, PIL images or uint8 arrays of (height, width, 3)")
    return names, pictures


def make_listing(
    name: str, paths: list[str], pictures: dict[str, Picture], archives: Sequence[Container] = ()
) -> Listing:
    """Make a listing without labels; digests are remembered only where every image is a file."""
    no_labels = [""] * len(paths)
    files = GivenImages(pictures, archives) if pictures or archives else ON_DISK
    return Listing(name, paths, no_labels, no_labels, files)


def list_archive(path: str, path_column: str | None, cache: Path | None) -> Listing | None:
    """List the pictures in a zip file, in tar shards or in a table that holds them; None where a path is none of these.

    Labels do not matter. Of a folder that holds pictures every picture is wanted, whatever lies beside it.

    Raises
    ------
    DataError
        If it is one and cannot be read, or holds no pictures.
    """
    if path.startswith("~"):
        path = str(expand(path))
    try:
        if is_web_url(path):
            return list_web_pictures(path, path_column)
        if is_object_url(path):
            is_named = find_suffix(path) in PICTURE_SUFFIXES
            return None if is_named else list_bucket_pictures(path, path_column, cache)
        if is_zip(path):
            return list_zip_pictures(path)
        if is_shards(path):
            return list_shard_pictures(path, cache)
        choice = ColumnChoice(path_column, reads_labels=False)
        if is_parquet(path):
            return list_parquet(path, choice)
        return list_saved_dataset(path, choice) if is_folder(path) and is_saved_dataset(path) else None
    except OSError as error:
        if isinstance(error, FeatxError):
            raise
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error


def list_files(path: str, choice: ColumnChoice) -> list[str]:
    """List a file as it is named, all pictures below a folder, or the files that a table lists.

    Raises
    ------
    DataError
        If a folder or a table cannot be read.
    """
    if path.startswith("~"):
        path = str(expand(path))
    if is_path_table(path):
        return read_path_table(path, choice)
    if not is_folder(path):
        return [path]
    tree = Tree(str(Path(path)))
    return list(list_all_pictures(path, tree, ON_DISK).paths)


def is_picture_array(image: object) -> TypeGuard[Pixels]:
    """Whether an object is an array of (height, width, 3) uint8 in RGB, or of (height, width) uint8 in grey."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.size == 0:
        return False
    return image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)


def describe_object(image: object) -> str:
    """Say what was given instead of an image."""
    if isinstance(image, np.ndarray):
        return f"an array of shape {image.shape} and dtype {image.dtype}"
    return f"of type {type(image).__name__}"
