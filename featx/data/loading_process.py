"""Processes beside this one that load images, each called by one thread at a time, and the memory they share with it.

Sixteen threads of one interpreter hand Python's lock to and fro some fifteen times an image, and what feeds the device
waits for it, too. A thread that hands a slice to a process waits in the system instead, without the lock.

Pixels come back through a file in memory (memfd_create(2)) that both processes have open: it needs no room in
/dev/shm, of which containers have 64 MB, has no name that somebody must remove, and one read copies a whole slice.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from threading import Lock
from types import TracebackType
from typing import Any, Self

import numpy as np

from featx.data.reading import READING_MEMORY
from featx.files import read_at
from featx.images.decode import DECODING_MEMORY
from featx.processes.direct import DirectWorker
from featx.types import Pixels

log = logging.getLogger(__name__)

SHARE_OF_MEMORY = 2
"""All processes together take at most one of so many parts of the memory for files and for decoding; a picture that
takes more than the share of one process is decoded in a thread. It loses nothing there, since all of its time is C."""

KEPT_BYTES = 2**25
"""Freed memory that the C library of a process keeps for the next picture, and the most that one allocation takes of
it: fetching each picture's memory from the system anew costs a tenth of the time (glibc; measured at 500 x 375)."""

VARIABLES = {
    # There is no arithmetic to share out: each thread of a library would cost memory and time.
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    **dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(KEPT_BYTES)),
}
"""What a loading process has in its environment."""


class LoadingFailed(Exception):
    """A loading process that ended, or failed for a reason that no image is to blame for."""


def can_load_in_processes() -> bool:
    """Whether this system has what loading processes need: Linux has."""
    return hasattr(os, "memfd_create")


class LoadingProcess:
    """A process, and the file in memory that it writes to.

    Raises
    ------
    OSError
        If either cannot be had.
    """

    def __init__(self) -> None:
        # Windows and macOS have no such function, and `can_load_in_processes` says so.
        self.descriptor: int = os.memfd_create("featx")  # type: ignore[attr-defined, unused-ignore]
        try:
            self.worker = DirectWorker(VARIABLES, (self.descriptor,))
        except BaseException:
            os.close(self.descriptor)
            raise

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Have a function of `loading_worker` called there.

        Raises
        ------
        LoadingFailed
            If the process has ended, or the function raised.
        """
        try:
            return self.worker.call(function, *arguments)
        except Exception as error:
            raise LoadingFailed(str(error) or type(error).__name__) from error

    def take(self, count: int) -> Pixels:
        """Copy what the process wrote first: (count,) uint8, of this process alone.

        Raises
        ------
        LoadingFailed
            If it is not there.
        """
        block = np.empty(count, np.uint8)
        view = block.data
        taken = 0
        while taken < count:
            copied = read_at(self.descriptor, view[taken:], taken)
            if not copied:
                raise LoadingFailed("pixels are missing")
            taken += copied
        return block

    def close(self) -> None:
        """End the process, wait for its end, and give the memory back."""
        self.worker.close()
        os.close(self.descriptor)


class LoadingProcesses:
    """Some loading processes, to be used in a `with` statement: leaving it ends them.

    Where one cannot be started or ends, there are fewer of them: who finds none has to do without.

    Parameters
    ----------
    count : int

    Attributes
    ----------
    file_share, decoding_share : int
        Bytes that one process may hold of files, and take for decoding a picture.
    """

    def __init__(self, count: int) -> None:
        self.file_share = READING_MEMORY // SHARE_OF_MEMORY // count
        self.decoding_share = DECODING_MEMORY // SHARE_OF_MEMORY // count
        self.all: list[LoadingProcess] = []
        self.idle: list[LoadingProcess] = []
        self.lock = Lock()
        self.has_warned = False
        try:
            self.start(count)
        except BaseException:
            self.close()
            raise

    def start(self, count: int) -> None:
        """Start processes, or fewer where the system gives no more."""
        for _ in range(count):
            try:
                process = LoadingProcess()
            except OSError as error:
                self.warn(f"a process could not be started ({error.strerror or error})")
                return
            self.all.append(process)
            self.idle.append(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def take(self) -> LoadingProcess | None:
        """Take a process that nobody uses; None where there are fewer than threads."""
        with self.lock:
            return self.idle.pop() if self.idle else None

    def put_back(self, process: LoadingProcess) -> None:
        """Give a process back that was taken, for others to use."""
        with self.lock:
            self.idle.append(process)

    def give_up(self, process: LoadingProcess, reason: LoadingFailed) -> None:
        """Use a process no more."""
        process.worker.kill()
        self.warn(f"a process that loads images was given up ({reason})")

    def warn(self, what: str) -> None:
        """Say once that something went wrong which costs no image."""
        with self.lock:
            is_first = not self.has_warned
            self.has_warned = True
        if is_first:
            log.warning("%s: its images are loaded in a thread, more slowly", what)

    def close(self) -> None:
        """End all processes."""
        for process in self.all:
            process.worker.kill()
        for process in self.all:
            process.close()
        self.all = []
        self.idle = []
