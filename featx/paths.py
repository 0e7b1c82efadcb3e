"""Questions about paths as users write them. No answer raises, whatever the text is."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from featx.errors import RequestError, did_you_mean, shorten

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""How URLs begin; drives of Windows have one letter. One slash is enough: paths lose the second one."""

MOST_ENTRIES = 2000
"""Entries of a folder among which a near name is looked for, which takes milliseconds."""

LONGEST_NAME = 255
"""Bytes in the name of a file on every usual system: a longer one was never meant to be one."""

SHOWN_ENTRIES = 6
"""Entries of a folder that a message names where none is near."""


def refuse_url(text: str) -> None:
    """Raise RequestError for a URL where a path of this machine is wanted: it would become a folder named `s3:`."""
    if URL.match(text):
        raise RequestError(f"'{text}' is a URL, not a path of this machine: nothing is read or written there")


def expand_home(path: str) -> str:
    """Replace a leading `~` by the home folder; a user that does not exist leaves the path as it is."""
    # Path.expanduser raises RuntimeError for such a user.
    return os.path.expanduser(path)  # noqa: PTH111


def find_real_path(path: str) -> str:
    """Give a path without links, counted from the root; a URL is one already."""
    return path.rstrip("/") if URL.match(path) else os.path.realpath(path)


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a regular file; False for the empty path, and for one that the system refuses."""
    # Path.is_file raises for names that are too long and for folders that may not be searched.
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder; False for the empty path, and for one that the system refuses."""
    return os.path.isdir(path)  # noqa: PTH112


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is anything at a path, if only a link that leads nowhere."""
    try:
        return os.path.lexists(path)
    except ValueError:  # a NUL in the path
        return False


def explain_absence(path: str, others: Sequence[str] = ()) -> str:
    """Say in sentences where a path that does not exist ends to exist, and what may have been meant.

    Parameters
    ----------
    path : str
    others : sequence of str
        Names beside those of files that would have been right, too.

    Returns
    -------
    str
        "" where nothing helpful is to be said: of an empty path, a URL, or a name that is too long to be one.
    """
    if not path.strip() or "\0" in path or URL.match(path):
        return ""
    missing = Path(expand_home(path))
    while not is_folder(missing.parent) and missing.parent != missing:
        missing = missing.parent
    if missing.parent == missing or len(os.fsencode(missing.name)) > LONGEST_NAME:
        return ""
    entries = list_names(missing.parent)
    suggestion = did_you_mean(missing.name, [*entries, *others])
    if not suggestion and entries:
        suggestion = f" There are: {shorten(entries, SHOWN_ENTRIES)}."
    return f"The folder '{missing.parent.absolute()}' holds no '{missing.name}'.{suggestion}"


def list_names(folder: Path) -> list[str]:
    """List what is in a folder, sorted, except hidden names; nothing of a folder that cannot be read."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, MOST_ENTRIES)]
    except OSError:
        return []
    return sorted(name for name in names if not name.startswith("."))
