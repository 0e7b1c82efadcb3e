"""Finds a network's tensors in a checkpoint: below which entry, and behind which prefix of names.

Training tools wrap one another, so a name may be `state_dict` / `model.module.encoder_q.layer1.0.conv1.weight`. Where
the network is known, the prefix is the one whose removal fits most of its tensors; nothing else could be meant.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from featx.bases.checkpoint import StateDict, name_entries
from featx.bases.state_dict import is_unused
from featx.bases.weight_files.stored_tensor import AnyTensor
from featx.bases.weight_files.weights_file import NotWeights
from featx.errors import shorten

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Entries of a checkpoint under which training tools put the tensors: looked into first where no network is known."""

PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "net.", "network.", "encoder.", "encoder_q.")
"""What training tools put before the names of all tensors: taken off where no network is known."""

# A running mean of the weights and the teacher of a pair are what their tools evaluate; the other half of a pair only
# follows or precedes it.
EARLIER = re.compile(r"(^|[._])(ema|teacher|averaged?|swa)([._]|$)")
LATER = re.compile(r"(^|[._])(encoder_k|momentum_encoder|momentum|target|student)([._]|$)")

OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""Names in the published weights of DenseNet, which torchvision has renamed since."""


@dataclass(frozen=True)
class Match:
    """The tensors of a checkpoint that are a network's.

    Attributes
    ----------
    tensors : dict of str to tensor
        By the network's own names.
    entry, prefix : str
        Where they were found.
    surplus : list of str
        Names of tensors that belong to something else.
    passed_over : list of str
        Other places whose tensors would have fitted as well.
    """

    tensors: StateDict
    entry: str = ""
    prefix: str = ""
    surplus: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def rename_old(state: StateDict) -> StateDict:
    """Give tensors the names that torchvision uses today."""
    return {OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in state.items()}


def rank(place: str) -> int:
    """Rank a place by what its names say: 0 what a tool evaluates, 1 by default, 2 what only trains along."""
    if EARLIER.search(place):
        return 0
    return 2 if LATER.search(place) else 1


def take_plain(states: Mapping[str, StateDict]) -> StateDict:
    """Take the tensors that are most likely the network's, without knowing the network.

    Entries that tools commonly use go first, then those with more tensors; prefixes that all names share are taken off.
    """

    def order(entry: str) -> tuple[int, int, int]:
        first = entry.split(".")[0].removesuffix("_ema")
        known = WRAPPERS.index(first) if first in WRAPPERS else len(WRAPPERS)
        return rank(entry), known, -len(states[entry])

    tensors = rename_old(states[min(states, key=order)])
    # Tools wrap one another: compiled and distributed, a network's names begin with `module._orig_mod.`.
    while prefix := common_prefix(tensors):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def common_prefix(names: Mapping[str, Any]) -> str | None:
    """Find the prefix of a training tool that all names begin with."""
    for prefix in PREFIXES:
        if names and all(name.startswith(prefix) for name in names):
            return prefix
    return None


def match_network(states: Mapping[str, StateDict], shapes: Mapping[str, Sequence[int]], head: Set[str]) -> Match:
    """Find the tensors of a network in a checkpoint.

    Parameters
    ----------
    states : mapping of str to StateDict
        Tensors by entry.
    shapes : mapping of str to shape
        The tensors that the network needs.
    head : set of str
        Those of its classifier, which may be missing.

    Returns
    -------
    Match
        If no place holds the whole network, the tensors of the most likely one: whoever copies them says what lacks.

    Raises
    ------
    NotWeights
        If several places hold the whole network with other numbers, and nothing says which is meant.
    """
    states = {entry: rename_old(state) for entry, state in states.items()}
    fits = count_fits(states, shapes)
    if not fits:
        return Match(take_plain(states))
    most = max(fits.values())
    if 2 * most < len(shapes):
        # Another network: single layers of one are found in most others, at places that would only puzzle.
        return Match(take_plain(states))
    places = [place for place, count in fits.items() if count == most]
    places.sort(key=lambda place: rank(".".join(place)))
    entry, prefix = choose_place(states, places)
    tensors = {name.removeprefix(prefix): value for name, value in states[entry].items() if name.startswith(prefix)}
    passed_over = [" ".join(filter(None, place)) for place in places if place != (entry, prefix)]
    body = shapes.keys() - head
    if not body <= tensors.keys():
        return Match(tensors, entry, prefix)
    # Within its own modules a tensor that the network lacks means another network, not a surplus.
    modules = {name.split(".")[0] for name in shapes}
    own = {name: tensor for name, tensor in tensors.items() if name.split(".")[0] in modules}
    own_names = {prefix + name for name in own}
    twins = tuple(start for other, start in places if other == entry and start != prefix)
    surplus = []
    for name in states[entry]:
        is_known = name in own_names or is_unused(name.removeprefix(prefix)) or (twins and name.startswith(twins))
        if not is_known:
            surplus.append(name)
    return Match(own, entry, prefix, surplus, passed_over)


def count_fits(states: Mapping[str, StateDict], shapes: Mapping[str, Sequence[int]]) -> Counter[tuple[str, str]]:
    """Count the network's tensors that lie at each place: (entry, prefix) to number."""
    fits: Counter[tuple[str, str]] = Counter()
    most_words = 1 + max((name.count(".") for name in shapes), default=0)
    for entry, state in states.items():
        for name, tensor in state.items():
            words = name.split(".")
            for count in range(1, min(len(words), most_words) + 1):
                rest = ".".join(words[-count:])
                if rest in shapes and tuple(tensor.shape) == tuple(shapes[rest]):
                    fits[entry, name.removesuffix(rest)] += 1
    return fits


def choose_place(states: Mapping[str, StateDict], places: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Choose among places that fit equally well, the best ranked ones first.

    Raises
    ------
    NotWeights
        If they are equally likely and differ.
    """
    first = places[0]
    likely = [place for place in places if rank(".".join(place)) == rank(".".join(first))]
    differing = [place for place in likely[1:] if not hold_the_same(states, first, place)]
    if differing:
        named = name_entries([f"{entry} {prefix}".strip() for entry, prefix in (first, *differing)])
        raise NotWeights(f"it holds several networks that fit ({named}): save the one that you mean by itself")
    return first


def hold_the_same(states: Mapping[str, StateDict], first: tuple[str, str], second: tuple[str, str]) -> bool:
    """Whether two places hold equal tensors."""
    (entry, prefix), (other_entry, other_prefix) = first, second
    others = states[other_entry]
    for name, tensor in states[entry].items():
        other_name = other_prefix + name.removeprefix(prefix)
        if not name.startswith(prefix) or other_name not in others:
            continue
        other = others[other_name]
        tensor.check(name)
        other.check(other_name)
        if not are_equal(tensor, other):
            return False
    return True


def are_equal(tensor: AnyTensor, other: AnyTensor) -> bool:
    """Whether two tensors hold the same numbers; one that two names share need not be read."""
    if tensor == other:
        return True
    if tensor.shape != other.shape:
        return False
    return all(np.array_equal(piece, twin) for piece, twin in zip(tensor.pieces(), other.pieces(), strict=True))


def describe_match(match: Match) -> str | None:
    """Say in one line what was taken and what was ignored; None where all was taken."""
    ignored = []
    if match.passed_over:
        ignored.append(f"those of {name_entries(match.passed_over)}")
    if match.surplus:
        noun = "tensor" if len(match.surplus) == 1 else "tensors"
        ignored.append(f"{len(match.surplus)} {noun} ({shorten(sorted(match.surplus), 2)})")
    if not ignored:
        return None
    place = " ".join(part for part in (match.entry, match.prefix) if part)
    taken = f"the tensors of '{place}' are taken" if place else "the network's tensors are taken"
    return f"{taken}; ignored: {' and '.join(ignored)}"
