"""The file that an interrupted training goes on from."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from featx.files import write_atomic

log = logging.getLogger(__name__)

FORMAT = 2
"""Raised when the state of a training is laid out differently; 1 had no such number."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of one training.

    Attributes
    ----------
    path : pathlib.Path
    facts : str
        Everything that the training depends on: one of other facts is not gone on from.
    """

    path: Path
    facts: str

    def write(self, state: dict[str, Any]) -> None:
        """Write the state atomically: a kill leaves the previous one or this one."""
        file = io.BytesIO()
        torch.save({"format": FORMAT, "facts": self.facts, **state}, file)
        write_atomic(self.path, file.getvalue())

    def read(self) -> dict[str, Any] | None:
        """Read the state back, with a warning where there is one that cannot be used.

        Raises
        ------
        Exception
            Whatever a damaged file leads to.
        """
        if not self.path.is_file():
            return None
        state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        if state.get("format") != FORMAT:
            log.warning("'%s' was written by another version of featx: training starts anew", self.path)
            return None
        if state["facts"] != self.facts:
            log.warning("'%s' belongs to another request: training starts anew", self.path)
            return None
        return state
