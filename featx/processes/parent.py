"""Ends a worker when the process that started it is gone, also by SIGKILL; and asks whether a process runs."""

from __future__ import annotations

import os
import signal
import sys

SET_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of Linux's prctl(2)."""

ORPHANED_CODE = 3
"""Exit code of a worker whose parent is gone; nobody is left to read it."""

PROCESS_QUERY_LIMITED_INFORMATION = 0x1000
"""What Windows is asked of a process: the least that tells whether it runs."""


def die_with_parent(parent: int, by_signal: bool) -> None:
    """Let the system kill this process when its parent dies, where it can; elsewhere the pipe of calls tells.

    Parameters
    ----------
    parent : int
        Process id of the parent, which may be gone already.
    by_signal : bool
        Whether the parent's main thread started this process. Linux sends the signal when the *thread* dies that
        did, so one of another thread would be killed while its parent lives.
    """
    if by_signal and sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)
    # It may have died before the system was asked.
    if os.name != "nt" and os.getppid() != parent:
        leave()


def leave() -> None:
    """End this process at once: nothing that it computes from now on is wanted by anybody."""
    os._exit(ORPHANED_CODE)


def is_running(process: int) -> bool:
    """Whether a process of this number runs on this machine."""
    if sys.platform == "win32":
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, False, process)
        if handle:
            ctypes.windll.kernel32.CloseHandle(handle)
        return bool(handle)
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # One of another user must not be signalled, but it is there.
    except PermissionError:
        return True
    return True
