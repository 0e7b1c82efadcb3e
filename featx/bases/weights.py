"""Files of weights: read without running anything that they hold, and identified by the digest of their tensors.

Nothing here unpickles objects: files of torch are read with its `weights_only=True`, safetensors hold no code. Torch is
imported only where a file is read by it, so that evaluation can identify weights without it. `checkpoint.py` reads a
file, `tensor_names.py` finds the network in it.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.bases.checkpoint import (
    NotWeights,
    StateDict,
    check_beginning,
    find_states,
    is_safetensors,
    load_torch_file,
    looks_like_weights,
    make_plain,
    read_beginning,
)
from featx.bases.state_dict import is_unused
from featx.bases.tensor_names import Match, match_network, take_plain
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
    sha256 = hashlib.sha256()
    for name in sorted(tensors):
        if is_unused(name):
            continue
        array = tensors[name]
        if array.dtype.kind == "f":
            array = array.astype(np.float32, copy=False)
        array = np.ascontiguousarray(array)
        sha256.update(f"{name} {list(array.shape)} {array.dtype.str}\n".encode())
        sha256.update(array.reshape(-1).view(np.uint8).data)
    return sha256.hexdigest()


def digest_file(path: Path) -> str:
    """Digest the tensors of a weights file; torch is imported for `.pth` files only.

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
    check_exists(path)
    if is_safetensors(path, read_beginning_of(path)):
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return digest_tensors(take_plain({"": select_base(path, load_file(path))}))
        except (SafetensorError, OSError, NotWeights, TypeError, KeyError) as error:
            # bfloat16, which numpy lacks; or a damaged file, which torch's reader then words as an error.
            log.debug("numpy cannot read %s (%s): torch reads it", path, error)
    return digest_tensors(as_arrays(read_weights(path)))


def as_arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """View tensors as arrays; floating ones as float32, since numpy lacks bfloat16."""
    arrays = {}
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            tensor = tensor.float()
        arrays[name] = tensor.cpu().numpy()
    return arrays


def select_base(path: Path, tensors: dict[str, Any]) -> dict[str, Any]:
    """Select the tensors of the base from a model file; all of them from any other file.

    Raises
    ------
    NotWeights
        If the model holds no base.
    """
    if path.suffix != MODEL_SUFFIX:
        return tensors
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


def read_beginning_of(path: Path) -> bytes:
    """Read the first bytes of a weights file.

    Raises
    ------
    WeightsError
        If it cannot be opened.
    """
    with errors_of(path):
        return read_beginning(path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a weights file without running anything that it holds, and without knowing its network.

    Raises
    ------
    WeightsError
        If it is missing, unreadable, or holds no tensors that a network could compute with.
    """
    with errors_of(path):
        tensors = take_plain(read_states(path))
        return {name: make_plain(name, tensor) for name, tensor in tensors.items()}


def read_network_weights(path: Path, shapes: Mapping[str, Sequence[int]], head: Set[str]) -> Match:
    """Read the tensors of a network from a file that may wrap them, and hold others beside them.

    Parameters
    ----------
    path : Path
    shapes : mapping of str to shape
        The tensors that the network needs.
    head : set of str
        Those of its classifier, which may be missing.

    Raises
    ------
    WeightsError
        As `read_weights` does, and if several networks in it fit.
    """
    with errors_of(path):
        match = match_network(read_states(path), shapes, head)
        for name, tensor in match.tensors.items():
            match.tensors[name] = make_plain(name, tensor)
        return match


def read_states(path: Path) -> dict[str, StateDict]:
    """Read every named tensor of a file, by the entry that holds it.

    Raises
    ------
    WeightsError
        If the file is missing.
    NotWeights, OSError, RuntimeError, EOFError, ValueError
        If it cannot be read.
    """
    check_exists(path)
    beginning = read_beginning(path)
    check_beginning(beginning)
    if not is_safetensors(path, beginning):
        return find_states(load_torch_file(path))
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return find_states(select_base(path, load_file(path)))
    except SafetensorError as error:
        raise NotWeights(f"it is truncated or damaged ({first_line(error)})") from error


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
