"""What the sections of `gpu.py` share: time, figures, and the network."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision import models

from featx.base_choice import BaseChoice
from featx.bases.base import Base
from featx.bases.loading import open_base
from featx.processes.machine import count_cores

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
MEASURED_SECONDS = 1.0
ENOUGH_CALLS = 200


class Section:
    """What a section is asked for, and how it says what it found.

    Parameters
    ----------
    asked : argparse.Namespace
        `seconds` it may take, `device`, `work` (its folder), `tiny` and `cores`.
    """

    def __init__(self, asked: argparse.Namespace) -> None:
        self.until = time.perf_counter() + asked.seconds
        self.device = torch.device(asked.device)
        self.work = Path(asked.work)
        self.tiny: bool = asked.tiny
        self.cores = asked.cores or allowed_cores()
        self.batch = 4 if self.tiny else 256
        self.side = 64 if self.tiny else 224
        self.network = "resnet18" if self.tiny else "resnet50"
        self.name: str = asked.section

    def row(self, name: str, compute: Callable[[], Any], needs: float = 0, **facts: Any) -> float | None:
        """Compute and print one row; an error and a lack of time are rows, too.

        Parameters
        ----------
        name : str
        compute : callable
            Gives the figure, or the figure and a note.
        needs : float
            Seconds that it is likely to take: without them it is left out.
        **facts
            `unit`, `beside` (the name of another row), `at_least` (of the ratio to that) or `at_most` (of the figure).

        Returns
        -------
        float or None
            The figure.
        """
        left = self.until - time.perf_counter()
        value = None
        if left < needs and not self.tiny:
            facts["note"] = f"left out: takes some {needs:.0f} s, and {left:.0f} s are left"
        else:
            try:
                found = compute()
                value, note = found if isinstance(found, tuple) else (found, facts.get("note", ""))
                facts["note"] = note
            except Exception as error:
                lines = str(error).strip().splitlines() or [""]
                facts["note"] = f"failed: {type(error).__name__}: {lines[0]}"
                # The traceback holds on to tensors: without it the next row has the memory.
                del error
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
        print(json.dumps({"name": name, "value": value, **facts}), flush=True)
        return value

    def wait(self) -> None:
        """Wait until the device has done all."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def rate(self, call: Callable[[], object], images: int) -> float:
        """Images a second of a call: the median of some seconds, each call waited for."""
        for _ in range(2 if self.tiny else 5):
            call()
        self.wait()
        taken: list[float] = []
        until = time.perf_counter() + (0.1 if self.tiny else MEASURED_SECONDS)
        while len(taken) < ENOUGH_CALLS and (len(taken) < 2 or time.perf_counter() < until):
            started = time.perf_counter()
            call()
            self.wait()
            taken.append(time.perf_counter() - started)
        return images / statistics.median(taken)


def allowed_cores() -> int:
    """Count the cores of this process, or fewer where its control group gets the time of fewer."""
    limit = Path("/sys/fs/cgroup/cpu.max")
    fields = limit.read_text().split() if limit.exists() else ["max"]
    if fields[0] == "max":
        return count_cores()
    return min(count_cores(), max(1, round(int(fields[0]) / int(fields[1]))))


def make_network(name: str) -> nn.Module:
    """Make the network that is measured, up to its pooled features."""
    torch.manual_seed(0)
    network: nn.Module = models.get_model(name, weights=None)
    network.fc = nn.Identity()
    return network.eval().requires_grad_(False)


def open_random(name: str, precision: Any = "float32", crop: int | None = None) -> Base:
    """Open a base with random weights, always the same ones."""
    return open_base(BaseChoice(name, "random", precision=precision, crop=crop, resize=crop))
