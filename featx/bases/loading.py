"""From an architecture to a base: its network with weights in it, cut into stages."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import nn

from featx.bases.architecture import Architecture
from featx.bases.base import CLASSIFIERS, Base, Layer, Stage, describe_layers
from featx.bases.meta_device import build_on_meta, fill_with_zeros
from featx.bases.registry import resolve
from featx.bases.weights import load_weights
from featx.errors import RequestError
from featx.keys import BaseId
from featx.requests import BaseChoice


def open_base(choice: BaseChoice) -> Base:
    """Load the base that a choice names."""
    return load_base(resolve(choice))


def load_base(architecture: Architecture) -> Base:
    """Build a frozen base with its weights.

    Weights without a classifier, or with one for other classes, give the base without it: it ends before the first
    stage that they leave empty.

    Raises
    ------
    UnknownName
        If there are no weights of this name.
    WeightsError
        If the weights cannot be had or are made for another architecture.
    RequestError
        If the network takes no images of this size.
    """
    network = build_network(architecture)
    stages = architecture.stages(network)
    owned = tensors_by_stage(stages, network)
    head_tensors = set().union(*owned[find_head(stages, owned) :])
    weights = architecture.weights or architecture.default_weights
    loaded = load_weights(architecture.name, network, weights, head_tensors)
    base_id = BaseId(architecture.name, loaded.digest, architecture.input, architecture.precision)
    layers = shapes_by_running(architecture, stages) or architecture.layers()
    end = len(stages)
    for place, names in enumerate(owned):
        if names & loaded.left_out:
            end = place
            break
    return Base(base_id, loaded.source, stages[:end], layers[:end], network)


def build_network(architecture: Architecture) -> nn.Module:
    """Build a frozen network: zeros where weights are about to be loaded, else random numbers, always the same ones."""
    if architecture.builds_on_meta and architecture.weights != "random":
        # Drawing numbers that are about to be overwritten would take most of the time.
        return fill_with_zeros(build_on_meta(architecture.build))
    torch.manual_seed(0)
    return architecture.build().eval().requires_grad_(False)


def tensors_by_stage(stages: Sequence[Stage], network: nn.Module) -> list[set[str]]:
    """Name the tensors of a network that each stage owns."""
    names = {id(tensor): name for name, tensor in network.state_dict(keep_vars=True).items()}
    owned = []
    for stage in stages:
        tensors = stage.module.state_dict(keep_vars=True).values()
        owned.append({names[id(tensor)] for tensor in tensors})
    return owned


def find_head(stages: Sequence[Stage], owned: Sequence[set[str]]) -> int:
    """Find the first stage that a base can do without: the classifier, or else the last stage that has weights."""
    with_tensors = [place for place, names in enumerate(owned) if names]
    for place in with_tensors:
        if stages[place].name.split(".")[0] in CLASSIFIERS:
            return place
    return with_tensors[-1] if with_tensors else len(stages)


def shapes_by_running(architecture: Architecture, stages: Sequence[Stage]) -> tuple[Layer, ...]:
    """Describe the layers by a batch of no images, which costs milliseconds; empty where a network cannot be run so."""
    if architecture.builds_on_meta:
        with suppress(RequestError):  # a vision transformer, or a network that takes no images of this size
            return describe_layers(stages, architecture.input.crop, "cpu")
    return ()
