"""Reads everything in a cache and reports all that is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from featx.errors import BrokenPart, StoreError, first_line
from featx.files import TEMPORARY
from featx.storage.interface import storage_of
from featx.storage.paths import CachePath
from featx.store.base_json import BASE_FILE, read_base
from featx.store.header import PartHeader, lay_out_header, parse_description, read_header_bytes
from featx.store.key_summary import RowsOfShapes, choose_shape
from featx.store.part import Part, are_finite
from featx.store.paths import (
    PART_NAME,
    list_base_folders,
    list_entries,
    list_key_folders,
    list_parts,
    list_subfolders,
)
from featx.store.schema import read_key
from featx.types import Progress


@dataclass(frozen=True)
class CacheProblem:
    """What is wrong with a file.

    Attributes
    ----------
    path : str
    problem : str
    is_broken : bool
        Whether it is a part that nothing can be read from safely.
    shape : tuple of int or None
        What its rows should have, where only that tells that it is broken.
    """

    path: str
    problem: str
    is_broken: bool = False
    shape: tuple[int, ...] | None = None


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
            reason = describe_other_shape(check.shape, shape)
            self.problems.append(CacheProblem(check.path, reason, is_broken=True, shape=shape))
        else:
            self.rows += check.rows
            self.bytes += check.bytes

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        problems = [{"path": problem.path, "problem": problem.problem} for problem in self.problems]
        return {"parts": self.parts, "rows": self.rows, "bytes": self.bytes, "problems": problems}


def verify(root: CachePath, progress: Progress | None = None) -> VerifyReport:
    """Read everything in a cache and check it: every bit of every part, its name, its folder, each `base.json`.

    Memory: one block of features and one part's header, however many images there are.

    Parameters
    ----------
    root : pathlib.Path or ObjectPath
        The cache.
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
    parts_of = [list_parts(folder) for folder in list_key_folders(root)]
    total = sum(map(len, parts_of))
    done = 0
    for paths in parts_of:
        checks = []
        for path in paths:
            checks.append(check_part(path, root))
            done += 1
            if progress:
                progress(done, total)
        found = [check for check in checks if check is not None]
        rows_of: RowsOfShapes = Counter()
        for check in found:
            if not check.problem:
                rows_of[check.shape] += check.rows
        shape = choose_shape(rows_of)
        for check in found:
            report.add(check, shape)
    return report


def check_part(path: CachePath, root: CachePath, shape: tuple[int, ...] | None = None) -> PartCheck | None:
    """Read and check one part; None if another process has merged or removed it since it was listed.

    Parameters
    ----------
    shape : tuple of int, optional
        What a row must have, where that is known.
    """
    try:
        # Where it lies, not a copy of it.
        with Part.open_anew(path) as part:
            header = part.header
            reasons = check_contents(part, root)
    except FileNotFoundError:
        if not storage_of(path).exists(path):
            return None
        return PartCheck(str(path), "is a link that leads nowhere", is_broken=True)
    except OSError as error:
        return PartCheck(str(path), describe_error(error, path), is_broken=isinstance(error, BrokenPart))
    if shape is not None and header.shape[1:] != shape:
        reasons.append(describe_other_shape(header.shape[1:], shape))
    if reasons:
        return PartCheck(str(path), "; ".join(reasons), is_broken=True)
    return PartCheck(str(path), shape=header.shape[1:], rows=header.shape[0], bytes=header.file_bytes)


def describe_other_shape(found: tuple[int, ...], common: tuple[int, ...]) -> str:
    """Say that a part's rows have another shape than most of its key, so that no reader could take both."""
    return f"holds rows of shape {found} beside rows of shape {common}"


def describe_error(error: OSError, path: CachePath) -> str:
    """Give the message of an error without the name of the file, which the report names anyway."""
    if isinstance(error, StoreError):
        return str(error).removeprefix(f"'{path}' ")
    return f"cannot be read: {error.strerror or error}"


def check_contents(part: Part, root: CachePath) -> list[str]:
    """Check a part whose header is sound: its key, its features, and what HDF5 reads of it."""
    reasons = check_key(part, root)
    damage = list(find_damage(part))
    reasons += damage
    # No damaged byte may reach the HDF5 library.
    if not damage:
        reasons += compare_with_hdf5(part)
    return reasons


def check_key(part: Part, root: CachePath) -> list[str]:
    """Check that a part lies in the folder of its key."""
    key = read_key(part.header.key)
    if root / key.folder == part.path.parent:
        return []
    return [f"belongs in '{key.folder}', not in this folder"]


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
    """Compare what other programs read of a sound part with its header.

    A header that is, byte for byte, what this featx lays out needs no library to be understood. What another version of
    the library laid out is read with it, but for datasets: where these lie says enough.
    """
    header = part.header
    data = read_header_bytes(part.file.handle, header.file_bytes, part.path)
    if data == lay_out_again(data, header):
        return []
    try:
        with open(part.file.handle, "rb", closefd=False) as raw, h5py.File(raw, "r") as file:
            is_same = compare_layout(file, header, data)
    # The library has met bytes of an unknown hand, and may raise anything.
    except Exception as error:
        return [f"is not an HDF5 file: {first_line(error)}"]
    return [f"HDF5 reads other {name} than the header states" for name, is_equal in is_same.items() if not is_equal]


def lay_out_again(data: bytearray, header: PartHeader) -> bytes:
    """Lay out anew what a header states."""
    fields = parse_description(data)
    attributes: dict[str, str | int] = {
        "format": fields.format,
        "key": fields.key,
        "provenance": fields.provenance,
        "block_rows": fields.block_rows,
    }
    try:
        return lay_out_header(attributes, header.digests, header.checksums, header.shape, fields.dtype)
    # Such as attributes that HDF5 cannot hold.
    except (OSError, ValueError, RuntimeError):
        return b""


def compare_layout(file: Any, header: PartHeader, data: bytearray) -> dict[str, bool]:
    """Compare what an HDF5 file says of its datasets and attributes with its header; by what may differ."""
    fields = parse_description(data)
    digest_layout = (header.digests.shape, header.digests.dtype, fields.digest)
    checksum_layout = (header.checksums.shape, header.checksums.dtype, fields.checksums)
    feature_layout = (header.shape, header.dtype, header.offset)
    attributes = [read_scalar(file, name) for name in ("key", "block_rows")]
    return {
        "digests": describe_layout(file, "digest") == digest_layout,
        "checksums": describe_layout(file, "checksums") == checksum_layout,
        "attributes": attributes == [header.key, header.block_rows],
        "features": describe_layout(file, "features") == feature_layout,
    }


def describe_layout(file: Any, name: str) -> tuple[tuple[int, ...], np.dtype[Any], int] | None:
    """Give the shape, dtype and place of a contiguous dataset; None where its numbers lie anywhere else."""
    # Links and external storage would lead to other files.
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return None
    dataset = file[name]
    properties = dataset.id.get_create_plist()
    if properties.get_layout() != h5py.h5d.CONTIGUOUS or properties.get_external_count():
        return None
    return dataset.shape, dataset.dtype, dataset.id.get_offset()


def read_scalar(file: Any, name: str) -> Any:
    """Read an attribute that is a single value; None for arrays, which may be of any size."""
    return file.attrs[name] if file.attrs.get_id(name).shape == () else None


def find_foreign_files(root: CachePath) -> list[CacheProblem]:
    """List files in a cache that are not featx's own.

    Hidden files and README.md are allowed at the top, unfinished files everywhere.
    """
    foreign = [path for path in storage_of(root).list_files(root) if not is_allowed_at_top(path)]
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


def is_allowed_at_top(path: CachePath) -> bool:
    """Whether a file may lie beside the folders of bases."""
    return path.name == "README.md" or path.name.startswith(".")


def check_bases(root: CachePath) -> list[CacheProblem]:
    """Check the `base.json` of each base of which the cache holds parts."""
    problems = []
    for base in list_base_folders(root):
        if any(list_parts(folder) for folder in list_key_folders(root, base.name)):
            problems += check_base_json(base / BASE_FILE)
    return problems


def check_base_json(file: CachePath) -> list[CacheProblem]:
    """Check a `base.json`."""
    try:
        read_base(file)
    except FileNotFoundError:
        return [CacheProblem(str(file), "is missing: extract anything with this base, and it is written again")]
    except (OSError, ValueError) as error:
        reason = f"is unreadable ({error}): extract anything with this base, and it is written again"
        return [CacheProblem(str(file), reason)]
    return []
