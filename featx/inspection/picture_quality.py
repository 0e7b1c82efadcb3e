"""Pictures that are dark, bright, blurred or blank, or of an odd size, shape or colour mode.

Limits of darkness, brightness, shape and blankness are those that cleanvision takes; that of sharpness is for our own
measure, which does not depend on contrast.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from featx.inspection.picture_facts import PictureFacts

DARK = 0.32
"""99 % of the pixels are darker."""

BRIGHT = 0.95
"""95 % of the pixels are brighter."""

BLANK_BITS = 3.0
"""Entropy of the brightness below which a picture holds next to nothing; drawings on white have a little more."""

BLURRED = 0.1
"""Sharpness of 360 photos of flowers, insects and steel is 0.18 at least; blurred by a Gaussian of 1 % of the longer
side it is 0.06 in the median of the photos of flowers and insects, and 0.1 of those of steel (finer grain)."""

ODD_SHAPE = 0.35
"""Shorter side over longer side."""

ODD_SIZE = 4.0
"""Times as large, or as small, as the median side of the data set's pictures."""

RARE_MODE = 0.05
"""Share of pictures below which a colour mode is unlike the others."""


USUAL = 0.2
"""What a larger share of the pictures has is what they are like: drawings on white are nearly blank, scans are grey."""


class PoorPicture(NamedTuple):
    """A row, what is odd about its picture, and the figure that says so."""

    row: int
    problem: str
    value: float


def find_poor_pictures(facts: Mapping[int, PictureFacts]) -> list[PoorPicture]:
    """List what is odd about pictures, by problem and then by how odd each is.

    Parameters
    ----------
    facts : mapping of int to PictureFacts
        By row.
    """
    if not facts:
        return []
    of_each = {row: list_problems(fact) for row, fact in facts.items()}
    usual = find_usual(of_each)
    sides = {row: math.sqrt(fact.width * fact.height) for row, fact in facts.items()}
    median_side = float(np.median(list(sides.values())))
    modes = Counter(fact.mode for fact in facts.values())
    found: list[PoorPicture] = []
    for row, fact in facts.items():
        found += [PoorPicture(row, problem, value) for problem, value in of_each[row] if problem not in usual]
        ratio = sides[row] / median_side
        if not 1 / ODD_SIZE < ratio < ODD_SIZE:
            found.append(PoorPicture(row, "odd size", ratio))
        share = modes[fact.mode] / len(facts)
        if share < RARE_MODE:
            found.append(PoorPicture(row, f"colour mode {fact.mode}", share))
    return sorted(found, key=lambda poor: (poor.problem, poor.value, poor.row))


def find_usual(of_each: Mapping[int, list[tuple[str, float]]]) -> set[str]:
    """Find the problems that so many pictures have that they are not problems of single pictures."""
    counts = Counter(problem for problems in of_each.values() for problem, _ in problems)
    return {problem for problem, count in counts.items() if count > USUAL * len(of_each)}


def list_problems(fact: PictureFacts) -> list[tuple[str, float]]:
    """List what is wrong with one picture by itself, with the figure that says so."""
    problems = []
    is_blank = fact.entropy < BLANK_BITS
    if fact.bright_end < DARK:
        problems.append(("dark", fact.bright_end))
    if fact.dark_end > BRIGHT:
        problems.append(("bright", fact.dark_end))
    if is_blank:
        problems.append(("blank", fact.entropy))
    # What shows nothing is not sharp either.
    elif fact.sharpness < BLURRED:
        problems.append(("blurred", fact.sharpness))
    shape = min(fact.width, fact.height) / max(fact.width, fact.height)
    if shape < ODD_SHAPE:
        problems.append(("odd shape", shape))
    return problems
