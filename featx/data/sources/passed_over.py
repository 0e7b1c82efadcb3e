"""What a folder holds beside the pictures of a data set, and the one line that says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from featx.data.listing import FailedImage
from featx.data.sources.content import find_suffix
from featx.errors import shorten

SYSTEM_FILE = "system file"
SIDE_FOLDER = "side folder"
HIDDEN_FOLDER = "hidden folder"
OWN_STORE = "featx's own feature store"
REPEATED_LINK = "link to a folder that is read where it lies"
NOT_A_PICTURE = "not a picture"
OUTSIDE = "outside the class folders"
NO_PICTURES = "folder without pictures"
UNSAFE_NAME = "name that leads out of the archive"
REPEATED_NAME = "name that another member of the archive has"

IN_WORDS = {
    NOT_A_PICTURE: ("file that is not a picture", "files that are not pictures"),
    OUTSIDE: ("picture outside the class folders", "pictures outside the class folders"),
    NO_PICTURES: ("folder without pictures", "folders without pictures"),
    SIDE_FOLDER: ("side folder", "side folders"),
    HIDDEN_FOLDER: ("hidden folder", "hidden folders"),
    UNSAFE_NAME: ("member whose name leads out of the archive", "members whose names lead out of the archive"),
    REPEATED_NAME: ("member with the name of another one", "members with names of other ones"),
    SYSTEM_FILE: ("system file", "system files"),
    OWN_STORE: ("feature store of featx", "feature stores of featx"),
    REPEATED_LINK: ("link to a folder that is read where it lies", "links to folders that are read where they lie"),
}
"""Reasons for passing something over, in the order in which they are told, in singular and plural."""

SHOWN_NAMES = 6
"""Names, or suffixes, that the line gives of each reason."""


def describe_passed_over(skipped: Sequence[FailedImage]) -> str:
    """Say in one line what was passed over; "" if nothing was.

    `passed over: 14 files that are not pictures (.json 12, .txt 2), 1 side folder (__MACOSX)`
    """
    kinds = []
    for reason, (singular, plural) in IN_WORDS.items():
        paths = [file.path for file in skipped if file.reason == reason]
        if paths:
            noun = singular if len(paths) == 1 else plural
            kinds.append(f"{len(paths)} {noun} ({count_names(paths, reason)})")
    return f"passed over: {', '.join(kinds)}" if kinds else ""


def count_names(paths: Sequence[str], reason: str) -> str:
    """Name what was passed over, the most frequent first: files by suffix, others by name."""
    if reason == NOT_A_PICTURE:
        counts = Counter(find_suffix(path) or "no suffix" for path in paths)
        return shorten((f"{name} {count}" for name, count in counts.most_common()), SHOWN_NAMES)
    if reason == OUTSIDE:
        return shorten(paths, 1)
    counts = Counter(Path(path).name.strip() for path in paths)
    return shorten((name if count == 1 else f"{name} {count}" for name, count in counts.most_common()), SHOWN_NAMES)
