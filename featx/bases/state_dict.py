"""Copies the tensors of a checkpoint into a network, or says how they differ."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Set
from typing import TYPE_CHECKING

from featx.errors import WeightsError, shorten

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger(__name__)

TRAINING_ONLY = ("AuxLogits.", "aux1.", "aux2.")
"""Beginnings of the names of tensors that published weights hold for branches which exist in training only."""


def is_unused(name: str) -> bool:
    """Whether a frozen base never reads a tensor of this name."""
    return name.endswith("num_batches_tracked") or name.startswith(TRAINING_ONLY)


def used(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out counters of batches, and branches that exist in training only."""
    return {
        k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked") and not k.startswith(TRAINING_ONLY)
    }


def fit(
    architecture: str, network: nn.Module, tensors: Mapping[str, Tensor], source: str, head: Set[str]
) -> frozenset[str]:
    """Copy tensors into a network, and name those of its classifier that do not fit.

    Raises
    ------
    WeightsError
        If other names or shapes differ, with the first of each.
    """
    own, given = used(network.state_dict()), used(tensors)
    missing = [name for name in own if name not in given]
    foreign = [name for name in given if name not in own]
    shapes = [name for name in own if name in given and own[name].shape != given[name].shape]
    left_out = frozenset(name for name in (*missing, *shapes) if name in head)
    if left_out:
        heads = {name.split(".")[0] for name in head}
        foreign = [name for name in foreign if name.split(".")[0] not in heads]
    problems = describe_misfits(
        [name for name in missing if name not in head],
        foreign,
        [f"{name}: {tuple(given[name].shape)}, wanted {tuple(own[name].shape)}" for name in shapes if name not in head],
    )
    if problems:
        raise WeightsError(f"'{source}' holds no weights of {architecture}: {', '.join(problems)}")
    if left_out:
        log.warning(
            "'%s' holds no classifier as %s has it (%s): the base is loaded without",
            source,
            architecture,
            ", ".join(sorted(left_out)[:2]),
        )
    fitting = OrderedDict((name, tensor) for name, tensor in given.items() if name in own and name not in left_out)
    fitting._metadata = network.state_dict()._metadata  # type: ignore[attr-defined]  # MNASNet asks for its version
    network.load_state_dict(fitting, strict=False)
    return left_out


def describe_misfits(missing: list[str], foreign: list[str], shapes: list[str]) -> list[str]:
    """Say how the tensors of a file differ from those of a network."""
    problems = []
    if missing:
        problems.append(f"{len(missing)} tensors are missing ({shorten(missing, 2)})")
    if foreign:
        problems.append(f"{len(foreign)} are foreign to it ({shorten(foreign, 2)})")
    if shapes:
        problems.append(f"{len(shapes)} have another shape ({shapes[0]})")
    return problems
