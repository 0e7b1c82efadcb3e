"""Reads everything in a cache and reports all that is wrong with it; puts broken parts aside."""

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
from featx.store.paths import NAME, base_folders, entries, key_folders, part_paths, subfolders
from featx.types import Progress


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file; `is_broken` if it is a part that nothing can be read from safely."""

    path: str
    problem: str
    is_broken: bool = False


@dataclass
class VerifyReport:
    """What a check of the whole cache found; `rows` counts those of sound parts."""

    parts: int = 0
    rows: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)

    def take(self, part: Examined, shape: tuple[int, ...]) -> None:
        """Count one part, which should have rows of this shape."""
        if part.problem:
            self.problems.append(Problem(part.path, part.problem, part.is_broken))
        elif part.shape != shape:
            self.problems.append(Problem(part.path, f"holds rows of shape {part.shape} beside rows of shape {shape}"))
        else:
            self.rows += part.rows
            self.bytes += part.bytes

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        problems = [{"path": problem.path, "problem": problem.problem} for problem in self.problems]
        return {"parts": self.parts, "rows": self.rows, "bytes": self.bytes, "problems": problems}


def verify(root: Path, progress: Progress | None = None) -> VerifyReport:
    """Read all that lies in a cache, and check it: every bit of every part, its name, its folder, each `base.json`.

    Memory: one block of features and one part's header, however many images there are.

    Parameters
    ----------
    root : pathlib.Path
    progress : callable, optional
        Called with the number of parts done and found.

    Returns
    -------
    VerifyReport

    Raises
    ------
    StoreError
        If a folder cannot be read.
    """
    report = VerifyReport(problems=strangers(root))
    paths = [path for folder in key_folders(root) for path in part_paths(folder)]
    shapes: dict[Path, tuple[int, ...]] = {}
    for done, path in enumerate(paths, 1):
        examined = examine(path, root)
        if examined is not None:
            report.parts += 1
            report.take(examined, shapes.setdefault(path.parent, examined.shape) if examined.shape else ())
        if progress:
            progress(done, len(paths))
    return report


@dataclass(frozen=True)
class Examined:
    """What was found in one part; `problem` is empty if it is sound."""

    path: str
    problem: str = ""
    is_broken: bool = False
    shape: tuple[int, ...] = ()
    rows: int = 0
    bytes: int = 0


def examine(path: Path, root: Path) -> Examined | None:
    """Read and check one part; None if it is gone, merged or removed by another process since it was listed."""
    try:
        with Part.open(path) as part:
            header, reasons = part.header, problems_of(part, root)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Examined(str(path), plain(error, path), isinstance(error, BrokenPart))
    if reasons:
        return Examined(str(path), "; ".join(reasons), True)
    return Examined(str(path), shape=header.shape[1:], rows=header.shape[0], bytes=header.file_bytes)


def plain(error: OSError, path: Path) -> str:
    """Say what an error says, without naming the file again."""
    if isinstance(error, StoreError):
        return str(error).removeprefix(f"'{path}' ")
    return f"cannot be read: {error.strerror or error}"


def problems_of(part: Part, root: Path) -> list[str]:
    """Check a part whose header is sound: its features, its place in the cache, and what HDF5 makes of it."""
    header, reasons = part.header, []
    try:
        key = FeatureKey.from_json(header.key)
        if root / key.folder != part.path.parent or key.to_json() != header.key:
            reasons.append(f"belongs into '{key.folder}', not into this folder")
        if header.dtype != np.dtype(key.dtype):
            reasons.append(f"holds {header.dtype} where its key says {key.dtype}")
    except ValueError as error:
        reasons.append(str(error))
    damaged = list(damages(part))
    reasons += [reason for _, reason in damaged]
    if not damaged:
        reasons += contradictions(part)
    return reasons


def damages(part: Part) -> Iterator[tuple[int, str]]:
    """Yield the blocks of features that fail their checksum or are not finite, by their first row."""
    header = part.header
    for first in range(0, header.shape[0], header.block_rows):
        stop = min(first + header.block_rows, header.shape[0])
        block: NDArray[Any] = np.empty((stop - first, *header.shape[1:]), header.dtype)
        try:
            part.read_blocks(first, block)
        except BrokenPart as error:
            yield first, plain(error, part.path)
            continue
        if not are_finite(block):
            yield first, f"features of rows {first} to {stop - 1} are not finite"


def contradictions(part: Part) -> list[str]:
    """Compare what the HDF5 library reads with the header; only sound bytes ever reach that library."""
    header = part.header
    try:
        with open(part.handle, "rb", closefd=False) as raw, h5py.File(raw, "r") as file:
            features, names = file["features"], ("key", "block_rows")
            same = {
                "digest": np.array_equal(file["digest"][()], header.digests),
                "checksums": np.array_equal(file["checksums"][()], header.checksums),
                "attributes": [file.attrs[name] for name in names] == [header.key, header.block_rows],
                "features": (features.shape, features.dtype, features.id.get_offset())
                == (header.shape, header.dtype, header.offset),
            }
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        return [f"is no HDF5 file: {error}"]
    return [f"its {name} for HDF5 differ from its header" for name, is_same in same.items() if not is_same]


def strangers(root: Path) -> list[Problem]:
    """List files that are not featx's own, and each `base.json` that is missing or damaged.

    Hidden files and README.md at the top are let pass, unfinished files everywhere.
    """
    found = [path for path in entries(root) if not path.is_dir() and path.name != "README.md" and path.name[0] != "."]
    problems = []
    for base in base_folders(root):
        layers = subfolders(base)
        keys = [key for layer in layers for key in subfolders(layer)]
        found += [path for path in entries(base) if path not in layers and path.name != BASE_FILE]
        found += [path for layer in layers for path in entries(layer) if path not in keys]
        found += [path for key in keys for path in entries(key) if not NAME.fullmatch(path.name)]
        if any(part_paths(key) for key in keys):
            problems += problems_of_base(base / BASE_FILE)
    foreign = [path for path in found if not path.name.startswith(TEMPORARY)]
    return [Problem(str(path), "is no file of featx: move it out of the cache") for path in foreign] + problems


def problems_of_base(file: Path) -> list[Problem]:
    """Check a `base.json`."""
    try:
        read_base(file)
    except FileNotFoundError:
        return [Problem(str(file), "is missing: extract anything with this base, and it is written again")]
    except (OSError, ValueError) as error:
        return [Problem(str(file), f"is unreadable ({error}): extract anything with this base, and it is mended")]
    return []
