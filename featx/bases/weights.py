"""Files of weights: read without running anything that they hold, and identified by the digest of their tensors.

Nothing here unpickles objects: `.pth` files are read with torch's `weights_only=True`, `.safetensors` hold no code.
Torch is imported only where a file is read by it, so that evaluation can identify weights without it.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.bases.state_dict import is_unused
from featx.errors import WeightsError, first_line, shorten
from featx.keys import BASE_TENSOR_PREFIX

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

MODEL_SUFFIX = ".featx"
"""Suffix of model files, which may hold the tensors of a base."""

SAFETENSORS_SUFFIXES = (".safetensors", MODEL_SUFFIX)
FILE_SUFFIXES = (".safetensors", ".pth", ".pt", MODEL_SUFFIX)

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Entries of a checkpoint under which training tools put the tensors."""

PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")
"""What training tools put before the names of all tensors."""

OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""Names in the published weights of DenseNet, which torchvision has renamed since."""


def is_file_name(weights: str) -> bool:
    """Whether `--weights` names a file rather than published weights."""
    return weights.endswith(FILE_SUFFIXES) or "/" in weights


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
    if path.suffix in SAFETENSORS_SUFFIXES:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return digest_tensors(select_base(path, unwrap(load_file(path))))
        except (SafetensorError, OSError, TypeError, KeyError) as error:
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


def unwrap(state: Any) -> dict[str, Any]:
    """Find the tensors in a checkpoint: below `state_dict` or `model`, with or without a prefix such as `module.`.

    Raises
    ------
    TypeError
        If there are no named tensors.
    """
    for wrapper in WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not state or not all(hasattr(value, "shape") for value in state.values()):
        raise TypeError("it holds no named tensors")
    tensors = {str(name): tensor for name, tensor in state.items()}
    # Tools wrap one another: compiled and distributed, a network's names begin with `module._orig_mod.`.
    while prefix := common_prefix(tensors):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return {OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in tensors.items()}


def common_prefix(names: Mapping[str, Any]) -> str | None:
    """Find the prefix of a training tool that all names begin with."""
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in names):
            return prefix
    return None


def select_base(path: Path, tensors: dict[str, Any]) -> dict[str, Any]:
    """Select the tensors of the base from a model file; all of them from any other file.

    Raises
    ------
    TypeError
        If the model holds no base.
    """
    if path.suffix != MODEL_SUFFIX:
        return tensors
    base = {}
    for name, tensor in tensors.items():
        if name.startswith(BASE_TENSOR_PREFIX):
            base[name.removeprefix(BASE_TENSOR_PREFIX)] = tensor
    if not base:
        raise TypeError(
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
    nearby = []
    if path.parent.is_dir():
        nearby = sorted(file.name for file in path.parent.glob("*") if file.suffix in FILE_SUFFIXES)
    problem = "is not a file" if path.exists() else "does not exist"
    message = f"weights file '{path}' {problem}"
    if nearby:
        message += f". '{path.parent}' holds: {shorten(nearby)}"
    elif path.parent.is_dir():
        message += f". '{path.parent}' holds no weights"
    raise WeightsError(message)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a weights file without running anything that it holds.

    Parameters
    ----------
    path : Path
        A file with any other suffix than those of safetensors is read as torch's.

    Raises
    ------
    WeightsError
        If it is missing, unreadable, or a pickle of anything but tensors.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_exists(path)
    try:
        if path.suffix in SAFETENSORS_SUFFIXES:
            return select_base(path, unwrap(load_file(path)))
        return unwrap(torch.load(path, map_location="cpu", weights_only=True))
    except (SafetensorError, TypeError, RuntimeError, OSError, EOFError, ValueError) as error:
        reason = first_line(error)
    # pickle.UnpicklingError, whose text is a page of advice on how to be unsafe.
    except Exception as error:
        reason = f"not a plain file of tensors ({type(error).__name__})"
    raise WeightsError(f"weights file '{path}' cannot be read: {reason}. Save a state dict as .safetensors or .pth")
