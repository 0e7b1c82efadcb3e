"""A file that was opened, and the small types that all storages share."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

MeasureHead = Callable[[bytes], int]
"""Tells from the first bytes of a file how many of them a reader of its head needs; 0 where they say nothing."""

Data = bytes | memoryview


@dataclass(frozen=True)
class OpenedFile:
    """A file that can be read at any place, from any thread; to be closed, or used in a `with` block.

    Attributes
    ----------
    handle : int
        Of a file of this machine.
    size : int
        Bytes of the whole file.
    is_whole : bool
        Whether the handle gives the whole file, not its head only.
    modified : float
        When the file was written, in seconds since 1970.
    """

    handle: int
    size: int
    is_whole: bool
    modified: float

    def close(self) -> None:
        """Close the handle."""
        os.close(self.handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()
