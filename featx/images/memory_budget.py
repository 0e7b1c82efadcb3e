"""Memory that threads share: each takes what it needs, and gives it back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class MemoryBudget:
    """An amount of memory that threads hold shares of; whoever asks for more than is left waits.

    Parameters
    ----------
    total : int
        Bytes. A share larger than that is given when nobody else holds any.

    Attributes
    ----------
    held : int
        Bytes that are taken at the moment.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.held = 0
        self._changed = Condition()

    @contextmanager
    def hold(self, share: int) -> Iterator[None]:
        """Wait for a share of so many bytes, and give it back on leaving."""
        with self._changed:
            self._changed.wait_for(lambda: self._has_room(share))
            self.held += share
        try:
            yield
        finally:
            with self._changed:
                self.held -= share
                # All of them: the first to wake may ask for more than is left, and the next for less.
                self._changed.notify_all()

    def _has_room(self, share: int) -> bool:
        return self.held == 0 or self.held + share <= self.total
