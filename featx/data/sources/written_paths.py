"""Paths as a table writes them, and the files that they mean."""

from __future__ import annotations

from pathlib import Path

from featx.paths import exists, expand_home


def describe_absence(count: int) -> str:
    """Say that none of the files of a table is there."""
    return "the only file that it names does not exist" if count == 1 else f"none of its {count} files exists"


def suggest_folder(path: str) -> str:
    """Say that a path exists counted from the current folder, if it does."""
    if Path(path).is_absolute() or not exists(path):
        return ""
    return f". It exists in the current folder, '{Path.cwd()}': move the table there"


def find_path(folder: str, written: str) -> str:
    """Turn a path as it is written in a table into one that can be opened.

    `~` is the home folder. Blanks around a path are taken off, and backslashes are read as slashes, unless there is a
    file of the very name.
    """
    path = join_folder(folder, written.strip())
    if written == written.strip() and "\\" not in written:
        return path
    for spelling in (written, written.strip(), written.strip().replace("\\", "/")):
        if exists(join_folder(folder, spelling)):
            return join_folder(folder, spelling)
    return path


def join_folder(folder: str, path: str) -> str:
    """Let a path count from a folder."""
    expanded = expand_home(path)
    # As text: Path objects are slow at a million rows. A Path also takes off "./", so that a row has one path only.
    return str(Path(folder) / expanded)
