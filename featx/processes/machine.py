"""What the machine has."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROCESSES = Path("/proc/self/ns/pid")
"""Where Linux says which start of which machine this is, and in which container."""

FALLBACK_MEMORY = 8 * 10**9
"""Bytes to work with where a system does not say how much memory it has: half of what laptops have today."""


def half_the_memory() -> int:
    """Return half of this machine's memory in bytes, or `FALLBACK_MEMORY`."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return FALLBACK_MEMORY


def list_cores() -> set[int]:
    """List the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        # A container or a job scheduler may grant fewer cores than the machine has.
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def count_cores() -> int:
    """Count the cores that this process may use."""
    return len(list_cores())


class Machine(NamedTuple):
    """A machine, or a container on one.

    Attributes
    ----------
    id : str
        The same for all processes there, and for no others.
    cores : frozenset of int
        Numbers of those that this process may use.
    """

    id: str
    cores: frozenset[int]


def describe_machine() -> Machine:
    """Say where this process runs."""
    parts = [platform.node()]
    # Other systems have no such files; their names must do.
    with suppress(OSError):
        parts += [BOOT_ID.read_text().strip(), str(PROCESSES.readlink())]
    return Machine(" ".join(parts), frozenset(list_cores()))
