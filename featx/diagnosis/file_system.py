"""What a file system keeps of its promises: featx relies on renaming, syncing and locking."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from featx.diagnosis.finding import Finding
from featx.processes.posix import fcntl

TOPIC = "cache"

LITTLE_SPACE = 10**9
"""Bytes below which a data set may not fit: 10,000 photos with four layers of a ResNet-50 take 0.6 GB."""

NO_SPACE = 10**7
"""Bytes below which hardly a part can be written."""

TRIAL_FOLDER = ".featx-doctor-"
"""Beginning of the name of the folder in which promises are tried; the cache takes hidden names for nobody's."""


def check_file_system(folder: Path) -> list[Finding]:
    """Try in a folder what the store relies on; what is written is removed again.

    Parameters
    ----------
    folder : pathlib.Path
        A folder that is there.
    """
    findings = [check_space(folder)]
    try:
        trial = Path(tempfile.mkdtemp(prefix=TRIAL_FOLDER, dir=folder))
    except OSError as error:
        text = f"the cache cannot be written: {error.strerror or error}"
        advice = "choose another folder with --cache or FEATX_CACHE, or have its permissions changed"
        return [*findings, Finding(TOPIC, "problem", text, advice)]
    try:
        broken = [name for name, keeps in PROMISES.items() if not keeps(trial)]
    except OSError as error:
        text = f"files in the cache cannot be written: {error.strerror or error}"
        return [*findings, Finding(TOPIC, "problem", text, "choose another folder with --cache or FEATX_CACHE")]
    finally:
        shutil.rmtree(trial, ignore_errors=True)
    kind = find_kind(folder)
    where = f" ({kind})" if kind else ""
    if "renaming" in broken:
        text = f"the file system of the cache{where} does not replace files by renaming: readers may see half of one"
        findings.append(Finding(TOPIC, "problem", text, "choose a folder on a local disk with --cache or FEATX_CACHE"))
    lost = [name for name in broken if name != "renaming"]
    if lost:
        text = f"the file system of the cache{where} lacks {' and '.join(lost)}"
        findings.append(Finding(TOPIC, "note", text, "after a power cut, run: featx cache verify"))
    if not broken:
        findings.append(Finding(TOPIC, "ok", f"its file system{where} keeps what is relied on: {', '.join(PROMISES)}"))
    return findings


def check_space(folder: Path) -> Finding:
    """Say how much room is left."""
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:.1f} GB are free on its disk"
    if free < NO_SPACE:
        return Finding(TOPIC, "problem", text, "make room, or choose another folder with --cache or FEATX_CACHE")
    return Finding(TOPIC, "note" if free < LITTLE_SPACE else "ok", text)


def renames(folder: Path) -> bool:
    """Whether a file takes another's name at once, and who has the old one open goes on reading it."""
    target = folder / "target"
    target.write_bytes(b"old")
    with target.open("rb") as reader:
        (folder / "new").write_bytes(b"new")
        # Windows renames no file that is open.
        if os.name == "nt":
            reader.close()
            os.replace(folder / "new", target)
            return target.read_bytes() == b"new"
        os.replace(folder / "new", target)
        return reader.read() == b"old" and target.read_bytes() == b"new"


def syncs(folder: Path) -> bool:
    """Whether files, and the names in a folder, can be made to survive a power cut."""
    with (folder / "synced").open("wb") as file:
        file.write(b"data")
        file.flush()
        with suppress(OSError):
            os.fsync(file.fileno())
            return os.name == "nt" or syncs_names(folder)
    return False


def syncs_names(folder: Path) -> bool:
    """Whether a folder can be synced."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def locks(folder: Path) -> bool:
    """Whether a lock keeps others out."""
    if fcntl is None:
        return True
    path = folder / "locked"
    with path.open("wb") as first, path.open("rb+") as second:
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


PROMISES = {"renaming": renames, "syncing": syncs, "locking": locks}
"""What is relied on: how it is tried."""


def find_kind(folder: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Name the kind of file system that a folder lies on, such as "ext4" or "nfs4"; empty where it is not told."""
    kind = ""
    longest = -1
    with suppress(OSError):
        path = folder.resolve()
        for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
            fields = line.split()
            point = Path(fields[1].replace("\\040", " ")) if len(fields) > 2 else None
            # Later mounts hide earlier ones of the same place.
            if point is not None and path.is_relative_to(point) and len(point.parts) >= longest:
                kind, longest = fields[2], len(point.parts)
    return kind
