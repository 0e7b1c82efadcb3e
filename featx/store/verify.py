"""Reads everything in a cache and reports all that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from featx.errors import BrokenPart, StoreError
from featx.files import TEMPORARY
from featx.keys import FeatureKey
from featx.store.base_json import BASE_FILE, read_base
from featx.store.part import Part, are_finite
from featx.store.paths import (
    PART_NAME,
    list_base_folders,
    list_entries,
    list_key_folders,
    list_parts,
    list_subfolders,
)
from featx.types import Progress


@dataclass(frozen=True)
class CacheProblem:
    """What is wrong with a file; `is_broken` if it is a part that nothing can be read from safely."""

    path: str
    problem: str
    is_broken: bool = False


@dataclass(frozen=True)
class PartCheck:
    """What checking one part gave.

    Attributes
    ----------
    path : str
    problem : str
        Empty if the part is sound.
    is_broken : bool
        Whether nothing can be read from it safely.
    shape : tuple of int
        Shape of a row, if it is sound.
    rows, bytes : int
        Its size, if it is sound.
    """

    path: str
    problem: str = ""
    is_broken: bool = False
    shape: tuple[int, ...] = ()
    rows: int = 0
    bytes: int = 0


@dataclass
class VerifyReport:
    """What a check of the whole cache found; `rows` and `bytes` count those of sound parts."""

    parts: int = 0
    rows: int = 0
    bytes: int = 0
    problems: list[CacheProblem] = field(default_factory=list)

    def add(self, check: PartCheck, shape: tuple[int, ...]) -> None:
        """Count one part, which should have rows of this shape."""
        self.parts += 1
        if check.problem:
            self.problems.append(CacheProblem(check.path, check.problem, check.is_broken))
        elif check.shape != shape:
            reason = f"holds rows of shape {check.shape} beside rows of shape {shape}"
            self.problems.append(CacheProblem(check.path, reason))
        else:
            self.rows += check.rows
            self.bytes += check.bytes

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        problems = [{"path": problem.path, "problem": problem.problem} for problem in self.problems]
        return {"parts": self.parts, "rows": self.rows, "bytes": self.bytes, "problems": problems}


def verify(root: Path, progress: Progress | None = None) -> VerifyReport:
    """Read everything in a cache and check it: every bit of every part, its name, its folder, each `base.json`.

    Memory: one block of features and one part's header, however many images there are.

    Parameters
    ----------
    root : pathlib.Path
        The cache folder.
    progress : callable, optional
        Called with the number of parts done and of all parts.

    Returns
    -------
    VerifyReport

    Raises
    ------
    StoreError
        If a folder cannot be read.
    """
    report = VerifyReport(problems=find_foreign_files(root) + check_bases(root))
    paths = [path for folder in list_key_folders(root) for path in list_parts(folder)]
    # Folder to the shape of a row in its first sound part, which all others of a key must have.
    shapes: dict[Path, tuple[int, ...]] = {}
    for done, path in enumerate(paths, 1):
        check = check_part(path, root)
        if check is not None:
            if not check.problem:
                shapes.setdefault(path.parent, check.shape)
            report.add(check, shapes.get(path.parent, ()))
        if progress:
            progress(done, len(paths))
    return report


def check_part(path: Path, root: Path) -> PartCheck | None:
    """Read and check one part; None if another process has merged or removed it since it was listed."""
    try:
        with Part.open(path) as part:
            header = part.header
            reasons = check_contents(part, root)
    except FileNotFoundError:
        return None
    except OSError as error:
        return PartCheck(str(path), describe_error(error, path), is_broken=isinstance(error, BrokenPart))
    if reasons:
        return PartCheck(str(path), "; ".join(reasons), is_broken=True)
    return PartCheck(str(path), shape=header.shape[1:], rows=header.shape[0], bytes=header.file_bytes)


def describe_error(error: OSError, path: Path) -> str:
    """Give the message of an error without the name of the file, which the report names anyway."""
    if isinstance(error, StoreError):
        return str(error).removeprefix(f"'{path}' ")
    return f"cannot be read: {error.strerror or error}"


def check_contents(part: Part, root: Path) -> list[str]:
    """Check a part whose header is sound: its key, its features, and what HDF5 reads of it."""
    reasons = check_key(part, root)
    damage = list(find_damage(part))
    reasons += damage
    # No damaged byte may reach the HDF5 library.
    if not damage:
        reasons += compare_with_hdf5(part)
    return reasons


def check_key(part: Part, root: Path) -> list[str]:
    """Check that a part lies in the folder of its key and holds what the key says."""
    header = part.header
    try:
        key = FeatureKey.from_json(header.key)
        dtype = np.dtype(key.dtype)
    except (ValueError, TypeError) as error:
        return [str(error)]
    reasons = []
    if root / key.folder != part.path.parent or key.to_json() != header.key:
        reasons.append(f"belongs in '{key.folder}', not in this folder")
    if header.dtype != dtype:
        reasons.append(f"holds {header.dtype} where its key says {key.dtype}")
    return reasons


def find_damage(part: Part) -> Iterator[str]:
    """Yield a reason for each block of features that fails its checksum or is not finite."""
    header = part.header
    for first in range(0, header.shape[0], header.block_rows):
        stop = min(first + header.block_rows, header.shape[0])
        block: NDArray[Any] = np.empty((stop - first, *header.shape[1:]), header.dtype)
        try:
            part.read_blocks(first, block)
        except BrokenPart as error:
            yield describe_error(error, part.path)
            continue
        if not are_finite(block):
            yield f"features of rows {first} to {stop - 1} are not finite"


def compare_with_hdf5(part: Part) -> list[str]:
    """Compare what the HDF5 library reads of a sound part with its header."""
    header = part.header
    try:
        with open(part.handle, "rb", closefd=False) as raw, h5py.File(raw, "r") as file:
            features = file["features"]
            layout = (features.shape, features.dtype, features.id.get_offset())
            is_same = {
                "digests": np.array_equal(file["digest"][()], header.digests),
                "checksums": np.array_equal(file["checksums"][()], header.checksums),
                "attributes": (file.attrs["key"], file.attrs["block_rows"]) == (header.key, header.block_rows),
                "features": layout == (header.shape, header.dtype, header.offset),
            }
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        return [f"is not an HDF5 file: {error}"]
    return [f"HDF5 reads other {name} than the header states" for name, is_equal in is_same.items() if not is_equal]


def find_foreign_files(root: Path) -> list[CacheProblem]:
    """List files in a cache that are not featx's own.

    Hidden files and README.md are allowed at the top, unfinished files everywhere.
    """
    foreign = [path for path in list_entries(root) if not path.is_dir() and not is_allowed_at_top(path)]
    for base in list_base_folders(root):
        layers = list_subfolders(base)
        foreign += [path for path in list_entries(base) if path not in layers and path.name != BASE_FILE]
        for layer in layers:
            keys = list_subfolders(layer)
            foreign += [path for path in list_entries(layer) if path not in keys]
            for key in keys:
                foreign += [path for path in list_entries(key) if not PART_NAME.fullmatch(path.name)]
    finished = [path for path in foreign if not path.name.startswith(TEMPORARY)]
    return [CacheProblem(str(path), "is not a file of featx: move it out of the cache") for path in finished]


def is_allowed_at_top(path: Path) -> bool:
    """Whether a file may lie beside the folders of bases."""
    return path.name == "README.md" or path.name.startswith(".")


def check_bases(root: Path) -> list[CacheProblem]:
    """Check the `base.json` of each base of which the cache holds parts."""
    problems = []
    for base in list_base_folders(root):
        if any(list_parts(folder) for folder in list_key_folders(root, base.name)):
            problems += check_base_json(base / BASE_FILE)
    return problems


def check_base_json(file: Path) -> list[CacheProblem]:
    """Check a `base.json`."""
    try:
        read_base(file)
    except FileNotFoundError:
        return [CacheProblem(str(file), "is missing: extract anything with this base, and it is written again")]
    except (OSError, ValueError) as error:
        reason = f"is unreadable ({error}): extract anything with this base, and it is written again"
        return [CacheProblem(str(file), reason)]
    return []
