"""Cleans a cache up: removes what dead writers left, and quarantines broken parts. Nothing sound is ever deleted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from featx.errors import StoreError
from featx.files import TEMPORARY, make_folder, open_regular, remove_given_up, sync_folder
from featx.store.paths import QUARANTINE, list_entries
from featx.store.verify import CacheProblem, check_part, verify
from featx.types import Progress


@dataclass(frozen=True)
class QuarantinedPart:
    """A broken part that was moved: where it was, where it is, and what is wrong with it."""

    path: str
    to: str
    problem: str


@dataclass
class CleanReport:
    """What was cleaned up, and the problems that were left as they are."""

    removed: list[str] = field(default_factory=list)
    quarantined: list[QuarantinedPart] = field(default_factory=list)
    problems: list[CacheProblem] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        problems = [{"path": problem.path, "problem": problem.problem} for problem in self.problems]
        quarantined = [asdict(part) for part in self.quarantined]
        return {"removed": self.removed, "quarantined": quarantined, "problems": problems}


def clean(root: Path, progress: Progress | None = None) -> CleanReport:
    """Remove temporary files whose writers are dead, and move broken parts into the folder `quarantine`.

    Parameters
    ----------
    root : pathlib.Path
        The cache folder.
    progress : callable, optional
        Called with the number of parts checked and of all parts.

    Returns
    -------
    CleanReport

    Raises
    ------
    StoreError
        If the cache cannot be read or written.
    """
    report = CleanReport()
    for unfinished in find_unfinished(root):
        if remove_given_up(unfinished):
            report.removed.append(str(unfinished))
    for problem in verify(root, progress).problems:
        if not problem.is_broken:
            report.problems.append(problem)
            continue
        try:
            target = quarantine(root, Path(problem.path), problem.shape)
        except OSError as error:
            raise StoreError(f"'{problem.path}' cannot be moved: {error.strerror or error}") from error
        if target is not None:
            report.quarantined.append(QuarantinedPart(problem.path, str(target), problem.problem))
    return report


def find_unfinished(folder: Path) -> Iterator[Path]:
    """Yield unfinished files anywhere below a folder."""
    # A list, not recursion: folders may be nested deeper than Python calls.
    folders = [folder]
    while folders:
        for path in list_entries(folders.pop()):
            if path.is_dir() and not path.is_symlink():
                folders.append(path)
            elif path.name.startswith(TEMPORARY):
                yield path


def quarantine(root: Path, path: Path, shape: tuple[int, ...] | None = None) -> Path | None:
    """Move a broken part below `quarantine`; return its new place, None if it is gone or no longer broken.

    Parameters
    ----------
    shape : tuple of int, optional
        What its rows should have, where only that tells that it is broken.

    Raises
    ------
    OSError
        If it cannot be moved.
    """
    folder = root / QUARANTINE / path.parent.relative_to(root)
    make_folder(folder)
    target = choose_free_name(folder / path.name)
    with ExitStack() as stack:
        # Held open, its inode is given to no other file. What is not a file is not opened: no writer ever makes it.
        with suppress(OSError):
            stack.callback(os.close, open_regular(path))
        try:
            broken = path.lstat().st_ino
            check = check_part(path, root, shape)
            if check is None or not check.is_broken:
                # A writer of the same rows has replaced it since it was found.
                return None
            os.replace(path, target)
        except FileNotFoundError:
            return None
        if target.lstat().st_ino != broken:
            # Replaced between the check and the move: what was moved is the new part, which goes back.
            os.replace(target, path)
            return None
    sync_folder(folder)
    sync_folder(path.parent)
    return target


def choose_free_name(path: Path) -> Path:
    """Give a path that does not exist yet: this one, or this one with `.1`, `.2` and so on appended."""
    free = path
    number = 0
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free
