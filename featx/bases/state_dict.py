"""Copies the tensors of a checkpoint into a network, or says how they differ."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any, TypeVar

from featx.errors import WeightsError, shorten

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger(__name__)

OneTensor = TypeVar("OneTensor")

TRAINING_ONLY = ("AuxLogits.", "aux1.", "aux2.")
"""Prefixes of tensors that published weights hold for branches which exist in training only."""


def is_unused(name: str) -> bool:
    """Whether a frozen base never reads a tensor of this name: a counter of batches, or part of a training branch."""
    return name.endswith("num_batches_tracked") or name.startswith(TRAINING_ONLY)


def drop_unused(tensors: Mapping[str, OneTensor]) -> dict[str, OneTensor]:
    """Leave out the tensors that a frozen base never reads."""
    return {name: tensor for name, tensor in tensors.items() if not is_unused(name)}


def copy_tensors(
    architecture: str, network: nn.Module, tensors: Mapping[str, Tensor], source: str, head: Set[str]
) -> frozenset[str]:
    """Copy tensors into a network, all but those of its classifier that do not fit.

    Parameters
    ----------
    architecture : str
        Name of the base, for messages.
    network : torch.nn.Module
        Changed in place.
    tensors : mapping of name to tensor
        What a checkpoint holds.
    source : str
        Where they came from, for messages.
    head : set of str
        Names of the tensors of the network's classifier, which a base can do without.

    Returns
    -------
    frozenset of str
        Names of the classifier's tensors that were left as they were.

    Raises
    ------
    WeightsError
        If other names or shapes differ, with the first of each, or numbers are not finite.
    """
    state = network.state_dict()
    left_out = find_left_out(architecture, state, tensors, source, head)
    if left_out:
        log.warning(
            "'%s' does not hold the classifier of %s (%s): the base is loaded without its classifier",
            source,
            architecture,
            ", ".join(sorted(left_out)[:2]),
        )
    loaded = drop_unused(state).keys() - left_out
    # Into the network's own state dict, which carries the versions that MNASNet and others ask for when they load.
    for name in loaded:
        state[name] = tensors[name]
    network.load_state_dict(state)
    check_finite(network, loaded, source)
    return left_out


def find_left_out(
    architecture: str, expected: Mapping[str, Any], given: Mapping[str, Any], source: str, head: Set[str]
) -> frozenset[str]:
    """Compare the tensors of a file, by their names and shapes, with those of a network.

    Parameters
    ----------
    architecture : str
        Name of the base, for messages.
    expected : mapping of name to tensor
        What the network needs.
    given : mapping of name to tensor
        What the file holds; their numbers are not looked at.
    source : str
        Where they came from, for messages.
    head : set of str
        Names of the tensors of the network's classifier, which a base can do without.

    Returns
    -------
    frozenset of str
        Names of the classifier's tensors that are missing or of another shape.

    Raises
    ------
    WeightsError
        If other names or shapes differ, with the first of each.
    """
    expected = drop_unused(expected)
    given = drop_unused(given)
    missing: list[str] = []
    shapes: list[str] = []
    left_out: set[str] = set()
    for name, tensor in expected.items():
        is_missing = name not in given
        if not is_missing and tuple(given[name].shape) == tuple(tensor.shape):
            if tensor.is_floating_point() and not given[name].is_floating_point():
                dtype = str(given[name].dtype).removeprefix("torch.")
                shapes.append(f"{name}: torch.{dtype}, expected numbers with a fraction")
            continue
        if name in head:
            left_out.add(name)
        elif is_missing:
            missing.append(name)
        else:
            shapes.append(f"{name}: {tuple(given[name].shape)}, expected {tuple(tensor.shape)}")
    foreign = [name for name in given if name not in expected]
    if left_out:
        # A classifier for other classes may also have tensors that this one lacks.
        head_modules = {name.split(".")[0] for name in head}
        foreign = [name for name in foreign if name.split(".")[0] not in head_modules]
    differences = describe_differences(missing, foreign, shapes)
    if differences:
        raise WeightsError(
            f"'{source}' holds no weights of {architecture}: {', '.join(differences)}. "
            f"Give --weights a file that was saved from {architecture}"
        )
    return frozenset(left_out)


def check_finite(network: nn.Module, names: Set[str], source: str) -> None:
    """Check that the numbers of a network are finite: from others come only features that nobody can use.

    Raises
    ------
    WeightsError
        Naming the first tensor that holds others, and how many.
    """
    import torch

    for name, tensor in network.state_dict().items():
        # A sum is a quarter of the work, and not finite if any of its numbers is not.
        if name not in names or not tensor.is_floating_point() or bool(torch.isfinite(tensor.sum())):
            continue
        count = int((~torch.isfinite(tensor)).sum())
        if count:
            verb = "is" if count == 1 else "are"
            raise WeightsError(
                f"'{source}': {count} of the {tensor.numel()} numbers of '{name}' {verb} NaN or infinite in float32, "
                "as after a training that diverged. Give --weights an earlier checkpoint"
            )


def describe_differences(missing: list[str], foreign: list[str], shapes: list[str]) -> list[str]:
    """Say how the tensors of a file differ from those of a network."""
    differences = []
    if missing:
        verb = "tensor is" if len(missing) == 1 else "tensors are"
        differences.append(f"{len(missing)} {verb} missing ({shorten(missing, 2)})")
    if foreign:
        verb = "is" if len(foreign) == 1 else "are"
        differences.append(f"{len(foreign)} {verb} unknown to it ({shorten(foreign, 2)})")
    if shapes:
        verb = "has" if len(shapes) == 1 else "have"
        differences.append(f"{len(shapes)} {verb} another shape ({shapes[0]})")
    return differences
