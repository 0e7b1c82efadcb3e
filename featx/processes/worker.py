"""What a worker process runs: it takes calls from a pipe, one after the other, and sends back what they return."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from queue import SimpleQueue
from types import FrameType
from typing import IO, Any, BinaryIO, NoReturn

from featx.errors import FeatxError
from featx.processes.parent import die_with_parent, leave
from featx.processes.signals import Terminated, deliver_again, find_stop

LENGTH_BYTES = 8
"""Bytes of the number in front of each message: how many bytes it has."""

REPORT = "report"
LOG = "log"
DONE = "done"
FAILED = "failed"
"""Kinds of messages to the parent: progress, a log record, what a call returned, what it raised."""

STOPPED_CODE = 4
"""Exit code of a worker that was told to stop."""

to_parent: BinaryIO
"""Pipe on which this process sends messages; set when a worker starts."""

sending = threading.Lock()
"""Held while a message is written: threads log, too."""


def write_message(pipe: IO[bytes], message: bytes) -> None:
    """Write a message with its length.

    Raises
    ------
    OSError
        If nobody reads it any more.
    """
    pipe.write(len(message).to_bytes(LENGTH_BYTES, "big"))
    pipe.write(message)
    pipe.flush()


def read_message(pipe: IO[bytes]) -> bytes | None:
    """Read a message; None where the pipe has ended, be it in the midst of a message."""
    head = pipe.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "big")
    message = pipe.read(length)
    return message if len(message) == length else None


def send(kind: str, value: Any) -> None:
    """Send a message to the parent."""
    message = pickle.dumps((kind, value))
    try:
        with sending:
            write_message(to_parent, message)
    except OSError:
        leave()


def report(value: Any) -> None:
    """Tell the parent how far the present call has come; anything that can be pickled."""
    send(REPORT, value)


class LogToParent(logging.Handler):
    """Hands log records to the parent, which words and shows them as its own."""

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        send(LOG, (record.name, record.levelno, record.getMessage()))


def stop_once(number: int, frame: FrameType | None) -> NoReturn:
    """Stop the present call as Ctrl-C would, so that what it has computed is committed; further signals are ignored."""
    signal.signal(number, signal.SIG_IGN)
    raise Terminated(number)


def set_up_signals() -> None:
    """Leave Ctrl-C and a closed terminal, which reach all processes, to the parent: it passes them on as SIGTERM."""
    signal.signal(signal.SIGTERM, stop_once)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # They were blocked by the parent, or would have met this process before it could handle them.
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


def take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Give the pipes from and to the parent; what else reads stdin finds nothing, what else prints goes to stderr."""
    calls = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return calls, replies


def queue_calls(pipe: IO[bytes], queue: SimpleQueue[bytes]) -> None:
    """Queue what the parent sends, for ever; end the process when the pipe ends, since the parent is gone then."""
    while (message := read_message(pipe)) is not None:
        queue.put(message)
    leave()


def describe_failure(error: BaseException) -> BaseException:
    """Give an exception as it can be sent: with the traceback of this process where it is not a user's error."""
    if not isinstance(error, FeatxError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        # Exceptions whose arguments are not those of their class cannot be made again.
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def carry_out(message: bytes) -> None:
    """Carry out one call, and send what came of it."""
    try:
        function, arguments = pickle.loads(message)
        result = function(*arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        stop = find_stop(error)
        if stop is not None:
            raise stop from None
        send(FAILED, describe_failure(error))
    else:
        send(DONE, result)


def main(parent: int, by_signal: bool, log_level: int) -> None:
    """Be a worker until the parent has no more calls or is gone.

    Parameters
    ----------
    parent : int
        Its process id.
    by_signal : bool
        See `die_with_parent`.
    log_level : int
        Least level of the records that the parent shows.
    """
    global to_parent
    die_with_parent(parent, by_signal)
    calls, to_parent = take_pipes()
    queue: SimpleQueue[bytes] = SimpleQueue()
    # Some things are said only once, by the process that the user started.
    multiprocessing.current_process().name = "worker"
    threading.Thread(target=queue_calls, args=(calls, queue), daemon=True).start()
    logger = logging.getLogger("featx")
    logger.addHandler(LogToParent())
    logger.setLevel(log_level)
    logger.propagate = False
    deliver_again(set_up_signals)
    try:
        set_up_signals()
        while True:
            carry_out(queue.get())
    except KeyboardInterrupt:
        os._exit(STOPPED_CODE)
