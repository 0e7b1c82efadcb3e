"""Names of classes: cleaned of what nobody sees, and compared with one another."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable

from featx.errors import shorten

log = logging.getLogger(__name__)

LOOK_ALIKES = str.maketrans("авекмнорстухіјѕαειονρτυχκ", "abekmhopctyxijsaeiovptuxk")
"""Cyrillic and Greek small letters, and the Latin ones that they are taken for."""

BETWEEN_LETTERS = re.compile(r"(?<=[^\W\d_])[\s_-]+(?=[^\W\d_])")
"""Blanks, underscores and hyphens inside a name; not beside digits, since "1-1" and "11" are two classes."""

NUMBER = re.compile(r"(?P<sign>-?)(?=\d)0*(?P<whole>\d*?)(?:\.(?P<fraction>\d*?)0*)?")
"""A number, apart from zeros that change nothing: "1", "01" and "1.0" are one number, and often meant as one class."""

BLANKS = re.compile(r"\s+")

FEW = 5
"""Pairs of similar names that a warning lists."""


def clean_name(name: str) -> str:
    """Take off blanks around a name, and write accented letters in one way (Unicode's NFC)."""
    return unicodedata.normalize("NFC", name).strip()


def find_similar_names(names: Iterable[str]) -> list[tuple[str, str]]:
    """Find names that differ only by case, blanks, look-alike letters or how a number is written.

    Parameters
    ----------
    names : iterable of str
        Repetitions are passed over.

    Returns
    -------
    list of (str, str)
        Each name with the first one, in sorted order, that it may be taken for.
    """
    first_of: dict[str, str] = {}
    pairs = []
    for name in sorted(set(names)):
        seen_as = simplify_name(name)
        if seen_as in first_of:
            pairs.append((first_of[seen_as], name))
        else:
            first_of[seen_as] = name
    return pairs


def simplify_name(name: str) -> str:
    """Reduce a name to what a reader tells apart."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    # Category Cf: zero-width blanks, soft hyphens, marks of direction.
    visible = "".join(letter for letter in plain if unicodedata.category(letter) != "Cf").strip()
    number = NUMBER.fullmatch(visible)
    if number:
        return f"{number['sign']}{number['whole'] or '0'}.{number['fraction'] or ''}"
    joined = BETWEEN_LETTERS.sub("", visible)
    return BLANKS.sub(" ", joined).translate(LOOK_ALIKES)


def warn_of_similar_classes(labels: Iterable[str], data: str) -> None:
    """Warn, in one line, of classes of a data set that are perhaps one and the same."""
    pairs = find_similar_names(labels)
    if not pairs:
        return
    listed = shorten((f"{first!r} and {other!r}" for first, other in pairs), FEW)
    log.warning("'%s' has class names that are nearly equal and count as different classes: %s", data, listed)
