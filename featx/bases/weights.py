"""Files of weights: read without running anything that they hold, and identified by the digest of their tensors.

What a file states is checked before any number is read, and of its numbers only the network's are (`weight_files/`).
Torch is imported only where a tensor is made of them, so that evaluation can identify weights without it.
`checkpoint.py` finds named tensors in a file, `tensor_names.py` the network among them.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.bases.checkpoint import StateDict, find_states, looks_like_weights
from featx.bases.state_dict import drop_unused, find_left_out, is_unused
from featx.bases.tensor_names import Match, match_network, take_plain
from featx.bases.weight_files.stored_tensor import ITEM_BYTES, MAX_WHOLE_BYTES, AnyTensor, SparseTensor, StoredTensor
from featx.bases.weight_files.weights_file import NotWeights, Span, WeightsFile
from featx.errors import WeightsError, first_line, shorten
from featx.keys import BASE_TENSOR_PREFIX
from featx.paths import is_file

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

MODEL_SUFFIX = ".featx"
"""Suffix of model files, which may hold the tensors of a base."""

FILE_SUFFIXES = (".safetensors", ".pth", ".pt", MODEL_SUFFIX, ".ckpt", ".bin", ".tar", ".pkl", ".pickle", ".weights")
"""Suffixes that no name of published weights has; any other file is one if it is there."""


def is_file_name(weights: str, folder: Path = Path()) -> bool:
    """Whether `--weights` names a file rather than published weights.

    A bare word in capitals, `random` and the like are names, whatever lies in the folder: such a file is `./NAME`.

    Parameters
    ----------
    weights : str
    folder : pathlib.Path
        Where a relative path counts from.
    """
    if weights.endswith(FILE_SUFFIXES) or "/" in weights or os.sep in weights or weights.startswith("~"):
        return True
    is_bare_word = weights.replace("_", "").isalnum()
    is_published = is_bare_word and (weights.isupper() or weights in RESERVED)
    return not is_published and is_file(folder / weights)


MOST_SHARING = 4
"""How many times as many numbers a network's tensors may have as the file: tied weights are stored once."""

MAX_HEAD_NUMBERS = 2**26
"""Numbers of a classifier for other classes, which only count for the digest: 22,000 classes of 2,048 columns have 45
million."""

RESERVED = ("random", "own", "none", "")
"""Names that `--weights` has for what was never published."""


def is_weights_file(weights: str) -> bool:
    """Whether a path that a stranger wrote may be opened as weights: by its suffix, or by how the file begins."""
    return weights.endswith(FILE_SUFFIXES) or looks_like_weights(Path(weights))


def absolute_path(weights: str | None) -> str | None:
    """Absolute path of the file that `--weights` names; None if it names none."""
    if weights is None or not is_file_name(weights):
        return None
    return str(Path(weights).expanduser().resolve())


def digest_tensors(tensors: Mapping[str, NDArray[Any]]) -> str:
    """Digest a network's tensors: names, shapes, dtypes and bytes, sorted by name.

    Floating tensors count as float32, which is what a base computes with, so one network has one digest in whatever
    file and width it is stored. What no frozen base reads does not count: counters of batches, and branches that exist
    in training only.

    Parameters
    ----------
    tensors : mapping of name to array

    Returns
    -------
    str
        64 hex characters.
    """
    described = {}
    for name, tensor in tensors.items():
        array = tensor.astype(np.float32, copy=False) if tensor.dtype.kind == "f" else tensor
        described[name] = (array.shape, array.dtype, [np.ascontiguousarray(array).reshape(-1)])
    return digest_pieces(described)


Described = tuple[tuple[int, ...], np.dtype[Any], Iterable[NDArray[Any]]]
"""Shape, dtype and, piece by piece, the numbers of a tensor."""


def digest_pieces(tensors: Mapping[str, Described]) -> str:
    """Digest tensors whose numbers are at hand in pieces, so that no tensor need be in memory as a whole."""
    sha256 = hashlib.sha256()
    for name in sorted(tensors):
        if is_unused(name):
            continue
        shape, dtype, pieces = tensors[name]
        sha256.update(f"{name} {list(shape)} {dtype.str}\n".encode())
        for piece in pieces:
            sha256.update(np.ascontiguousarray(piece).view(np.uint8).data)
    return sha256.hexdigest()


def digest_file(path: Path) -> str:
    """Digest the tensors of a weights file, without torch.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str
        64 hex characters, as `digest_tensors` gives for the network.

    Raises
    ------
    WeightsError
        If the file is missing or unreadable.
    """
    with open_states(path) as states:
        tensors = take_plain(states)
        check_tensors(tensors)
        described: dict[str, Described] = {}
        for name, tensor in tensors.items():
            dtype = np.dtype(np.float32 if tensor.is_floating_point() else tensor.dtype)
            described[name] = (tensor.shape, dtype, tensor.pieces())
        return digest_pieces(described)


def as_arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """View tensors as arrays; floating ones as float32, since numpy lacks bfloat16."""
    arrays = {}
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            tensor = tensor.float()
        arrays[name] = tensor.cpu().numpy()
    return arrays


def select_base(tensors: StateDict) -> StateDict:
    """Select the tensors of the base from a model file.

    Raises
    ------
    NotWeights
        If the model holds no base.
    """
    base = {}
    for name, tensor in tensors.items():
        if name.startswith(BASE_TENSOR_PREFIX):
            base[name.removeprefix(BASE_TENSOR_PREFIX)] = tensor
    if not base:
        raise NotWeights(
            "it is a model without the tensors of its base: use a model of `featx finetune`, "
            "or of `featx fit --with-base`"
        )
    return base


def check_exists(path: Path) -> None:
    """Check that a weights file is there.

    Raises
    ------
    WeightsError
        Listing the weights beside it.
    """
    if path.is_file():
        return
    folder = path if path.is_dir() else path.parent
    nearby = []
    if folder.is_dir():
        nearby = sorted(file.name for file in folder.glob("*") if file.suffix in FILE_SUFFIXES)
    problem = "is not a file" if path.exists() else "does not exist"
    message = f"weights file '{path}' {problem}"
    if nearby:
        message += f". '{folder}' holds: {shorten(nearby)}"
    elif folder.is_dir():
        message += f". '{folder}' holds no weights"
    raise WeightsError(message)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a weights file without running anything that it holds, and without knowing its network.

    Raises
    ------
    WeightsError
        If it is missing, unreadable, or holds no tensors that a network could compute with.
    """
    with open_states(path) as states:
        tensors = take_plain(states)
        check_tensors(tensors)
        return {name: tensor.read() for name, tensor in tensors.items()}


def read_network_weights(
    path: Path, architecture: str, expected: Mapping[str, Tensor], head: Set[str]
) -> tuple[dict[str, Tensor], Match]:
    """Read the tensors of a network from a file that may wrap them, and hold others beside them.

    Parameters
    ----------
    path : Path
    architecture : str
        Name of the base, for messages.
    expected : mapping of str to tensor
        The tensors that the network needs; their numbers are not looked at.
    head : set of str
        Those of its classifier, which may be missing.

    Returns
    -------
    tensors : dict of str to tensor
        Those of the network, and those that the file has in its classifier's place.
    match : Match
        Where they were found, and what else was there.

    Raises
    ------
    WeightsError
        As `read_weights` does, if they are those of another network, and if several networks in the file fit.
    """
    shapes = {name: tensor.shape for name, tensor in expected.items()}
    with open_states(path) as states:
        match = match_network(states, shapes, head)
        # Before any number is read: the network's own size bounds what those that fit may take.
        find_left_out(architecture, expected, match.tensors, path.name, head)
        used = drop_unused(match.tensors)
        check_tensors(used)
        foreign = [tensor for name, tensor in used.items() if tensor.shape != tuple(shapes.get(name, ()))]
        count = sum(math.prod(tensor.shape) for tensor in foreign)
        if count > MAX_HEAD_NUMBERS:
            raise NotWeights(
                f"its classifier has {count} numbers, more than the {MAX_HEAD_NUMBERS} that are read of one which is "
                f"not that of {architecture}: leave the classifier out of the file"
            )
        return {name: tensor.read() for name, tensor in used.items()}, match


def check_tensors(tensors: Mapping[str, AnyTensor]) -> None:
    """Check that the file holds the numbers that its tensors state.

    Raises
    ------
    NotWeights
        Naming the first tensor that it does not hold, or whose numbers are not those that a network computes with.
    """
    spans: dict[Span, None] = {}
    stated = 0
    for name, tensor in tensors.items():
        tensor.check(name)
        stated += math.prod(tensor.shape) * ITEM_BYTES[tensor.dtype]
        if isinstance(tensor, SparseTensor):
            spans[tensor.values.span] = None
        elif isinstance(tensor, StoredTensor):
            spans[tensor.span] = None
    held = sum(span.size for span in spans)
    if stated > MOST_SHARING * held + MAX_WHOLE_BYTES:
        raise NotWeights("its tensors state far more numbers than it holds: save each of them by .clone()")


@contextmanager
def open_states(path: Path) -> Iterator[dict[str, StateDict]]:
    """Open a weights file and find every named tensor in it, by the entry that holds it, until the block is left.

    Raises
    ------
    WeightsError
        If it is missing or unreadable, or whatever reads its tensors within the block finds them to be.
    """
    with errors_of(path):
        check_exists(path)
        with WeightsFile(path) as file:
            states = find_states(file)
            if path.suffix == MODEL_SUFFIX and "" in states:
                states[""] = select_base(states[""])
            yield states


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Turn whatever reading a file raises into one line that names it."""
    try:
        yield
        return
    except WeightsError:
        raise
    except NotWeights as error:
        reason = str(error)
    except OSError as error:
        reason = error.strerror or first_line(error)
    # What pickles and archives raise when they are damaged is anything; torch's own text is advice on how to be unsafe.
    except Exception as error:
        reason = f"it is damaged or not a plain file of tensors ({type(error).__name__})"
    # What a reason says after a colon is advice already.
    advice = "" if ": " in reason else ". Save a state dict as .safetensors or .pth"
    raise WeightsError(f"weights file '{path}' cannot be read: {reason}{advice}")
