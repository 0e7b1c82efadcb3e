"""One worker of which each call is waited for by the thread that makes it; `workers.py` serves many from one thread."""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

from featx.processes.worker import DONE, FAILED, LOG, read_message, write_message
from featx.processes.workers import WorkerEnded, log_record, start_process

ENDED_IN_CALL = "the system ended a process, perhaps for lack of memory"


class DirectWorker:
    """A worker that one thread at a time calls; it waits in a read, so that other threads have Python to themselves.

    Parameters
    ----------
    environment : mapping of str to str, optional
        Variables beside those of this process.
    descriptors : sequence of int
        Open files that it gets by the same numbers; not on Windows.

    Raises
    ------
    OSError
        If no process can be started.
    """

    def __init__(self, environment: Mapping[str, str] | None = None, descriptors: Sequence[int] = ()) -> None:
        self.process: subprocess.Popen[bytes] = start_process(environment or {}, descriptors)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Have an importable function called there, and give what it returns; what it logs is logged here.

        Raises
        ------
        WorkerEnded
            If the process is gone; it is of no use any more.
        BaseException
            What the function raised.
        """
        replies, calls = self.pipes()
        try:
            write_message(calls, pickle.dumps((function, arguments)))
        except OSError as error:
            raise WorkerEnded(ENDED_IN_CALL) from error
        while (message := read_message(replies)) is not None:
            kind, value = pickle.loads(message)
            if kind == LOG:
                log_record(value)
            elif kind == FAILED:
                raise value
            elif kind == DONE:
                return value
        raise WorkerEnded(ENDED_IN_CALL)

    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """Give the ends that replies come from and calls go to."""
        assert self.process.stdout is not None
        assert self.process.stdin is not None
        return self.process.stdout, self.process.stdin

    def kill(self) -> None:
        """End the process at once, without waiting for its end."""
        self.process.kill()

    def close(self) -> None:
        """End the process, and wait until it has ended."""
        self.process.kill()
        self.process.wait()
        for pipe in self.pipes():
            # What was not sent yet finds nobody.
            with suppress(BrokenPipeError):
                pipe.close()
