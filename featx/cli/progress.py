"""A bar with rate and time left on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from featx.timing import format_seconds

BAR_SECONDS = 0.2
"""Time between two updates of the bar: more often would only flicker."""

SILENT_SECONDS = 2.0
"""What takes less is over before one wonders."""

TICK_SECONDS = 1.0
"""Time between two updates of a line that counts seconds."""


class ProgressBar:
    """A bar that appears with the first news, so that a command that finds everything cached shows no empty one.

    Parameters
    ----------
    unit : str
        What is counted, such as "image".
    """

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.remark = ""
        self.bar: Any = None

    def __call__(self, done: int, total: int) -> None:
        """Show how much is done of how much there is."""
        if self.bar is None:
            # Here, since `--help` needs no bar.
            from tqdm import tqdm

            # Its own lock is shared among processes, for which newer versions of Python start one more.
            tqdm.set_lock(threading.RLock())
            options: dict[str, Any] = {"leave": False, "dynamic_ncols": True, "mininterval": BAR_SECONDS}
            self.bar = tqdm(total=total, unit=self.unit, postfix=self.remark or None, **options)
        # Several processes report how much there is one after the other.
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def note(self, remark: str) -> None:
        """Show some words behind the figures from now on."""
        self.remark = remark
        if self.bar is not None:
            self.bar.set_postfix_str(remark, refresh=False)

    def close(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.close()


@contextmanager
def progress_bar(unit: str, quiet: bool) -> Iterator[ProgressBar | None]:
    """Show a bar while the block runs, unless quiet."""
    if quiet:
        yield None
        return
    bar = ProgressBar(unit)
    try:
        yield bar
    finally:
        bar.close()


@contextmanager
def waiting(what: str, quiet: bool) -> Iterator[None]:
    """Say on a terminal what is going on while the block runs, once that takes more than two seconds.

    For steps that cannot tell how far they are; those that can have a bar.

    Parameters
    ----------
    what : str
        Such as "exporting".
    quiet : bool
    """
    if quiet or not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=count_seconds, args=(what, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def count_seconds(what: str, done: threading.Event) -> None:
    """Show how long something has been going on, until it is done."""
    started = time.monotonic()
    if done.wait(SILENT_SECONDS):
        return
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())
    # Lines of the log move above it, as above every bar.
    with tqdm(bar_format="{desc}", leave=False) as line:
        while True:
            line.set_description_str(f"{what} ... {format_seconds(time.monotonic() - started)}")
            if done.wait(TICK_SECONDS):
                return
