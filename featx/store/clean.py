"""Cleans a cache up: removes what dead writers left, and puts broken parts aside. Nothing sound is ever deleted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from featx.errors import StoreError
from featx.files import TEMPORARY, make_folder, remove_given_up, sync_folder
from featx.store.paths import QUARANTINE, entries
from featx.store.verify import Problem, examine, verify
from featx.types import Progress


@dataclass(frozen=True)
class Moved:
    """A broken part that was put aside."""

    path: str
    to: str
    problem: str


@dataclass
class CleanReport:
    """What was cleaned up, and the problems that were left as they are."""

    removed: list[str] = field(default_factory=list)
    quarantined: list[Moved] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        left = [{"path": problem.path, "problem": problem.problem} for problem in self.problems]
        return {"removed": self.removed, "quarantined": [asdict(moved) for moved in self.quarantined], "problems": left}


def clean(root: Path, progress: Progress | None = None) -> CleanReport:
    """Remove temporary files whose writers are dead, and move broken parts into the folder `quarantine`.

    Parameters
    ----------
    progress : callable, optional
        Called with the number of parts checked and found.

    Raises
    ------
    StoreError
        If the cache cannot be read or written.
    """
    report = CleanReport()
    for unfinished in temporaries(root):
        if remove_given_up(unfinished):
            report.removed.append(str(unfinished))
    for problem in verify(root, progress).problems:
        try:
            target = quarantine(root, Path(problem.path)) if problem.is_broken else None
        except OSError as error:
            raise StoreError(f"'{problem.path}' cannot be moved: {error.strerror or error}") from error
        if not problem.is_broken:
            report.problems.append(problem)
        elif target is not None:
            report.quarantined.append(Moved(problem.path, str(target), problem.problem))
    return report


def temporaries(folder: Path) -> Iterator[Path]:
    """Yield unfinished files anywhere below a folder."""
    for path in entries(folder):
        if path.is_dir() and not path.is_symlink():
            yield from temporaries(path)
        elif path.name.startswith(TEMPORARY):
            yield path


def quarantine(root: Path, path: Path) -> Path | None:
    """Move a broken part below `quarantine`; return where it is now, None if it is gone or no longer broken.

    Raises
    ------
    OSError
        If it cannot be moved.
    """
    folder = root / QUARANTINE / path.parent.relative_to(root)
    make_folder(folder)
    target, number = folder / path.name, 0
    while target.exists():
        number += 1
        target = folder / f"{path.name}.{number}"
    try:
        with open(path, "rb") as broken:
            examined = examine(path, root)
            if examined is None or not examined.is_broken:
                return None  # replaced by a writer of the same rows since it was found
            os.replace(path, target)
            if os.fstat(broken.fileno()).st_ino != target.stat().st_ino:
                os.replace(target, path)  # replaced in this very moment: what was moved is the new one
                return None
    except FileNotFoundError:
        return None
    sync_folder(folder)
    sync_folder(path.parent)
    return target
