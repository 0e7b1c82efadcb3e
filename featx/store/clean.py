"""Cleans a cache up: removes what dead writers left, and quarantines broken parts. Nothing sound is ever deleted."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from featx.errors import StoreError
from featx.storage.interface import storage_of
from featx.storage.paths import CachePath, name_below, path_below
from featx.store.paths import QUARANTINE
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


def clean(root: CachePath, progress: Progress | None = None) -> CleanReport:
    """Remove temporary files whose writers are dead, and move broken parts into the folder `quarantine`.

    Parameters
    ----------
    root : pathlib.Path or ObjectPath
        The cache.
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
    report.removed += storage_of(root).remove_given_up(root)
    for problem in verify(root, progress).problems:
        if not problem.is_broken:
            report.problems.append(problem)
            continue
        try:
            target = quarantine(root, path_below(root, problem.path), problem.shape)
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(f"'{problem.path}' cannot be moved: {error.strerror or error}") from error
        if target is not None:
            report.quarantined.append(QuarantinedPart(problem.path, str(target), problem.problem))
    return report


def quarantine(root: CachePath, path: CachePath, shape: tuple[int, ...] | None = None) -> CachePath | None:
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
    storage = storage_of(root)
    target = choose_free_name(root / QUARANTINE / name_below(root, path))
    try:
        with storage.holding(path) as state:
            check = check_part(path, root, shape)
            if check is None or not check.is_broken:
                # A writer of the same rows has replaced it since it was found.
                return None
            return target if storage.move_file(path, target, state) else None
    except FileNotFoundError:
        return None


def choose_free_name(path: CachePath) -> CachePath:
    """Give a path that does not exist yet: this one, or this one with `.1`, `.2` and so on appended."""
    storage = storage_of(path)
    free = path
    number = 0
    while storage.exists(free):
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free
