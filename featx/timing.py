"""Where time goes: seconds by step, added up over threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

BOTTLENECK_SHARE = 0.5
"""Part of the threads' time from which on a step is what everything else waits for."""


class Clock:
    """Adds up the seconds that threads spend in each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.lock = threading.Lock()

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Count the seconds that the block takes for a step, also when it raises."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(step, time.perf_counter() - started)

    def add(self, step: str, seconds: float) -> None:
        """Count seconds for a step: those that another process has spent on it, for one."""
        with self.lock:
            self.seconds[step] = self.seconds.get(step, 0.0) + seconds

    def with_idle(self, workers: int, elapsed: float) -> dict[str, float]:
        """Give the seconds of all steps, and the idle time of the workers as the step "waiting".

        Parameters
        ----------
        workers : int
            Threads that could work all the time.
        elapsed : float
            Seconds that have passed.

        Returns
        -------
        dict of str to float
            Seconds by step, to the millisecond.
        """
        by_step = {step: round(seconds, 3) for step, seconds in self.seconds.items()}
        idle = workers * elapsed - sum(by_step.values())
        return {**by_step, "waiting": round(max(0.0, idle), 3)}


def format_shares(seconds: Mapping[str, float]) -> str:
    """Write seconds by step as shares of their sum, the largest first, such as "forward 66.0 %, decode 34.0 %"."""
    # Nothing timed yet gives an empty text, not a division by zero.
    total = sum(seconds.values()) or 1.0
    ranked = sorted(seconds.items(), key=lambda item: -item[1])
    return ", ".join(f"{step} {100 * spent / total:.1f} %" for step, spent in ranked)


def format_seconds(seconds: float, digits: int = 0) -> str:
    """Write a time as people say it: "21 s", "4 min", "1.5 h".

    Parameters
    ----------
    seconds : float
    digits : int
        Digits after the point, as long as it is seconds.
    """
    if seconds < 99.5:
        return f"{seconds:.{digits}f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def round_roughly(seconds: float) -> float:
    """Round to one digit of the unit that `format_seconds` takes, 1 s at least: a sample tells no more of a whole."""
    unit = next((length for length in (3600, 60) if seconds >= 1.5 * length), 1)
    return max(1.0, unit * float(f"{seconds / unit:.1g}"))


def find_share(seconds: Mapping[str, float], step: str) -> float:
    """Say what part of all seconds a step took: from 0 to 1."""
    total = sum(seconds.values())
    return seconds.get(step, 0.0) / total if total else 0.0


def describe_decoding(seconds: Mapping[str, float]) -> str:
    """Say in a few words that decoding is the bottleneck, with its share; nothing where it is not.

    Parameters
    ----------
    seconds : mapping of str to float
        By step, waiting included: threads that decode for a device which computes more slowly wait for it.
    """
    share = find_share(seconds, "decode")
    return f"decoding is the bottleneck: {share:.0%}" if share >= BOTTLENECK_SHARE else ""
