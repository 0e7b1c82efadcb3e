"""A thread for one call whose result is wanted later: it keeps neither Ctrl-C nor the end of the program waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

R = TypeVar("R")

LISTEN_SECONDS = 0.25
"""How long Ctrl-C goes unheard at most."""


class Background(Generic[R]):
    """A call that goes on while the thread that made it does something else.

    `concurrent.futures` would be waited for at the end of the program, also after Ctrl-C.

    Parameters
    ----------
    function : callable
        Takes nothing. It should release the interpreter's lock for most of its time.
    """

    def __init__(self, function: Callable[[], R]) -> None:
        self._function = function
        self._results: list[R] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._results.append(self._function())
        except BaseException as error:
            self._error = error

    def result(self) -> R:
        """Wait for what the call returns, or raise what it raised."""
        # A signal that comes just before a wait would be heard at its end only.
        while self._thread.is_alive():
            self._thread.join(LISTEN_SECONDS)
        if self._error is not None:
            raise self._error
        return self._results[0]
