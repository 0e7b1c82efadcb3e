"""Weights: read from a torchvision name, a file or a seed, and identified by the digest of their tensors.

Nothing here unpickles objects: `.pth` files are read with torch's `weights_only=True`, `.safetensors` hold no code.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import WeightsError, shorten, unknown

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger(__name__)

FILE_SUFFIXES = (".safetensors", ".pth", ".pt", ".featx")
OWN = "base."
"""What names of a fine-tuned base's tensors begin with in a model file (`.featx`)."""

BUNDLED = {("tiny", "CIFAR100"): "tiny-cifar100.safetensors"}
"""Weights that the package ships: (architecture, weights name) to file in `featx/bases/pretrained`."""


@dataclass(frozen=True)
class LoadedWeights:
    """What was loaded: the digest of the tensors, and where they came from in plain words."""

    digest: str
    source: str


def is_file_name(weights: str) -> bool:
    """Whether `--weights` names a file rather than torchvision weights."""
    return weights.endswith(FILE_SUFFIXES) or "/" in weights


def digest_tensors(tensors: Mapping[str, NDArray[Any]]) -> str:
    """Digest a network's tensors: names, shapes, dtypes and bytes, sorted by name.

    Floating tensors count as float32, which is what a base computes with, so one network is one digest in whatever
    file and width it is stored. Counters of batches (`num_batches_tracked`), which no frozen base reads, do not count.

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
        if name.endswith("num_batches_tracked"):
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
    """Find the tensors in a checkpoint: below `state_dict` or `model`, with or without the prefix `module.`.

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
    return {str(name).removeprefix("module."): tensor for name, tensor in state.items()}


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


def load_weights(architecture: str, network: nn.Module, weights: str) -> LoadedWeights:
    """Load weights into a network, and identify them.

    Parameters
    ----------
    architecture : str
        Name in `BASES`.
    network : torch.nn.Module
        Randomly initialised; "random" leaves it so.
    weights : str
        A torchvision weights name, a path, "random", or the name of bundled weights.

    Raises
    ------
    UnknownName
        If it is neither a file nor a name of weights of this architecture.
    WeightsError
        If the weights cannot be had, or do not fit the architecture.
    """
    if weights == "random":
        return LoadedWeights(digest_tensors(as_arrays(network.state_dict())), "random")
    bundled = bundled_file(architecture, weights)
    if bundled or is_file_name(weights):
        path = bundled or Path(weights).expanduser()
        tensors, source = read_file(path), weights if bundled else path.name
    else:
        tensors, source = download(architecture, weights), weights
    fit(architecture, network, tensors, source)
    return LoadedWeights(digest_tensors(as_arrays(network.state_dict())), source)


def bundled_file(architecture: str, weights: str) -> Path | None:
    """Path of weights that the package ships, or None."""
    name = BUNDLED.get((architecture, weights))
    return Path(str(files("featx.bases") / "pretrained" / name)) if name else None


def fit(architecture: str, network: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Copy tensors into a network.

    Raises
    ------
    WeightsError
        If names or shapes differ, with the first of each.
    """
    own = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}
    missing = [name for name in own if name not in given]
    foreign = [name for name in given if name not in own]
    shapes = [name for name in own if name in given and own[name].shape != given[name].shape]
    problems = []
    if missing:
        problems.append(f"{len(missing)} tensors are missing ({shorten(missing, 2)})")
    if foreign:
        problems.append(f"{len(foreign)} are foreign to it ({shorten(foreign, 2)})")
    if shapes:
        first = shapes[0]
        problems.append(
            f"{len(shapes)} have another shape ({first}: {tuple(given[first].shape)}, wanted {tuple(own[first].shape)})"
        )
    if problems:
        raise WeightsError(f"'{source}' holds no weights of {architecture}: {', '.join(problems)}")
    network.load_state_dict(dict(given), strict=False)


def download(architecture: str, weights: str) -> dict[str, Tensor]:
    """Fetch torchvision weights by name, from its local cache where they lie there already.

    Raises
    ------
    UnknownName
        If the architecture has no such weights.
    WeightsError
        If they are not in the local cache and cannot be downloaded.
    """
    import torch
    import torchvision

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
