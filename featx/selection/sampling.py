"""A stratified sample of rows, groups kept whole, where a shortlist need not see them all."""

from __future__ import annotations

import numpy as np

from featx.features.splits import FOLDS, LabelledRows
from featx.types import RowNumbers

CHECK_EVERY = 1000
"""Groups after which it is looked whether any class lacks rows: of a million images most need not be seen."""


def draw_rows(rows: LabelledRows, most: int, seed: int) -> RowNumbers:
    """Draw about so many rows, each class by its share, whole groups only; all rows where there are no more.

    Of each class there are as many groups as there are folds, or two at least where classes are many, so that there may
    be a few rows more than asked for.

    Parameters
    ----------
    rows : LabelledRows
    most : int
    seed : int

    Returns
    -------
    (m,) int
        Rising row numbers.
    """
    n = len(rows.y)
    if n <= most:
        return np.arange(n)
    counts = np.bincount(rows.y)
    least = int(np.clip(most // np.count_nonzero(counts), 2, FOLDS))
    _, place = np.unique(rows.groups, return_inverse=True)
    members = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place))[:-1])
    shuffled = np.random.default_rng(seed).permutation(len(members))
    is_drawn = np.zeros(n, bool)
    rows_drawn = np.zeros(len(counts), np.intp)
    groups_drawn = np.zeros(len(counts), np.intp)
    quotas = most / n * counts
    for number, group in enumerate(shuffled):
        if number % CHECK_EVERY == 0 and ((rows_drawn + 0.5 > quotas) & (groups_drawn >= least))[counts > 0].all():
            break
        of_group = np.bincount(rows.y[members[group]], minlength=len(counts))
        holds = of_group > 0
        lacks = (rows_drawn + of_group / 2 <= quotas) | (groups_drawn < least)
        if lacks[holds].any():
            is_drawn[members[group]] = True
            rows_drawn += of_group
            groups_drawn += holds
    return np.flatnonzero(is_drawn)
