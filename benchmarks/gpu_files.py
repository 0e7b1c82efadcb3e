"""Sections of `gpu.py` that begin with files: featx, and what a script of thirty lines makes of the same photos."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from gpu_section import DTYPES, Section, make_network, open_random
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from featx.base_choice import BaseChoice
from featx.data.loader import Loader
from featx.data.remote_loading import RemotePreparation
from featx.data.sources import list_images
from featx.engines.engine import Plan, make_plan
from featx.keys import DecodeMode
from featx.requests import ExtractRequest
from featx.runners import local
from featx.timing import Clock, format_shares
from featx.types import LayerFeatures, Pixels
from featx.workflows.extract import extract_features


class Way(NamedTuple):
    """How photos become pixels for the device: by whom and at what size they are decoded, and by whom resized."""

    in_processes: bool
    on_card: bool
    decode: DecodeMode = "exact"

    def __str__(self) -> str:
        decoded = "in processes" if self.in_processes else "in threads"
        size = " at a part of the size" if self.decode == "scaled" else ""
        return f"{decoded}{size}, resized {'on the card' if self.on_card else 'by Pillow'}"


PROCESSES = Way(True, False)
PROCESSES_RAW = Way(True, True)
THREADS = Way(False, False)
THREADS_RAW = Way(False, True)
THREADS_SCALED = Way(False, False, "scaled")
PROCESSES_SCALED = Way(True, False, "scaled")

WAYS = (
    ("small", "bfloat16", PROCESSES),
    ("small", "bfloat16", PROCESSES_RAW),
    ("12 megapixels", "bfloat16", THREADS),
    ("12 megapixels", "bfloat16", THREADS_SCALED),
    ("12 megapixels", "bfloat16", PROCESSES),
    ("12 megapixels", "bfloat16", PROCESSES_SCALED),
    ("small", "float32", PROCESSES),
    ("small", "float32", THREADS),
    ("small", "float32", THREADS_RAW),
)
"""What is measured; first what is chosen by default: processes for many small photos, threads for few large ones."""

GOAL = 5
"""Times as fast as by hand; asked of what is chosen by default, of large photos with `--decode scaled`."""


def extract(section: Section, kind: str, precision: Any, way: Way) -> tuple[float, str]:
    """Extract the photos of a folder into an empty cache: images a second, and where the time went."""

    def make(*given: Any) -> Plan:
        plan = make_plan(*given)
        resizer = plan.resizer if way.on_card else None
        # Where there is no GPU, the way is tried with batches as for one.
        batch = plan.device_batch or section.batch
        return replace(
            plan, in_processes=way.in_processes, raw_from_processes=way.on_card, resizer=resizer, device_batch=batch
        )

    cache = section.work / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    request = ExtractRequest(
        str(section.work / kind),
        BaseChoice(section.network, "random", precision=precision, decode=way.decode),
        ("layer4",),
        device=str(section.device),
        cache=cache,
        workers=section.cores,
        engine="torch",
    )
    started = time.perf_counter()
    with mock.patch.object(local, "make_plan", make):
        summary = extract_features(request)
    seconds = time.perf_counter() - started
    if summary.failed or not summary.extracted:
        raise RuntimeError(f"{len(summary.failed)} photos failed, {summary.extracted} were extracted")
    shutil.rmtree(cache)
    shares = format_shares(summary.time)
    return summary.extracted / seconds, f"{summary.extracted} photos in {seconds:.1f} s: {shares}"


def measure_files(section: Section) -> None:
    """Featx from files to features; small photos are not large enough for `--decode scaled`."""
    for precision in DTYPES:
        # The driver, cuDNN and their kernels are loaded once: here.
        extract(section, "warm", precision, THREADS)
    for number, (kind, precision, way) in enumerate(WAYS):
        facts: dict[str, Any] = {"unit": "images/s", "beside": f"by hand, {kind}, {precision}"}
        if number == 0 or way == THREADS_SCALED:
            facts["at_least"] = GOAL
        section.row(
            f"featx, {kind}, {precision}, {way}",
            lambda: extract(section, kind, precision, way),  # noqa: B023
            needs=6,
            **facts,
        )
        if number == 1:
            # What loading could give if nothing computed: which of the two is the limit?
            for alone in (PROCESSES, PROCESSES_RAW):
                section.row(f"loading alone, small, {alone}", lambda: load(section, alone), 6, unit="images/s")  # noqa: B023


def compute_nothing(pixels: list[Pixels]) -> Callable[[], LayerFeatures]:
    """Stand in for a device that is never the limit."""
    return dict


def load(section: Section, way: Way) -> tuple[float, str]:
    """Load the small photos for a device that computes nothing: images a second."""
    listing = list_images(str(section.work / "small"))
    transform = open_random(section.network).id.transform
    remote = RemotePreparation(transform, lambda digest: [0], lambda: way.on_card)
    clock = Clock()
    loader = Loader(
        listing,
        lambda digest, row: True,
        lambda picture, digest: {},
        section.cores,
        clock,
        section.batch,
        processes=remote,
    )
    images = 0
    started = time.perf_counter()
    for batch in loader(range(len(listing)), compute_nothing, lambda: None):
        images += len(batch.members)
    seconds = time.perf_counter() - started
    shares = format_shares(clock.with_idle(section.cores, seconds))
    return images / seconds, f"{images} photos in {seconds:.1f} s: {shares}"


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
    for precision in ("bfloat16", "float32"):
        for kind in ("small", "12 megapixels"):
            section.row(
                f"by hand, {kind}, {precision}",
                lambda: by_hand(section, kind, precision),  # noqa: B023
                needs=10,
                unit="images/s",
            )
