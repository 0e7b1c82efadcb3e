"""Asks the system for longer time slices, for processes that share their cores with others of their kind.

Where more workers than cores run on a machine, each switch between two of them empties the cache of a core: with
Linux's slices of 1 to 3 ms, all of their work takes a tenth longer.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from contextlib import suppress
from pathlib import Path

SLICE_SECONDS = 0.03
"""So long that filling a cache again no longer counts. Programs with shorter slices still get their turn first."""

SYSTEM_CALLS = {"x86_64": (315, 314), "aarch64": (275, 274)}
"""Numbers of sched_getattr(2) and sched_setattr(2), for which C libraries before glibc 2.41 have no function."""

SHARED_POLICIES = (os.SCHED_OTHER, os.SCHED_BATCH) if sys.platform == "linux" else ()
"""Policies whose slices can be chosen; whoever chose a real-time policy keeps it as it is."""


class SchedulingAttributes(ctypes.Structure):
    """The first version of struct sched_attr, 48 bytes; times are in nanoseconds."""

    _fields_ = [
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    ]


def ask_for_long_slices() -> None:
    """Ask for long time slices for all threads of this process, and for those that they start.

    Linux grants them from 6.12 on. Other systems are not asked, and a refusal is no error: the work is the same.
    """
    calls = SYSTEM_CALLS.get(platform.machine())
    if sys.platform != "linux" or calls is None:
        return
    get_number, set_number = calls
    system_call = ctypes.CDLL(None).syscall
    with suppress(OSError):
        for thread in Path("/proc/self/task").iterdir():
            attributes = SchedulingAttributes()
            place = ctypes.byref(attributes)
            if system_call(get_number, int(thread.name), place, ctypes.sizeof(attributes), 0):
                continue
            if attributes.policy in SHARED_POLICIES:
                attributes.runtime = int(SLICE_SECONDS * 1e9)
                system_call(set_number, int(thread.name), place, 0)
