"""Sections of `gpu.py` that begin with files: featx, and what a script of thirty lines makes of the same photos."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from gpu_section import DTYPES, Section, make_network
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from featx.base_choice import BaseChoice
from featx.images.gpu_resize import DeviceResizer
from featx.requests import ExtractRequest
from featx.timing import format_shares
from featx.workflows.extract import extract_features


def extract(section: Section, kind: str, precision: Any, engine: Any = "torch") -> tuple[float, str]:
    """Extract the photos of a folder into an empty cache: images a second, and where the time went."""
    cache = section.work / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    request = ExtractRequest(
        str(section.work / kind),
        BaseChoice(section.network, "random", precision=precision),
        ("layer4",),
        device=str(section.device),
        cache=cache,
        workers=section.cores,
        engine=engine,
    )
    started = time.perf_counter()
    summary = extract_features(request)
    seconds = time.perf_counter() - started
    if summary.failed or not summary.extracted:
        raise RuntimeError(f"{len(summary.failed)} photos failed, {summary.extracted} were extracted")
    shutil.rmtree(cache)
    shares = format_shares(summary.time)
    return summary.extracted / seconds, f"{summary.extracted} photos in {seconds:.1f} s: {shares}"


def measure_files(section: Section) -> None:
    """Featx from files to features; a `--decode scaled` would be one more row for each kind of photos."""
    for precision in DTYPES:
        # The driver, cuDNN and their kernels are loaded once: here.
        extract(section, "warm", precision)
    for kind in ("small", "12 megapixels"):
        for precision in DTYPES:
            for resizes in (True, False):
                where = "resized on the card" if resizes else "resized by Pillow"
                facts: dict[str, Any] = {"unit": "images/s", "beside": f"by hand, {kind}, {precision}", "at_least": 5}
                if not resizes:
                    del facts["at_least"]
                with mock.patch.object(DeviceResizer, "takes", DeviceResizer.takes if resizes else refuse):
                    section.row(
                        f"featx, {kind}, {precision}, {where}",
                        lambda: extract(section, kind, precision),  # noqa: B023
                        needs=6,
                        **facts,
                    )
    facts = {"unit": "images/s", "beside": "by hand, small, bfloat16"}
    section.row(
        "featx, small, bfloat16, compiled, resized on the card",
        lambda: extract(section, "small", "bfloat16", "compile"),
        needs=30,
        **facts,
    )


def refuse(resizer: DeviceResizer, image: Image.Image) -> bool:
    """Take no picture: each is resized where it is decoded."""
    return False


def by_hand(section: Section, kind: str, precision: str) -> tuple[float, str]:
    """ImageFolder, DataLoader with a worker a core, torchvision's transforms, eager resnet50: images a second."""
    steps = [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
    batch = choose_batch(section.cores)
    started = time.perf_counter()
    network = make_network(section.network).to(section.device)
    loader = DataLoader(
        ImageFolder(section.work / kind, transforms.Compose(steps)),
        batch_size=batch,
        num_workers=section.cores,
        pin_memory=section.device.type == "cuda",
    )
    found = []
    is_half = precision == "bfloat16"
    with torch.inference_mode(), torch.autocast(section.device.type, torch.bfloat16, enabled=is_half):
        for x, _ in loader:
            found.append(network(x.to(section.device, non_blocking=True)).float().cpu())
    features = torch.cat(found).numpy()
    np.save(section.work / "features.npy", features)
    seconds = time.perf_counter() - started
    return len(features) / seconds, f"{len(features)} photos in {seconds:.1f} s, batches of {batch}"


def choose_batch(workers: int) -> int:
    """Choose the size of batches that, two for each worker, fit into the memory that processes share."""
    bytes_of_image = 3 * 224 * 224 * 4
    free = shutil.disk_usage("/dev/shm").free if Path("/dev/shm").is_dir() else 2**40
    fitting = [size for size in (64, 32, 16, 8, 4, 2) if (2 * workers + 2) * size * bytes_of_image < 0.9 * free]
    return fitting[0] if fitting else 1


def measure_by_hand(section: Section) -> None:
    """What a script of thirty lines makes of the same photos, with torch's own settings."""
    by_hand(section, "warm", "bfloat16")
    for kind in ("small", "12 megapixels"):
        for precision in DTYPES:
            section.row(
                f"by hand, {kind}, {precision}",
                lambda: by_hand(section, kind, precision),  # noqa: B023
                needs=10,
                unit="images/s",
            )
