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
