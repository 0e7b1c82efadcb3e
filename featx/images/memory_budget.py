"""A shared allowance that threads take from and give back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Budget:
    """An amount that threads hold shares of; whoever asks for more than is left waits.

    Parameters
    ----------
    total : int
        Bytes. A share larger than that is given when nobody else holds any.
    """

    def __init__(self, total: int) -> None:
        self.total, self.held = total, 0
        self._changed = Condition()

    @contextmanager
    def hold(self, share: int) -> Iterator[None]:
        """Wait for a share, and give it back on leaving."""
        with self._changed:
            self._changed.wait_for(lambda: self.held == 0 or self.held + share <= self.total)
            self.held += share
        try:
            yield
        finally:
            with self._changed:
                self.held -= share
                self._changed.notify_all()
