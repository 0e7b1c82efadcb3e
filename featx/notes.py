"""The level of notes: one line that says what featx took, and what it passed over, where it had to choose.

`log.log(NOTE, ...)` is shown on the command line as `note: ...`, unless `-q` is given. Below a warning: nothing is
wrong, and a program that has not set up its log does not see it.
"""

from __future__ import annotations

import logging

NOTE = 25

logging.addLevelName(NOTE, "NOTE")
