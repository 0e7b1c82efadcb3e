"""From an architecture to a base: its network with weights in it, divided into stages."""

from __future__ import annotations

import logging
from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from featx.base_choice import BaseChoice
from featx.bases.architecture import CUSTOM_WEIGHTS, NO_WEIGHTS, RANDOM_WEIGHTS, Architecture
from featx.bases.base import Base, Layer, Stage, describe_layers
from featx.bases.meta_device import build_on_meta, fill_with_zeros
from featx.bases.registry import resolve
from featx.bases.state_dict import copy_tensors, drop_unused
from featx.bases.tensor_names import describe_match
from featx.bases.weights import as_arrays, digest_tensors, is_file_name, read_network_weights, read_weights
from featx.errors import RequestError, unknown
from featx.keys import BaseId

log = logging.getLogger(__name__)

BUNDLED = {("tiny", "CIFAR100"): "tiny-cifar100.safetensors"}
"""Weights that the package ships: (architecture, weights name) to file in `featx/bases/pretrained`."""


@dataclass(frozen=True)
class LoadedWeights:
    """What was loaded into a network.

    Attributes
    ----------
    digest : str
        Digest of the tensors, as `digest_tensors` and `digest_file` compute it.
    source : str
        Where they came from, as `Base.source` states it.
    left_out : set of str
        Tensors of the network's classifier that the weights do not hold in its shape.
    """

    digest: str
    source: str
    left_out: frozenset[str] = frozenset()


def open_base(choice: BaseChoice) -> Base:
    """Load the base that a choice names.

    Raises
    ------
    FeatxError
        As `resolve` and `load_base` do.
    """
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
    classifier = set().union(*owned[find_classifier_stage(stages, owned) :])
    loaded = load_weights(architecture, network, classifier)
    base_id = BaseId(architecture.name, loaded.digest, architecture.input, architecture.precision)
    layers = describe_by_running(architecture, stages) or architecture.layers()
    end = len(stages)
    for index, names in enumerate(owned):
        if names & loaded.left_out:
            end = index
            break
    return Base(base_id, loaded.source, stages[:end], layers[:end], network)


def build_network(architecture: Architecture) -> nn.Module:
    """Build a frozen network: zeros where weights are about to be loaded, else random numbers, always the same ones."""
    if architecture.builds_on_meta and architecture.weights != RANDOM_WEIGHTS:
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


def find_classifier_stage(stages: Sequence[Stage], owned: Sequence[set[str]]) -> int:
    """Find the first stage that a base can do without: the classifier, or else the last stage that has tensors."""
    with_tensors = [index for index, names in enumerate(owned) if names]
    for index in with_tensors:
        if stages[index].is_classifier:
            return index
    return with_tensors[-1] if with_tensors else len(stages)


def load_weights(architecture: Architecture, network: nn.Module, classifier: Set[str]) -> LoadedWeights:
    """Load the weights that an architecture asks for into its network, and identify them.

    Parameters
    ----------
    architecture : Architecture
    network : torch.nn.Module
        Changed in place; random weights and those of a custom network are in it already.
    classifier : set of str
        Tensors of its classifier, which a base can do without.

    Raises
    ------
    UnknownName
        If they are neither a file nor a name of weights of this architecture.
    WeightsError
        If the weights cannot be had, or do not fit the architecture.
    """
    weights = architecture.weights or architecture.default_weights
    built = as_arrays(network.state_dict())
    is_built = weights in (RANDOM_WEIGHTS, CUSTOM_WEIGHTS) or (weights == NO_WEIGHTS and not built)
    if is_built:
        return LoadedWeights(digest_tensors(built), weights)
    bundled = bundled_file(architecture.name, weights)
    source = weights
    if bundled:
        tensors = read_weights(bundled)
    elif is_file_name(weights):
        path = Path(weights).expanduser()
        tensors = read_matching(architecture.name, network, classifier, path)
        source = path.name
    elif architecture.download:
        tensors = dict(architecture.download(weights))
    else:
        shipped = [name for base, name in BUNDLED if base == architecture.name]
        names = [*shipped, RANDOM_WEIGHTS]
        hint = "Or give the path of a .safetensors or .pth file."
        raise unknown(f"weights of {architecture.name}", weights, names, hint)
    left_out = copy_tensors(architecture.name, network, tensors, source, classifier)
    return LoadedWeights(digest_tensors(as_arrays(tensors)), source, left_out)


def read_matching(architecture: str, network: nn.Module, classifier: Set[str], path: Path) -> dict[str, Tensor]:
    """Read the tensors of a network from a file, and say in one line which others the file holds.

    Raises
    ------
    WeightsError
        If the file cannot be read, holds another network, or several that fit.
    """
    tensors, match = read_network_weights(path, architecture, drop_unused(network.state_dict()), classifier)
    line = describe_match(match)
    if line:
        log.warning("'%s': %s", path.name, line)
    return tensors


def read_choice(choice: BaseChoice) -> dict[str, NDArray[Any]]:
    """Read the tensors of the network that a choice names from the file that it names, as its base is digested.

    Raises
    ------
    FeatxError
        As `resolve` and `read_matching` do.
    """
    architecture = resolve(choice)
    network = build_network(architecture)
    stages = architecture.stages(network)
    owned = tensors_by_stage(stages, network)
    classifier = set().union(*owned[find_classifier_stage(stages, owned) :])
    return as_arrays(read_matching(architecture.name, network, classifier, Path(choice.weights or "").expanduser()))


def digest_choice(choice: BaseChoice) -> str:
    """Digest the weights file that a choice names as the base which is loaded from it."""
    return digest_tensors(read_choice(choice))


def bundled_file(architecture: str, weights: str) -> Path | None:
    """Path of weights that the package ships, or None."""
    name = BUNDLED.get((architecture, weights))
    if name is None:
        return None
    return Path(str(files("featx.bases") / "pretrained" / name))


def describe_by_running(architecture: Architecture, stages: Sequence[Stage]) -> tuple[Layer, ...]:
    """Describe the layers by a batch of no images, which costs milliseconds; empty where a network cannot be run so."""
    if not architecture.builds_on_meta:
        return ()
    # A vision transformer cannot reshape an empty batch; a wrong size of image is reported by the slower way.
    with suppress(RequestError):
        return describe_layers(stages, architecture.input.crop, "cpu")
    return ()
