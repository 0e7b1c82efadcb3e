"""Pictures and archives of them, made by the standard library."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import picture


def make_png(seed: int, hue: int = 0) -> bytes:
    buffer = io.BytesIO()
    picture(seed, hue).save(buffer, "PNG")
    return buffer.getvalue()


def make_photos(classes: str = "red green", count: int = 4) -> dict[str, bytes]:
    """Class folders: names of members and their bytes."""
    return {
        f"{name}/{seed:02}.png": make_png(100 * hue + seed, hue)
        for hue, name in enumerate(classes.split())
        for seed in range(count)
    }


def make_splits() -> dict[str, bytes]:
    return {f"{split}/{name}": data for split in ("train", "test") for name, data in make_photos().items()}


def write_folder(folder: Path, members: Mapping[str, bytes]) -> Path:
    for name, data in members.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return folder


def write_zip(path: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def write_tar(path: Path, members: Mapping[str, bytes], form: int = tarfile.USTAR_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path
