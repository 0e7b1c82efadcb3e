"""What can go wrong. Each error is also a built-in, so that callers may catch either.

A message says what was asked (quoted), what is there, and what to do next.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

NUMBERED = re.compile(r"(.*\.)([0-9]{1,9})")
"""A name that ends with a place in a list, such as "features.18": what stands before it, and its digits."""


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
    """A data set that cannot be used as it is: empty, without classes, or with too few images of a class."""


class WeightsError(FeatxError, ValueError):
    """Weights that are missing, unreadable or made for another architecture."""


class StoreError(FeatxError, OSError):
    """A cache folder or a part in it that cannot be read or written."""


class BrokenPart(StoreError):
    """A part whose contents contradict its checksums, its name or its folder."""


class NewerPart(StoreError):
    """A part whose format is newer than this version reads."""


class NotFinite(FeatxError, ValueError):
    """Features that contain NaN or inf, or overflow the stored dtype."""


class MissingFeatures(FeatxError, LookupError):
    """Features that were requested and that no part of the store holds yet.

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
        if request is not None:
            # Shown below a traceback, where nobody words the error.
            self.add_note(f"Run: {request.command()}")


class RequestError(FeatxError, ValueError):
    """A request whose values contradict each other or cannot be carried out."""


class ModelError(FeatxError, ValueError):
    """A model file that cannot be read, or that does not fit what it is used with."""


def shorten(names: Iterable[str], most: int = 12) -> str:
    """Join names with commas, and say how many more there are after `most` of them."""
    listed = list(names)
    text = ", ".join(listed[:most])
    if len(listed) <= most:
        return text
    return f"{text} and {len(listed) - most} more"


def first_line(error: Exception) -> str:
    """Give the first line of an error's message; without a message, the name of its type."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def did_you_mean(name: str, choices: Sequence[str]) -> str:
    """Suggest the most similar of some names as a sentence after a space; "" if none is similar."""
    # Of places in one list the nearest of as many digits: by letters alone, 'x.19' is more like 'x.9' than 'x.18'.
    wanted = NUMBERED.fullmatch(name)
    numbered = [match for choice in choices if (match := NUMBERED.fullmatch(choice)) and is_counterpart(match, wanted)]
    if wanted and numbered:
        nearest = min(numbered, key=lambda match: abs(int(match[2]) - int(wanted[2])))
        return f" Did you mean '{nearest[0]}'?"
    # Half of the letters must agree: below that, a guess is more puzzling than none.
    similar = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return f" Did you mean '{similar[0]}'?" if similar else ""


def is_counterpart(match: re.Match[str], wanted: re.Match[str] | None) -> bool:
    """Whether two names that end with a place differ in that at most, and not in how many digits it has."""
    return wanted is not None and match[1] == wanted[1] and len(match[2]) == len(wanted[2])


def unknown(kind: str, name: str, choices: Iterable[str], hint: str = "") -> UnknownName:
    """Build the error for a name that does not exist, with the most similar one that does.

    Parameters
    ----------
    kind : str
        What the name should have named, such as "layer" or "classifier of `--clf`".
    name : str
        The name as it was given.
    choices : iterable of str
        Every name that would have been right.
    hint : str
        A closing sentence: what to do beside choosing another name.

    Returns
    -------
    UnknownName
        To be raised by the caller.
    """
    names = [str(choice) for choice in choices]
    message = f"unknown {kind} '{name}'.{did_you_mean(name, names)} There are: {shorten(names, 40) or 'none'}."
    if hint:
        message += f" {hint}"
    return UnknownName(message)
