"""One line of a diagnosis."""

from __future__ import annotations

import getpass
import os
import platform
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Status = Literal["ok", "note", "problem"]

PATH = re.compile(r"(?<![\w.:/])(?:[A-Za-z]:)?(?:[/\\](?![/\\\s])[^\s'\"/\\:,;]+){2,}[/\\]?|(?<!\w)~[/\\][^\s'\":,;]*")
"""Paths of two parts and more: in messages of other libraries they tell where somebody works."""

LEAST_NAME = 3
"""Shorter names of users and machines would be found in half of all words."""


@dataclass(frozen=True)
class Finding:
    """What was found of one thing.

    Attributes
    ----------
    topic : str
        What it belongs to, such as "packages".
    status : {"ok", "note", "problem"}
        A problem keeps featx from what it is for; a note is to be known.
    text : str
        What was found.
    advice : str
        What to do about it; empty where nothing is to be done.
    """

    topic: str
    status: Status
    text: str
    advice: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


def hide_people(text: str, names: Iterable[str] | None = None) -> str:
    """Take out of a text what tells who somebody is: paths, and the names of user, machine and home folder.

    Parameters
    ----------
    text : str
    names : iterable of str, optional
        What to take out beside paths; by default those of this machine.
    """
    hidden = PATH.sub("<path>", text)
    for name in sorted(list_names() if names is None else names, key=len, reverse=True):
        if len(name) >= LEAST_NAME:
            hidden = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "<name>", hidden)
    return hidden


def list_names() -> set[str]:
    """List the names of the user, the machine and the home folder, as far as the system tells."""
    names = {platform.node(), Path.home().name, *(os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME"))}
    # A user without an entry, as in many containers.
    with suppress(OSError, KeyError, ImportError):
        names.add(getpass.getuser())
    # Names that containers give to everybody tell nothing, and stand in many words of many messages.
    return names - {"root", "user", "home", "localhost", ""}
