"""Where images come from: DATA, as the user names it, becomes a listing."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from featx.data import digits
from featx.data.listing import SPLITS, FailedImage, Listing
from featx.errors import DataError, shorten

MAX_BYTES = 2**28
"""Files above a quarter of a gibibyte are refused before they are read."""

SYSTEM_FILES = {"thumbs.db", "desktop.ini"}


def read_file(path: str) -> bytes:
    """Read an image file.

    Raises
    ------
    OSError
        If it is gone, unreadable or above `MAX_BYTES`.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_BYTES:
            raise OSError(
                f"{size / 2**20:.0f} MiB are more than the {MAX_BYTES // 2**20} MiB that are read of one image"
            )
        return file.read()


def is_system_file(name: str) -> bool:
    """Whether a file is a side product of an operating system (`Thumbs.db`, `._photo.jpg`, `.DS_Store`)."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def walk(folder: str) -> Iterator[str]:
    """Yield every file below a folder, sorted by path."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            if entry.is_dir():
                yield from walk(entry.path)
            else:
                yield entry.path


def class_folders(root: Path) -> tuple[list[tuple[str, Path]], list[FailedImage]]:
    """Find the class folders of a data set, each with its split ("" without one), and files that lie beside them.

    Raises
    ------
    DataError
        If there are no folders at all.
    """
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise DataError(
            f"'{root}' holds no class folders. Expected is {root.name}/CLASS/photo.jpg, "
            f"or {root.name}/train/CLASS/photo.jpg with val/ or test/ beside train/"
        )
    stray = [path for path in root.iterdir() if path.is_file()]
    if all(path.name.lower() in SPLITS for path in folders):
        found = []
        for folder in folders:
            inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
            found += [(SPLITS[folder.name.lower()], path) for path in inner]
            stray += [path for path in folder.iterdir() if path.is_file()]
    else:
        found = [("", path) for path in folders]
    reason = "outside the class folders"
    return found, [
        FailedImage(str(path), "system file" if is_system_file(path.name) else reason) for path in sorted(stray)
    ]


def list_folder(data: str) -> Listing:
    """List `root/CLASS/*`, or `root/SPLIT/CLASS/*` where every folder below the root is named for a split.

    Every file counts as an image, whatever its suffix, but for side files of operating systems.

    Raises
    ------
    DataError
        If there are no class folders or no images in them.
    """
    folders, skipped = class_folders(Path(data))
    paths, labels, splits = [], [], []
    for split, folder in folders:
        found = list(walk(str(folder)))
        images = [path for path in found if not is_system_file(path.rpartition(os.sep)[2])]
        if len(images) < len(found):
            there = set(images)
            skipped += [FailedImage(path, "system file") for path in found if path not in there]
        paths += images
        labels += [folder.name] * len(images)
        splits += [split] * len(images)
    if not paths:
        raise DataError(f"'{data}' is empty: its class folders hold no images")
    return Listing(data, paths, labels, splits, read_file, skipped=tuple(skipped))


def list_csv(data: str) -> Listing:
    """List the rows of a CSV file: path, label and, if wanted, split; paths count from the file's own folder.

    Raises
    ------
    DataError
        If the header lacks a column, or rows are incomplete; all problems are named at once.
    """
    file = Path(data)
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = csv.DictReader(lines, skipinitialspace=True)
        if missing := {"path", "label"} - set(rows.fieldnames or ()):
            raise DataError(
                f"'{data}' lacks the column {shorten(sorted(missing))}: line 1 must be path,label or path,label,split"
            )
        table = list(rows)
    problems = [
        f"line {n}: no path or no label" for n, row in enumerate(table, 2) if not (row["path"] and row["label"])
    ]
    problems += [
        f"line {n}: unknown split '{row['split']}' (train, val or test)"
        for n, row in enumerate(table, 2)
        if row.get("split") and row["split"].lower() not in SPLITS
    ]
    if problems:
        raise DataError(f"'{data}': {shorten(problems, 5)}")
    if not table:
        raise DataError(f"'{data}' is empty: it has a header and no rows")
    return Listing(
        data,
        [str(file.parent / row["path"]) for row in table],
        [row["label"] for row in table],
        [SPLITS[split.lower()] if (split := row.get("split")) else "" for row in table],
        read_file,
    )


def list_digits(data: str) -> Listing:
    """List scikit-learn's handwritten digits, which need no download."""
    return digits.listing(data)


SOURCES: dict[str, tuple[Callable[[str], bool], Callable[[str], Listing]]] = {
    "digits": (lambda data: data == "digits", list_digits),
    "folder": (lambda data: Path(data).is_dir(), list_folder),
    "csv": (lambda data: Path(data).is_file() and data.lower().endswith(".csv"), list_csv),
}
"""Kind of source: whether DATA is of this kind, and how it is listed. The first kind that fits is taken."""


def list_images(data: str) -> Listing:
    """List the rows of DATA: a folder, a CSV file or the name of a built-in data set.

    Raises
    ------
    DataError
        If DATA is none of these, or is empty.
    """
    for fits, listing in SOURCES.values():
        if fits(data):
            return listing(data)
    there = "is a file, but no .csv" if Path(data).exists() else "does not exist"
    raise DataError(
        f"'{data}' {there}: DATA is a folder with class folders, a CSV file (path,label[,split]) or 'digits'"
    )
