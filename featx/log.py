"""What featx says by the way: lines between warnings and information; a command shows them, a library keeps quiet."""

from __future__ import annotations

import logging

NOTE = 25
"""Level of a note: what featx took, where nothing is wrong. Commands show it on stderr unless they are quiet."""

logging.addLevelName(NOTE, "NOTE")


def note(logger: logging.Logger, message: str) -> None:
    """Log one line as a note."""
    logger.log(NOTE, "%s", message)
