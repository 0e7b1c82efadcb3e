"""A base of which something is to be chosen: its layers, poolings and cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

from featx.base_choice import BaseChoice
from featx.bases.layer_table import count_bytes, trace
from featx.bases.loading import load_base
from featx.bases.pooling import places
from featx.bases.registry import resolve
from featx.bases.similarity import candidates
from featx.features.missing import UNNAMED_WEIGHTS
from featx.ladder.candidates import list_poolings


@dataclass(frozen=True)
class OpenedBase:
    """A base, and what of it is tried.

    Attributes
    ----------
    choice : BaseChoice
        With its weights stated, so that evaluation finds these features only.
    layers : list of str
        Exact names, in the base's order.
    poolings : dict of str to int
        Bytes that one image takes with each pooling that fits all layers, the usual one first.
    multiply_adds : int
        Of one pass.
    """

    choice: BaseChoice
    layers: list[str]
    poolings: dict[str, int]
    multiply_adds: int


def open_to_choose(choice: BaseChoice) -> OpenedBase:
    """Load a base to see what of it may be tried.

    Raises
    ------
    FeatxError
        If there is no such base, or its weights cannot be had.
    """
    architecture = resolve(choice)
    base = load_base(architecture)
    names = candidates(base)
    layers = [base.layer(name) for name in names]
    sizes = [count_bytes(layer) for layer in layers]
    poolings = {}
    # A map of one place is pooled to the same vector by all.
    layouts = ["vector" if places(layer.shape, layer.layout) in (None, (1, 1)) else layer.layout for layer in layers]
    for pooling in list_poolings(layouts):
        if all(pooling in of_layer for of_layer in sizes):
            poolings[pooling] = sum(of_layer[pooling] for of_layer in sizes)
    cost = sum(trace(architecture.meta_stages(), architecture.input.crop).multiply_adds)
    if choice.weights is None and base.source not in UNNAMED_WEIGHTS:
        choice = replace(choice, weights=base.source)
    return OpenedBase(choice, names, poolings, cost)
