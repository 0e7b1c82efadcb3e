"""Faults planted into data sets, all seeded: near-copies of pictures, and classes that a file tells by its form."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

SEED = 42
CROPPED = 0.1
BRIGHTER = 1.3

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def crop(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cut a tenth of each side off, at a place that is drawn."""
    width, height = picture.size
    kept = round(width * (1 - CROPPED)), round(height * (1 - CROPPED))
    left = int(rng.integers(0, width - kept[0] + 1))
    top = int(rng.integers(0, height - kept[1] + 1))
    return picture.crop((left, top, left + kept[0], top + kept[1]))


CHANGES: dict[str, tuple[Change, int]] = {
    "JPEG 30": (lambda picture, rng: picture, 30),
    "JPEG 60": (lambda picture, rng: picture, 60),
    "JPEG 95": (lambda picture, rng: picture, 95),
    "half size": (lambda picture, rng: picture.resize((picture.width // 2, picture.height // 2)), 90),
    "cropped": (crop, 90),
    "flipped": (lambda picture, rng: ImageOps.mirror(picture), 90),
    "upside down": (lambda picture, rng: ImageOps.flip(picture), 90),
    "brighter": (lambda picture, rng: ImageEnhance.Brightness(picture).enhance(BRIGHTER), 90),
}
"""Kind of copy: what is done to the pixels, and the JPEG quality that it is saved with."""


@dataclass(frozen=True)
class PlantedCopy:
    """A copy that was planted: its file, that of the original, and what was done to it."""

    copy: Path
    original: Path
    kind: str


def plant_copies(source: Path, target: Path, each: int = 100, seed: int = SEED) -> list[PlantedCopy]:
    """Copy a folder of class folders, and plant so many copies of each kind, every other one in another class.

    Parameters
    ----------
    source : pathlib.Path
        Class folders of pictures.
    target : pathlib.Path
        Made anew.
    """
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(source, target)
    files = sorted(path for path in target.rglob("*") if path.suffix.lower() in (".jpg", ".png", ".bmp"))
    classes = sorted({path.parent for path in files})
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(files))[: each * len(CHANGES)]
    planted = []
    for place, row in enumerate(drawn.tolist()):
        original = files[row]
        kind = list(CHANGES)[place % len(CHANGES)]
        change, quality = CHANGES[kind]
        folder = original.parent
        if place // len(CHANGES) % 2:
            others = [other for other in classes if other != folder]
            folder = others[int(rng.integers(len(others)))]
        copy = folder / f"copy{place:04}.jpg"
        with Image.open(original) as picture:
            change(picture.convert("RGB"), rng).save(copy, quality=quality)
        planted.append(PlantedCopy(copy, original, kind))
    return planted


def plant_shortcut(source: Path, target: Path, fault: str) -> None:
    """Copy a folder, and save all pictures of its first class at another quality or size; "none" leaves all alike.

    Parameters
    ----------
    fault : {"quality", "size", "none"}
    """
    if target.exists():
        shutil.rmtree(target)
    folders = sorted({path.parent for path in source.rglob("*.jpg")})
    first = folders[0].name
    for folder in folders:
        is_marked = folder.name == first and fault != "none"
        made = target / folder.relative_to(source)
        made.mkdir(parents=True)
        for path in sorted(folder.glob("*.jpg")):
            with Image.open(path) as opened:
                picture = opened.convert("RGB")
            if is_marked and fault == "size":
                picture = picture.resize((picture.width * 3 // 4, picture.height * 3 // 4))
            picture.save(made / path.name, quality=60 if is_marked and fault == "quality" else 90)
