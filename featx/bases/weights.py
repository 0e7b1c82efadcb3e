"""Weights: read from a torchvision name, a file or a seed, and identified by the digest of their tensors.

Nothing here unpickles objects: `.pth` files are read with torch's `weights_only=True`, `.safetensors` hold no code.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.bases.state_dict import fit, is_unused
from featx.errors import WeightsError, shorten, unknown

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger(__name__)

FILE_SUFFIXES = (".safetensors", ".pth", ".pt", ".featx")
OWN = "base."
"""What names of a fine-tuned base's tensors begin with in a model file (`.featx`)."""

BUNDLED = {("tiny", "CIFAR100"): "tiny-cifar100.safetensors"}
"""Weights that the package ships: (architecture, weights name) to file in `featx/bases/pretrained`."""


PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")
"""What training tools put before the names of all tensors."""

OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""Names in the published weights of DenseNet, which torchvision has renamed since."""


@dataclass(frozen=True)
class LoadedWeights:
    """What was loaded.

    Attributes
    ----------
    digest : str
        Of the tensors, as `digest_tensors` and `digest_file` take it.
    source : str
        Where they came from, in plain words.
    left_out : set of str
        Tensors of the network's classifier that the weights do not hold in its shape.
    """

    digest: str
    source: str
    left_out: frozenset[str] = frozenset()


def is_file_name(weights: str) -> bool:
    """Whether `--weights` names a file rather than torchvision weights."""
    return weights.endswith(FILE_SUFFIXES) or "/" in weights


def absolute_path(weights: str | None) -> str | None:
    """Absolute path of the file that `--weights` names; None if it names none."""
    if weights is None or not is_file_name(weights):
        return None
    return str(Path(weights).expanduser().resolve())


def digest_tensors(tensors: Mapping[str, NDArray[Any]]) -> str:
    """Digest a network's tensors: names, shapes, dtypes and bytes, sorted by name.

    Floating tensors count as float32, which is what a base computes with, so one network is one digest in whatever
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
    total = hashlib.sha256()
    for name in sorted(tensors):
        if is_unused(name):
            continue
        array = tensors[name]
        if array.dtype.kind == "f":
            array = array.astype(np.float32, copy=False)
        array = np.ascontiguousarray(array)
        total.update(f"{name} {list(array.shape)} {array.dtype.str}\n".encode())
        total.update(array.reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def digest_file(path: Path) -> str:
    """Digest the tensors of a weights file; torch is imported for `.pth` files only.

    Raises
    ------
    WeightsError
        If the file is missing or unreadable.
    """
    check_exists(path)
    if path.suffix in (".safetensors", ".featx"):
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return digest_tensors(own_tensors(path, unwrap(load_file(path))))
        except (SafetensorError, OSError, TypeError, KeyError) as error:
            log.debug("%s is not for numpy (%s): read with torch", path, error)
    return digest_tensors(as_arrays(read_file(path)))


def as_arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """View tensors as arrays; bfloat16, which numpy lacks, as float32."""
    return {k: (v.float() if v.is_floating_point() else v).cpu().numpy() for k, v in tensors.items()}


def unwrap(state: Any) -> dict[str, Any]:
    """Find the tensors in a checkpoint: below `state_dict` or `model`, with or without a prefix such as `module.`.

    Raises
    ------
    TypeError
        If there are no named tensors.
    """
    for name in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(name), Mapping):
            state = state[name]
    if not isinstance(state, Mapping) or not state or not all(hasattr(v, "shape") for v in state.values()):
        raise TypeError("it holds no named tensors")
    tensors = {str(name): tensor for name, tensor in state.items()}
    while prefix := next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in tensors)), None):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return {OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in tensors.items()}


def own_tensors(path: Path, tensors: dict[str, Any]) -> dict[str, Any]:
    """Pick the tensors of the base from a model file; all of them from any other.

    Raises
    ------
    TypeError
        If the model has no base of its own.
    """
    if path.suffix != ".featx":
        return tensors
    own = {name.removeprefix(OWN): tensor for name, tensor in tensors.items() if name.startswith(OWN)}
    if not own:
        raise TypeError("it is a model without a base of its own, as featx fit writes it; featx finetune writes one")
    return own


def check_exists(path: Path) -> None:
    """Raise WeightsError if there is no such file."""
    if not path.is_file():
        near = (
            sorted(p.name for p in path.parent.glob("*") if p.suffix in FILE_SUFFIXES) if path.parent.is_dir() else []
        )
        there = f" '{path.parent}' holds: {shorten(near)}." if near else f" '{path.parent}' holds no weights."
        raise WeightsError(f"weights file '{path}' does not exist.{there}")


def read_file(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors`, `.pth` or `.pt` file without running anything that it holds.

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
        if path.suffix in (".safetensors", ".featx"):
            return own_tensors(path, unwrap(load_file(path)))
        return unwrap(torch.load(path, map_location="cpu", weights_only=True))
    except (SafetensorError, TypeError, RuntimeError, OSError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    except Exception as error:  # pickle.UnpicklingError with a page of advice on how to be unsafe
        reason = f"not a plain file of tensors ({type(error).__name__})"
    raise WeightsError(f"weights file '{path}' cannot be read: {reason}. Bring a state dict as .safetensors or .pth")


def load_weights(architecture: str, network: nn.Module, weights: str, head: Set[str] = frozenset()) -> LoadedWeights:
    """Load weights into a network, and identify them.

    Parameters
    ----------
    architecture : str
        Name in `BASES`.
    network : torch.nn.Module
        Randomly initialised; "random" leaves it so.
    weights : str
        A torchvision weights name, a path, "random", the name of bundled weights, or "own": as the network was built.
    head : set of str
        Tensors of its classifier, which a base can do without.

    Raises
    ------
    UnknownName
        If it is neither a file nor a name of weights of this architecture.
    WeightsError
        If the weights cannot be had, or do not fit the architecture.
    """
    own = as_arrays(network.state_dict())
    if weights in ("random", "own") or (weights == "none" and not own):
        return LoadedWeights(digest_tensors(own), weights)
    bundled = bundled_file(architecture, weights)
    if bundled or is_file_name(weights):
        path = bundled or Path(weights).expanduser()
        tensors, source = read_file(path), weights if bundled else path.name
    else:
        tensors, source = download(architecture, weights), weights
    left_out = fit(architecture, network, tensors, source, head)
    return LoadedWeights(digest_tensors(as_arrays(tensors)), source, left_out)


def bundled_file(architecture: str, weights: str) -> Path | None:
    """Path of weights that the package ships, or None."""
    name = BUNDLED.get((architecture, weights))
    return Path(str(files("featx.bases") / "pretrained" / name)) if name else None


def download(architecture: str, weights: str) -> dict[str, Tensor]:
    """Fetch weights of torchvision or timm by name, from the local cache where they lie there already.

    Raises
    ------
    UnknownName
        If the architecture has no such weights.
    WeightsError
        If they are not in the local cache and cannot be downloaded.
    """
    import torch
    import torchvision

    from featx.bases.architectures.timm_models import download_timm
    from featx.bases.names import TIMM_PREFIX

    if architecture.startswith(TIMM_PREFIX):
        return download_timm(architecture, weights)
    try:
        choices = torchvision.models.get_model_weights(architecture)
    except ValueError:
        choices = {}
    names = [*getattr(choices, "__members__", {}), *(name for base, name in BUNDLED if base == architecture), "random"]
    if weights not in names:
        raise unknown(f"weights of {architecture}", weights, names, "Or give the path of a .safetensors or .pth file.")
    chosen = choices[weights]
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    file = chosen.url.rsplit("/", 1)[-1]
    try:
        return unwrap(chosen.get_state_dict(progress=True, check_hash=True, weights_only=True))
    except (OSError, RuntimeError) as error:  # URLError is an OSError; a wrong hash is a RuntimeError
        raise WeightsError(
            f"weights '{weights}' of {architecture} are not on this machine and cannot be downloaded ({error}). "
            f"Bring the file {file} from {chosen.url} and put it into '{folder}', or name it with --weights PATH"
        ) from error
