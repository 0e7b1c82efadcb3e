"""Finds the exception of a signal again where it was swallowed, wrapped or replaced.

A signal that stops a command or a worker raises KeyboardInterrupt in the main thread, wherever that is. Three places do
not let it through: callbacks of the import system print it and go on; until Python 3.11 a class body raises a
RuntimeError in its place when it comes in `__set_name__`; and Ray raises a KeyboardInterrupt of its own, which does not
say which signal it was.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def stop_remembered() -> Iterator[None]:
    """Raise what the handler of a signal raised where another KeyboardInterrupt was put in its place.

    For SIGTERM and SIGHUP, and in the main thread, where handlers run.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stops: list[KeyboardInterrupt] = []
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    remembering = {number: remember(handler, stops) for number, handler in before.items() if callable(handler)}
    for number, handler in remembering.items():
        signal.signal(number, handler)
    try:
        yield
    except KeyboardInterrupt as stop:
        if stops and stop is not stops[0]:
            raise stops[0] from stop
        raise
    finally:
        for number, handler in remembering.items():
            # A handler that has run may have set others.
            if signal.getsignal(number) is handler:
                signal.signal(number, before[number])


def remember(handler: Callable[[int, Any], Any], stops: list[KeyboardInterrupt]) -> Callable[[int, Any], Any]:
    """Let a handler put what it raises into a list, too."""

    def handle(number: int, frame: Any) -> None:
        try:
            handler(number, frame)
        except KeyboardInterrupt as stop:
            stops.append(stop)
            raise

    return handle
