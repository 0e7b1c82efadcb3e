"""What the machine has."""

from __future__ import annotations

import os

FALLBACK_MEMORY = 8 * 10**9
"""Bytes to work with where a system does not say how much memory it has: half of what laptops have today."""


def half_the_memory() -> int:
    """Return half of this machine's memory in bytes, or `FALLBACK_MEMORY`."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return FALLBACK_MEMORY


def count_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        # A container or a job scheduler may grant fewer cores than the machine has.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
