"""Questions about paths as users write them. No answer raises, whatever the text is."""

from __future__ import annotations

import os
import re

from featx.errors import RequestError

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""How URLs begin; drives of Windows have one letter. One slash is enough: paths lose the second one."""


def refuse_url(text: str) -> None:
    """Raise RequestError for a URL where a path of this machine is wanted: it would become a folder named `s3:`."""
    if URL.match(text):
        raise RequestError(f"'{text}' is a URL, not a path of this machine: nothing is read or written there")


def expand_home(path: str) -> str:
    """Replace a leading `~` by the home folder; a user that does not exist leaves the path as it is."""
    # Path.expanduser raises RuntimeError for such a user.
    return os.path.expanduser(path)  # noqa: PTH111


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
