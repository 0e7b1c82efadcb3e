"""What extraction costs an image: the whole pass, each key's share of it, and what a pass to one layer would cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import accumulate

from featx.bases.architecture import Architecture
from featx.bases.layer_table import trace
from featx.store.writer import RowCost

NETWORK_STEPS = ("forward", "engine")
"""Steps of a `Clock` that take less time for a shallower layer."""


@dataclass(frozen=True)
class PassCost:
    """What a pass of a base has cost.

    Attributes
    ----------
    seconds : float
        Of one image with all its views, everything included.
    network : float
        Part of it that the network took, from 0 to 1; what is left is reading, decoding and writing.
    """

    seconds: float
    network: float

    def of_row(self, keys: int, views: int, depth: float) -> RowCost:
        """Say what one row of a key has cost.

        Parameters
        ----------
        keys, views : int
            Keys that the pass was for, and views among them.
        depth : float
            Of the key's layer, as `measure_depths` gives it.
        """
        to_layer = self.seconds * (1 - self.network * (1 - depth))
        return RowCost(self.seconds / keys, to_layer / views)


def find_network_share(seconds: Mapping[str, float]) -> float:
    """Say what part of the time that threads worked the network took: from 0 to 1; seconds by step."""
    busy = sum(seconds.values())
    return sum(seconds.get(step, 0.0) for step in NETWORK_STEPS) / busy if busy else 0.0


def measure_depths(architecture: Architecture, layers: Collection[str]) -> dict[str, float]:
    """Say how far into a pass layers lie: multiply-adds up to each, as a part of those up to the deepest.

    Parameters
    ----------
    architecture : Architecture
    layers : collection of str
        Exact names.

    Returns
    -------
    dict of str to float
        From 0 to 1; 1 for all where nothing counts as a multiply-add.
    """
    if len(set(layers)) == 1:
        return dict.fromkeys(layers, 1.0)
    stages = architecture.meta_stages()
    totals = accumulate(trace(stages, architecture.input.crop).multiply_adds)
    up_to = {stage.name: total for stage, total in zip(stages, totals, strict=True) if stage.name in layers}
    most = max(up_to.values(), default=0)
    return {layer: up_to[layer] / most if most else 1.0 for layer in layers}
