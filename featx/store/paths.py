"""Where things lie below the cache: `<base>/<layer>/<variant>/part-<16 hex>.h5`, and what lies beside them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from featx.errors import StoreError

NAME = re.compile(r"part-[0-9a-f]{16}\.h5")
QUARANTINE = "quarantine"
SIDE_FOLDERS = {QUARANTINE, "scans", "results", "models"}
"""Folders in the cache that hold no features: broken parts put aside, digests, results, models of experiments."""


def entries(folder: Path) -> list[Path]:
    """List what lies in a folder, sorted; nothing if it does not exist.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    try:
        return [folder / name for name in sorted(os.listdir(folder))]  # noqa: PTH208 - sorting paths is slow
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"'{folder}' cannot be read: {error.strerror or error}") from error


def part_paths(folder: Path) -> list[Path]:
    """List the parts in a key's folder by name; none if it does not exist."""
    return [path for path in entries(folder) if NAME.fullmatch(path.name)]


def subfolders(folder: Path) -> list[Path]:
    """List the folders in a folder, but for hidden ones."""
    return [path for path in entries(folder) if path.is_dir() and not path.name.startswith(".")]


def base_folders(root: Path) -> list[Path]:
    """List the folders of bases in the cache."""
    return [path for path in subfolders(root) if path.name not in SIDE_FOLDERS]


def key_folders(root: Path, base: str | None = None) -> list[Path]:
    """List the folders of keys in the cache, or of one base's, whether they hold parts or not."""
    bases = base_folders(root) if base is None else [root / base]
    return [key for folder in bases for layer in subfolders(folder) for key in subfolders(layer)]
