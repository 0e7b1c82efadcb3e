"""Keeps what is logged on a node of a cluster for the driver, which shows it as its own."""

from __future__ import annotations

import logging
import multiprocessing


class LogCollector(logging.Handler):
    """Keeps log records until they are taken.

    Attributes
    ----------
    messages : list of (logger, level, text)
    """

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[tuple[str, int, str]] = []

    def begin(self, level: int) -> None:
        """Take all that featx logs in this process from a level on, instead of any earlier collector."""
        # Some things are said only once, by the process that the user started.
        multiprocessing.current_process().name = "worker"
        logger = logging.getLogger("featx")
        logger.handlers[:] = [self]
        logger.setLevel(level)
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.messages.append((record.name, record.levelno, record.getMessage()))

    def take(self) -> list[tuple[str, int, str]]:
        """Give what was kept, and forget it."""
        taken = self.messages
        self.messages = []
        return taken
