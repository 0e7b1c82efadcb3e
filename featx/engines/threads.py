"""Cores that this process may use, and how many threads torch takes of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def count_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        # A container or a job scheduler may grant fewer cores than the machine has.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def one_torch_thread(device: torch.device) -> Iterator[None]:
    """Keep torch on the CPU from starting threads of its own, for callers whose threads fill the cores already."""
    threads_before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
