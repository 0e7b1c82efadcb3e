"""Where time goes: seconds by step, added up over threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


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
