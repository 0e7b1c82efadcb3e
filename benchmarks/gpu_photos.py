"""The photos of `gpu.py`: made, and yet about as dear to decode as photos are; and the facts of the machine."""

from __future__ import annotations

import io
import json
import os
import platform
import statistics
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torchvision
from gpu_section import Section, allowed_cores
from PIL import Image, ImageDraw

from featx.processes.machine import count_cores

SMALL = (500, 375)
LARGE = (4000, 3000)
SCALES = ((160, 60), (40, 36), (10, 20), (3, 12))
"""Of made photos: size of the spots in thousandths of the width, and how much they differ in brightness."""

GRAIN = 7
"""Of made photos: how much neighbouring pixels differ, as those of a camera do; sets the bytes of a pixel."""


def make_photo(seed: int, size: tuple[int, int], grain: int = GRAIN) -> bytes:
    """Make a JPEG file that costs about what a photo costs: soft spots of several sizes, edges, a camera's grain."""
    draw = np.random.default_rng(seed)
    width, height = size
    light = np.full((height, width, 3), 110, np.int16)
    for spot, contrast in SCALES:
        step = max(2, width * spot // 1000)
        coarse = draw.integers(-contrast, contrast + 1, (height // step + 2, width // step + 2, 3)) + 128
        soft = Image.fromarray(coarse.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
        light += np.asarray(soft, dtype=np.int16) - 128
    shapes = Image.fromarray(light.clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(shapes)
    for _ in range(40):
        corners = draw.integers(0, (width, height), (3, 2)) // 3 + draw.integers(0, (width, height), 2) * 2 // 3
        pen.line([tuple(corner) for corner in corners.tolist()], tuple(draw.integers(0, 256, 3).tolist()), width // 150)
        if draw.random() < 0.4:
            pen.polygon([tuple(corner) for corner in corners.tolist()], tuple(draw.integers(0, 256, 3).tolist()))
    noise = draw.integers(-grain, grain + 1, (height, width, 1), dtype=np.int16)
    pixels = (np.asarray(shapes, dtype=np.int16) + noise).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def add_comment(photo: bytes, number: int) -> bytes:
    """Make another file with the same pixels: a comment behind the first segment of a JPEG file."""
    end = 4 + int.from_bytes(photo[4:6], "big")
    comment = str(number).encode()
    return photo[:end] + b"\xff\xfe" + (2 + len(comment)).to_bytes(2, "big") + comment + photo[end:]


def write_photos(
    folder: Path, size: tuple[int, int], distinct: int, count: int, grain: int = GRAIN
) -> tuple[float, float]:
    """Write class folders of files, no two alike, with the pixels of some; mean KB, and ms to decode one."""
    with ProcessPoolExecutor(allowed_cores()) as pool:
        photos = list(pool.map(make_photo, range(distinct), [size] * distinct, [grain] * distinct))
    for number in range(count):
        path = folder / f"class {number % 10}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(add_comment(photos[number % distinct], number))
    taken = []
    for photo in photos[:8]:
        started = time.perf_counter()
        Image.open(io.BytesIO(photo)).convert("RGB")
        taken.append(time.perf_counter() - started)
    return sum(map(len, photos)) / distinct / 1e3, 1e3 * statistics.median(taken)


def make_photos(section: Section) -> None:
    """Say what this machine is, and write the photos."""
    print(json.dumps({"facts": describe_machine(section)}), flush=True)
    small, large = (SMALL, (1000, 750)) if section.tiny else (SMALL, LARGE)
    kinds = {
        "warm": (small, 16 if section.tiny else 64, 16 if section.tiny else 256),
        "small": (small, 8 if section.tiny else 512, 16 if section.tiny else 8192),
        "12 megapixels": (large, 2 if section.tiny else 32, 4 if section.tiny else 256),
    }
    for kind, (size, distinct, count) in kinds.items():

        def write(
            kind: str = kind, size: tuple[int, int] = size, distinct: int = distinct, count: int = count
        ) -> tuple[float, str]:
            kilobytes, milliseconds = write_photos(section.work / kind, size, distinct, count)
            return kilobytes, f"{count} files of {size[0]} x {size[1]}; Pillow decodes one in {milliseconds:.1f} ms"

        section.row(f"photos, {kind}", write, unit="KB a file")


def describe_machine(section: Section) -> dict[str, str]:
    """Name the card, its driver, the versions and the cores."""
    facts = {"card": platform.processor() or "cpu", "driver": "-"}
    if section.device.type == "cuda":
        facts["card"] = torch.cuda.get_device_name(section.device)
        facts["driver"] = read_driver()
    if section.tiny:
        facts["card"] = "tiny " + facts["card"]
    facts["torch"] = f"{torch.__version__}, torchvision {torchvision.__version__}, CUDA {torch.version.cuda}"
    facts["python"] = f"{platform.python_version()}, numpy {np.__version__}"
    facts["cores"] = f"{section.cores} used; {count_cores()} may be used, the machine has {os.cpu_count()}"
    facts["date"] = time.strftime("%Y-%m-%d")
    return facts


def read_driver() -> str:
    """Ask nvidia-smi for the version of the driver."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return "unknown"
