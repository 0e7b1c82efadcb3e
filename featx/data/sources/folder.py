"""Folders as data sets: a folder a class, with or without folders of splits above them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from featx.data.listing import SPLITS, FailedImage, Listing
from featx.data.sources.image_files import is_system_file, read_file, walk
from featx.errors import DataError
from featx.paths import is_folder as exists_as_folder


class ClassFolder(NamedTuple):
    """A folder whose name is a label, and its split ("" where the data set has none)."""

    split: str
    path: Path


def is_folder(data: str) -> bool:
    """Whether DATA is a folder."""
    return exists_as_folder(data)


def list_folder(data: str) -> Listing:
    """List `root/CLASS/*`, or `root/SPLIT/CLASS/*` where every folder below the root is named for a split.

    Every file counts as an image, whatever its suffix, except side files of operating systems.

    Raises
    ------
    DataError
        If there are no class folders or no images in them.
    """
    folders, skipped = find_class_folders(Path(data))
    paths: list[str] = []
    labels: list[str] = []
    splits: list[str] = []
    for split, folder in folders:
        for path in walk(str(folder)):
            if is_system_file(path.rpartition(os.sep)[2]):
                skipped.append(FailedImage(path, "system file"))
                continue
            paths.append(path)
            labels.append(folder.name)
            splits.append(split)
    if not paths:
        raise DataError(f"'{data}' is empty: its class folders hold no images")
    return Listing(data, paths, labels, splits, read_file, skipped=tuple(skipped))


def find_class_folders(root: Path) -> tuple[list[ClassFolder], list[FailedImage]]:
    """Find the class folders of a data set, and files that lie beside them.

    Raises
    ------
    DataError
        If there are no folders at all.
    """
    folders = list_visible_folders(root)
    if not folders:
        raise DataError(
            f"'{root}' holds no class folders. Expected is {root.name}/CLASS/photo.jpg, "
            f"or {root.name}/train/CLASS/photo.jpg with val/ or test/ beside train/"
        )
    stray = list_loose_files(root)
    class_folders: list[ClassFolder] = []
    if all(folder.name.lower() in SPLITS for folder in folders):
        for folder in folders:
            split = SPLITS[folder.name.lower()]
            class_folders += [ClassFolder(split, path) for path in list_visible_folders(folder)]
            stray += list_loose_files(folder)
    else:
        class_folders += [ClassFolder("", path) for path in folders]
    skipped = [FailedImage(str(path), explain_stray(path)) for path in sorted(stray)]
    return class_folders, skipped


def list_visible_folders(folder: Path) -> list[Path]:
    """List the visible folders in a folder, sorted."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def list_loose_files(folder: Path) -> list[Path]:
    """List the files that lie in a folder itself."""
    return [path for path in folder.iterdir() if path.is_file()]


def explain_stray(path: Path) -> str:
    """Say why a file beside the class folders is passed over."""
    return "system file" if is_system_file(path.name) else "outside the class folders"
