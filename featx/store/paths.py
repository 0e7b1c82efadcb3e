"""Where things lie below the cache: `<base>/<layer>/<variant>/part-<16 hex>.h5`, and what lies beside them."""

from __future__ import annotations

import re

from featx.storage.interface import storage_of
from featx.storage.paths import CachePath

PART_NAME = re.compile(r"part-[0-9a-f]{16}\.h5")
QUARANTINE = "quarantine"
SIDE_FOLDERS = {QUARANTINE, "scans", "results", "models"}
"""Folders in the cache that hold no features: quarantined parts, digests of images, results, models of experiments."""


def list_entries(folder: CachePath) -> list[CachePath]:
    """List the files and folders in a folder, sorted by name; nothing if the folder does not exist.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    return storage_of(folder).list_entries(folder)


def list_parts(folder: CachePath) -> list[CachePath]:
    """List the parts in a key's folder by name; none if the folder does not exist."""
    return [path for path in list_entries(folder) if PART_NAME.fullmatch(path.name)]


def list_subfolders(folder: CachePath) -> list[CachePath]:
    """List the folders in a folder, except hidden ones."""
    return storage_of(folder).list_folders(folder)


def list_base_folders(root: CachePath) -> list[CachePath]:
    """List the folders of bases in the cache."""
    return [path for path in list_subfolders(root) if path.name not in SIDE_FOLDERS]


def list_key_folders(root: CachePath, base: str | None = None) -> list[CachePath]:
    """List the folders of keys in the cache, with or without parts in them: of all bases, or of one base's folder."""
    bases = list_base_folders(root) if base is None else [root / base]
    layers = [layer for folder in bases for layer in list_subfolders(folder)]
    return [key for layer in layers for key in list_subfolders(layer)]
