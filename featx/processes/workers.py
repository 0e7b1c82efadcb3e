"""Starts worker processes, sends them calls, and collects what comes back."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.spawn import get_executable
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self

from featx.errors import FeatxError
from featx.processes.worker import DONE, FAILED, LOG, read_message, write_message

ENDED = "ended"
"""Kind of the last reply of each worker: its process is gone."""

ENDED_BY_SYSTEM = (
    "the system ended one of the processes, perhaps for lack of memory. What was committed is kept: run the same "
    "command again"
)

MOMENT = 0.5
"""Seconds after which a signal that was sent to several processes has reached all of them."""

POLL_SECONDS = 1.0
"""How often Windows, where a thread that waits cannot be interrupted, looks for Ctrl-C."""

START = (
    "import sys; sys.path[:] = sys.argv[1:]; del sys.argv[1:]; "
    "from featx.processes.worker import main; main({parent}, {by_signal}, {log_level})"
)
"""What Python is started with: its module path is set first, since it must be this process's and no other."""


class WorkerEnded(FeatxError, ChildProcessError):
    """A worker that ended without being told to."""


@dataclass(frozen=True)
class Reply:
    """What a worker sent.

    Attributes
    ----------
    worker : int
        Its number, from 0.
    kind : str
        REPORT, DONE, FAILED or ENDED.
    value : Any
        Progress, what the call returned, or what it raised.
    """

    worker: int
    kind: str
    value: Any = None


class Workers:
    """Worker processes, each of which carries out one call after the other; to be used in a `with` statement.

    Leaving it kills them, whatever they do: who wants their work calls `wait` until it is done.

    Parameters
    ----------
    count : int
    environment : mapping of str to str, optional
        Variables beside those of this process.

    Raises
    ------
    OSError
        If no process can be started.
    """

    def __init__(self, count: int, environment: Mapping[str, str] | None = None) -> None:
        self.messages: SimpleQueue[tuple[int, bytes | None]] = SimpleQueue()
        self.ended: set[int] = set()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.threads: list[threading.Thread] = []
        try:
            for number in range(count):
                self.processes.append(start_process(environment or {}))
                thread = threading.Thread(target=self._collect, args=(number,), daemon=True)
                thread.start()
                self.threads.append(thread)
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def call(self, worker: int, function: Callable[..., Any], *arguments: Any) -> None:
        """Send a call to a worker; the function must be importable. A worker that is gone says so by its reply."""
        pipe = self.processes[worker].stdin
        assert pipe is not None
        with suppress(BrokenPipeError):
            write_message(pipe, pickle.dumps((function, arguments)))

    def __len__(self) -> int:
        return len(self.processes)

    def wait(self) -> Reply:
        """Wait for the next reply of any worker; what they log meanwhile is logged here."""
        while True:
            try:
                worker, message = self.messages.get(timeout=POLL_SECONDS)
            except Empty:
                continue
            if message is None:
                self.ended.add(worker)
                return Reply(worker, ENDED)
            kind, value = pickle.loads(message)
            if kind != LOG:
                return Reply(worker, kind, value)
            log_record(value)

    def next_result(self) -> tuple[int, Any]:
        """Wait for the next call that is done: the number of its worker, and what it returned.

        Raises
        ------
        WorkerEnded
            If a worker has ended.
        BaseException
            What a call raised.
        """
        while True:
            reply = self.wait()
            if reply.kind == ENDED:
                raise self.explain_end()
            if reply.kind == FAILED:
                raise reply.value
            if reply.kind == DONE:
                return reply.worker, reply.value

    def explain_end(self, how: str = "") -> WorkerEnded:
        """Make the error for a worker that has ended: run the command again, and how."""
        # What ended it, such as a signal to all processes, may be about to reach this one, too.
        time.sleep(MOMENT)
        return WorkerEnded(", ".join(filter(None, (ENDED_BY_SYSTEM, how))))

    def stop(self) -> None:
        """Ask all workers to stop: what they compute is interrupted as by Ctrl-C, and they end."""
        for process in self.processes:
            process.terminate()

    def wait_for_ends(self) -> None:
        """Wait until all workers have ended; what they return meanwhile is lost."""
        while len(self.ended) < len(self):
            self.wait()

    def kill(self) -> None:
        """End all workers at once."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
            assert process.stdin is not None
            # What was not sent yet finds nobody.
            with suppress(BrokenPipeError):
                process.stdin.close()
        for thread in self.threads:
            thread.join()

    def _collect(self, number: int) -> None:
        """Queue what a worker sends, until its end."""
        pipe = self.processes[number].stdout
        assert pipe is not None
        with pipe:
            while (message := read_message(pipe)) is not None:
                self.messages.put((number, message))
        self.messages.put((number, None))


def start_process(environment: Mapping[str, str], descriptors: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start a worker, which may be killed when the thread that runs this ends, unless that is not the main thread.

    Parameters
    ----------
    environment : mapping of str to str
        Variables beside those of this process.
    descriptors : sequence of int
        Open files that it gets by the same numbers; not on Windows.

    Raises
    ------
    OSError
        If no process can be started.
    """
    is_main_thread = threading.current_thread() is threading.main_thread()
    log_level = logging.getLogger("featx").getEffectiveLevel()
    code = START.format(parent=os.getpid(), by_signal=is_main_thread, log_level=log_level)
    # Names of files must mean the same there.
    variables = {**os.environ, "PYTHONUTF8": str(sys.flags.utf8_mode), **environment}
    # With -P no module is looked for in the current folder, where anything may lie.
    command = [os.fsdecode(get_executable()), "-P", "-c", code, *sys.path]
    process = None
    try:
        with signals_blocked():
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables, pass_fds=descriptors
            )
    except BaseException:
        # A signal that came meanwhile: nobody would know of the process.
        if process is not None:
            process.kill()
        raise
    return process


def log_record(record: tuple[str, int, str]) -> None:
    """Log here what a worker has logged: name of the logger, level and text."""
    name, level, text = record
    logging.getLogger(name).log(level, "%s", text)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Block the signals that a worker handles, in a process that is started meanwhile: it unblocks them when it can."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
