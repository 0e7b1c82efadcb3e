"""Finds the exception of a signal again where Python has swallowed or wrapped it.

A signal that stops a command or a worker raises KeyboardInterrupt in the main thread, wherever that is. Two places do
not let it through: callbacks of the import system print it and go on, and until Python 3.11 a class body raises a
RuntimeError in its place when it comes in `__set_name__`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

AGAIN_SECONDS = 0.01
"""Until a signal is delivered once more: what swallowed it is over by then."""


class Terminated(KeyboardInterrupt):
    """The system asked the process to end: all that handles Ctrl-C handles this.

    Parameters
    ----------
    number : int
        The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.exit_code = 128 + number


def find_stop(error: BaseException) -> KeyboardInterrupt | None:
    """Find the signal that an exception comes from: itself, or what it was raised for; None where there was none."""
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        if isinstance(found, KeyboardInterrupt):
            return found
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return None


def deliver_again(handle_signals: Callable[[], None]) -> None:
    """From now on deliver a signal once more whose exception was swallowed.

    Parameters
    ----------
    handle_signals : callable
        Sets the handlers, which ignore further signals once one has come.
    """

    def raise_again(swallowed: Any) -> None:
        stop = find_stop(swallowed.exc_value) if swallowed.exc_value is not None else None
        if stop is None:
            sys.__unraisablehook__(swallowed)
            return
        handle_signals()
        number = stop.number if isinstance(stop, Terminated) else signal.SIGINT
        # From a thread: raised here, it would be swallowed again.
        timer = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number))
        timer.daemon = True
        timer.start()

    sys.unraisablehook = raise_again
