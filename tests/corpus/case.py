"""What a case of the corpus is: a data set as somebody has it, and what featx must say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

QUARTER = "held out: a quarter, drawn with seed 42 (4 images); trained on the rest (12)"

PLAIN = {"/ants": 8, "/bees": 8}
"""What most cases hold once they are read."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A data set and what the commands make of it: lines that are not foreseen here fail the test.

    Attributes
    ----------
    name : str
    make : callable
        Makes it in an empty folder, in which the commands are then typed.
    data : str
        DATA as it is typed.
    flags : tuple of str
        Of `extract`, `fit` and `cache export`.
    said : tuple of str
        Parts of what `extract` says, one a line, in any order; `fit` says the same.
    pixels_said : tuple of str
        Parts of what `extract` and `predict` say of pictures that they decode.
    stops : str
        Part of the error that stops `extract` and `fit`; then nothing below is asked but what `predict` does.
    read : mapping of str to int
        Rows that are stored, by "SPLIT/LABEL", or "/LABEL" where there are no splits.
    failed : tuple of str
        Parts of the lines that name images that failed, for which the exit code is 1.
    fitted : (int, int) or str
        Images trained on and held out, or part of the error of `fit`.
    fit_said : tuple of str
        Parts of what else `fit` says, but for what it held out.
    held_out : str
        Part of that.
    labelled : int or str
        Images that `predict` labels, or part of its error; all that are in `read` unless it is given.
    predict_said : tuple of str
        Parts of what `predict` says.
    needs : str
        A package without which the case cannot be tried.
    """

    name: str
    make: Callable[[Path], object]
    data: str = "photos"
    flags: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    pixels_said: tuple[str, ...] = ()
    stops: str = ""
    read: Mapping[str, int] = field(default_factory=lambda: PLAIN)
    failed: tuple[str, ...] = ()
    fitted: tuple[int, int] | str = (12, 4)
    fit_said: tuple[str, ...] = ()
    held_out: str = ""
    labelled: int | str | None = None
    predict_said: tuple[str, ...] = ()
    needs: str = ""
