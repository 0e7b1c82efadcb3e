"""Which channels of a layer tell classes apart, and the images that they answer to most: from cached features alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featx.reports.html.looking import Channel
from featx.types import Codes, Matrix

STRONGEST = 20
"""Answers by which a channel is named for a class."""

POOLINGS = ("avg", "max", "cls")
"""Poolings that keep a number a channel."""


def find_channels(X: Matrix, y: Codes, classes: Sequence[str], count: int, pictures: int) -> list[Channel]:
    """Find the channels that tell classes apart best, for different classes as far as there are any.

    The measure is the ratio of the variance between classes to that within (Fisher, 1936).

    Parameters
    ----------
    X : (n, d) float
    y : (n,) int
    classes : sequence of str
    count : int
        Channels.
    pictures : int
        Images of each.

    Returns
    -------
    list of Channel
        The best first; rows are those of X.
    """
    chosen: list[Channel] = []
    others: list[Channel] = []
    for number in np.argsort(-rate_channels(X, y), kind="stable")[: 20 * count].tolist():
        strongest = np.argsort(-X[:, number], kind="stable")[:STRONGEST]
        counts = np.bincount(y[strongest], minlength=len(classes))
        code = int(counts.argmax())
        share = round(int(counts[code]) / len(strongest), 4)
        channel = Channel(number, strongest[:pictures].tolist(), classes[code], share)
        is_new = channel.label not in {each.label for each in chosen}
        (chosen if is_new else others).append(channel)
        if len(chosen) == count:
            break
    return (chosen + others)[:count]


def rate_channels(X: Matrix, y: Codes) -> NDArray[np.float64]:
    """Give the ratio of the variance between classes to that within, of each column: (d,) float64."""
    values = np.asarray(X, np.float64)
    mean = values.mean(axis=0)
    between = np.zeros(values.shape[1])
    within = np.zeros(values.shape[1])
    for code in np.unique(y):
        of_class = values[y == code]
        of_mean = of_class.mean(axis=0)
        between += len(of_class) * (of_mean - mean) ** 2
        within += ((of_class - of_mean) ** 2).sum(axis=0)
    # A column that never changes tells nothing.
    return np.divide(between, within, out=np.zeros_like(between), where=within > 0)
