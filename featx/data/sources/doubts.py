"""What folders may have been meant for instead, where names or neighbours give it away: it is said, not acted upon."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from featx.data.sources.csv_file import CSV_SUFFIXES
from featx.data.sources.jsonl_file import JSONL_SUFFIXES
from featx.data.sources.passed_over import NOT_A_PICTURE
from featx.data.sources.tree import Folder, Tree
from featx.errors import shorten

MOST_NAMES = 5
"""Folders that a line names."""

IMAGE_WORDS = frozenset(
    {"image", "images", "img", "imgs", "jpegimages", "photo", "photos", "picture", "pictures", "rgb", "input", "inputs"}
)
"""Names of folders that hold the pictures of a data set for segmentation or detection, letters only."""

MASK_WORDS = frozenset(
    {
        *("mask", "masks", "annotation", "annotations", "label", "labels", "groundtruth", "gt", "trimap", "trimaps"),
        *("segmentation", "segmentations", "segmentationclass", "segmentationobject", "target", "targets"),
    }
)
"""Names of folders that hold what belongs to those pictures."""


def name_folders(folders: Iterable[Folder]) -> str:
    """Write the names of folders in quotes, not more than a few of them."""
    return shorten((f"'{folder.name}'" for folder in folders), MOST_NAMES)


def suggest_parent(root: str) -> str:
    """Name the folder above, if folders with files lie beside this one: it may be a class."""
    real = Path(os.path.realpath(root))
    try:
        beside = [path for path in real.parent.iterdir() if path.is_dir() and path != real]
        is_class = any(not path.name.startswith(".") and any(map(Path.is_file, path.iterdir())) for path in beside)
    except OSError:
        return ""
    if not is_class:
        return ""
    parent = str(Path(root).parent) if Path(root).name and Path(root).parent != Path(root) else str(real.parent)
    meant = str(real.parent) if parent == "." else parent
    return f"; if '{real.name}' is a class, the data set is '{meant}'"


def suggest_table(tree: Tree, folders: Iterable[Folder]) -> str:
    """Name a table that was passed over in one of some folders whose pictures have no labels: it may hold them."""
    if not tree.is_on_disk:
        return ""
    suffixes = (*CSV_SUFFIXES, *JSONL_SUFFIXES)
    places = {Path(folder.path) for folder in folders}
    for file in tree.skipped:
        is_table = file.reason == NOT_A_PICTURE and file.path.lower().endswith(suffixes)
        if is_table and Path(file.path).parent in places:
            return f"; if '{file.path}' lists them with their labels, that is the data set"
    return ""


def doubt_outer_folders(tree: Tree, folders: Sequence[Folder]) -> str:
    """Say that each of several class folders holds folders of the same names, which may be the classes; "" if not."""
    inner_names: list[str] = []
    for folder in folders:
        contents = tree.scan(folder)
        names = [inner.name for inner in contents.folders if tree.holds_files(inner)]
        if contents.files or len(names) < 2 or names != (inner_names or names):
            return ""
        inner_names = names
    if len(folders) < 2:
        return ""
    inner = shorten((f"'{name}'" for name in inner_names), MOST_NAMES)
    return (
        f"{name_folders(folders)} in '{tree.root.path}' are read as the classes, but each of them holds {inner}: if "
        "those are the classes, name the outer folders train, val or test, or list the images in a CSV file "
        "(path,label)"
    )


def doubt_masks(tree: Tree, folders: Sequence[Folder]) -> str:
    """Say that class folders are called as pictures and their masks usually are; "" if they are not."""
    masks = [folder for folder in folders if keep_letters(folder.name) in MASK_WORDS]
    images = [folder for folder in folders if keep_letters(folder.name) in IMAGE_WORDS]
    if not masks or not images or len(masks) + len(images) < len(folders):
        return ""
    return (
        f"{name_folders(folders)} in '{tree.root.path}' are read as the classes, but {name_folders(masks)} may belong "
        f"to the pictures of {name_folders(images)}: if so, give a folder of class folders or a CSV file (path,label)"
    )


def keep_letters(name: str) -> str:
    """Write a name in small letters without anything else."""
    return re.sub(r"[^a-z]", "", name.lower())
