"""What can go wrong, each error also a built-in, so that callers may catch either.

A message says what was asked (quoted), what is there, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Protocol


class Command(Protocol):
    """A request that can be written as the command that carries it out."""

    def command(self) -> str:
        """Write the command."""
        ...


class FeatxError(Exception):
    """Root of every error that a user can mend; the command line prints it as one line and exits with 1."""


class UnknownName(FeatxError, LookupError):
    """A base, layer, pooling, classifier or TOML key that does not exist."""


class UnsupportedLayout(FeatxError, ValueError):
    """A pooling that needs what a layer does not have, such as a class token."""


class DataError(FeatxError, ValueError):
    """A data set that cannot be used as it is: empty, without classes, too few images of a class."""


class WeightsError(FeatxError, ValueError):
    """Weights that are missing, unreadable or made for another architecture."""


class StoreError(FeatxError, OSError):
    """A cache folder or a part in it that cannot be read or written."""


class BrokenPart(StoreError):
    """A part whose contents contradict its checksums, its name or its folder."""


class NewerPart(StoreError):
    """A part whose format is newer than this version reads."""


class NotFinite(FeatxError, ValueError):
    """Features that are infinite, no numbers, or too large for the stored dtype."""


class MissingFeatures(FeatxError, LookupError):
    """Features that were asked for and that no part of the store holds yet.

    Parameters
    ----------
    what : str
        What is missing, in words.
    request : Command, optional
        The request that would compute it; the command line writes it as a command.
    """

    def __init__(self, what: str, request: Command | None = None) -> None:
        super().__init__(what)
        self.request = request


class RequestError(FeatxError, ValueError):
    """A request whose values contradict each other or cannot be carried out."""


class ModelError(FeatxError, ValueError):
    """A model file that cannot be read, or that does not fit what it is used with."""


def shorten(names: Iterable[str], most: int = 12) -> str:
    """Join names with commas, and say how many more there are after `most` of them."""
    listed = list(names)
    text = ", ".join(listed[:most])
    return text if len(listed) <= most else f"{text} and {len(listed) - most} more"


def unknown(kind: str, asked: str, known: Iterable[str], hint: str = "") -> UnknownName:
    """Build the error for a name that does not exist, with the nearest one that does.

    Parameters
    ----------
    kind : str
        What the name should have named, such as "layer" or "classifier of `--clf`".
    asked : str
        The name as it was given.
    known : iterable of str
        Every name that would have been right.
    hint : str
        A closing sentence: what to do beside choosing another name.
    """
    names = [str(name) for name in known]
    near = difflib.get_close_matches(asked, names, n=1, cutoff=0.5)
    guess = f" Did you mean '{near[0]}'?" if near else ""
    listed = shorten(names, 40) or "none"
    return UnknownName(f"unknown {kind} '{asked}'.{guess} There are: {listed}.{' ' + hint if hint else ''}")
