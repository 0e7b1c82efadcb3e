"""Signs of life of a fit that takes long."""

from __future__ import annotations

import logging
import time

from featx.log import note
from featx.timing import format_seconds
from featx.types import Progress

log = logging.getLogger(__name__)

FIRST_AFTER = 2.0
"""Seconds after which a fit says how far it is."""

AGAIN_AFTER = 10.0
"""Seconds from one line to the next."""


def make_heartbeat(what: str, first_after: float = FIRST_AFTER, again_after: float = AGAIN_AFTER) -> Progress:
    """Make a callback that says now and then, in one line, how many passes are done, and what time is left.

    Parameters
    ----------
    what : str
        What is being done.
    first_after, again_after : float
        Seconds from now to the first line, and from each to the next.
    """
    started = time.perf_counter()
    due = started + first_after

    def beat(done: int, total: int) -> None:
        nonlocal due
        now = time.perf_counter()
        if now < due:
            return
        due = now + again_after
        left = (now - started) * (total - done) / done
        until = f"about {format_seconds(left)} left" if total > done else "nearly done"
        note(log, f"{what}: {done} of about {total} passes over the rows, {until}")

    return beat
