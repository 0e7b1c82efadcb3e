"""What looking at the data and at layers gives a page, as plain values: whoever looks hands it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.storage.paths import CachePath
from featx.types import Codes, Matrix

Inspection = Mapping[str, Any]
"""What `featx inspect --json` prints."""

Placed = tuple[Sequence[int], Sequence[float], Sequence[float]]
"""Rows, and where each lies: x and y."""


@dataclass(frozen=True)
class ToBePlaced:
    """Images that are to lie on a map.

    Attributes
    ----------
    X : (n, d) float
    y : (n,) int
    seed : int
    cache : pathlib.Path
        Where a map may be kept.
    stated : dict
        What the map depends on beside: a map of the same is the same.
    """

    X: Matrix
    y: Codes
    seed: int
    cache: CachePath
    stated: dict[str, Any]


Place = Callable[[ToBePlaced], Placed]
"""Places images in two dimensions."""


@dataclass(frozen=True)
class FeatureMap:
    """Where images lie, by the features of one cut.

    Attributes
    ----------
    layer, pooling : str
    rows : sequence of int
        Of the data set.
    x, y : sequence of float
    """

    layer: str
    pooling: str
    rows: Sequence[int]
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Channel:
    """A channel of a layer, and the images that it answers to most.

    Attributes
    ----------
    number : int
    rows : list of int
        The strongest first.
    label : str
        The class that is most frequent among the strongest answers.
    share : float
        How many of these are of it.
    """

    number: int
    rows: list[int]
    label: str
    share: float


@dataclass(frozen=True)
class LayerChannels:
    """A few channels of a layer."""

    layer: str
    pooling: str
    channels: list[Channel]


ChannelPlace = tuple[str, int, int]
"""A layer, a channel of it, and a row of the data set."""

Answers = Mapping[ChannelPlace, NDArray[np.float64]]
"""How strongly a channel answers to each place of an image: (h, w)."""


@dataclass(frozen=True)
class Evidence:
    """Where in an image the evidence for a class lies.

    Attributes
    ----------
    label : str
    values : (h, w) float
        What each place adds to the score.
    method : str
        How the map was made.
    """

    label: str
    values: NDArray[np.float64]
    method: str


@dataclass(frozen=True)
class Looked:
    """All that was looked at beyond results; whatever is missing is said on the page, with what brings it.

    Attributes
    ----------
    inspection : Inspection or None
    maps : sequence of FeatureMap
        One, or those of two depths.
    layers : sequence of LayerChannels
        In the base's order.
    answers : mapping of ChannelPlace to (h, w) float64
        Where in their pictures the channels answer.
    answers_remark : str
        Why that is not known.
    evidence : mapping of int to Evidence
        By row of the data set: for the class that was predicted.
    evidence_remark : str
        Why there is none.
    """

    inspection: Inspection | None = None
    maps: Sequence[FeatureMap] = ()
    layers: Sequence[LayerChannels] = ()
    answers: Answers = field(default_factory=dict)
    answers_remark: str = ""
    evidence: Mapping[int, Evidence] = field(default_factory=dict)
    evidence_remark: str = ""
