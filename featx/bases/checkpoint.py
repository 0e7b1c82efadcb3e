"""Reads a file that training tools wrote: its tensors by entry and name, and never any of the objects beside them.

What a file is, its first bytes say; suffixes differ from tool to tool.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

from featx.errors import shorten

if TYPE_CHECKING:
    from torch import Tensor

SAFETENSORS_SUFFIXES = (".safetensors", ".featx")
"""Suffixes of safetensors files; by these a damaged file is told from a damaged one of torch."""

ZIP = b"PK\x03\x04"
PICKLE = b"\x80"

HEADER_START = 8
"""A safetensors file begins with eight bytes, the length of its JSON header."""

MAX_SAFETENSORS_HEADER_BYTES = 100_000_000
"""No safetensors file has a longer header."""

FOREIGN = {
    b"<!DOCTYPE": "it is a web page: the download failed",
    b"<html": "it is a web page: the download failed",
    b"version https://git-lfs": "it is a Git LFS pointer, not the file itself: run git lfs pull",
    b"\x89HDF": "it is an HDF5 file, such as Keras writes: featx reads torch's files and safetensors",
    b"\x1f\x8b": "it is compressed: unpack it first",
}
"""First bytes of files that people take for weights, and what they are."""

OPTIMIZERS = ("optimizer", "lr_scheduler", "scaler")
"""Entries of a checkpoint that begin so hold tensors which belong to no network."""

DEEPEST = 4
"""Entries within entries that are searched for tensors."""

StateDict = dict[str, Any]
"""Tensors, or arrays, by name."""


class NotWeights(Exception):
    """What is wrong with a file of weights, in words that complete "cannot be read: ..."."""


class Inert(dict[Any, Any]):
    """Stands in the place of any object that a checkpoint holds beside tensors: none of its code is imported or run."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """Take nothing."""


def read_beginning(path: Path) -> bytes:
    """Read the first bytes of a file."""
    with path.open("rb") as file:
        return file.read(64)


def is_safetensors(path: Path, beginning: bytes) -> bool:
    """Whether a file is one of safetensors, by its first bytes; where these say nothing, by its suffix."""
    # Asked first: a length may begin with any byte, also as a pickle does.
    if begins_with_header(beginning):
        return True
    is_of_torch = beginning[:4] == ZIP or beginning[:1] == PICKLE
    return not is_of_torch and path.suffix in SAFETENSORS_SUFFIXES


def begins_with_header(beginning: bytes) -> bool:
    """Whether a file begins with the length of a header, and the header with a bracket."""
    length = int.from_bytes(beginning[:HEADER_START], "little")
    return length <= MAX_SAFETENSORS_HEADER_BYTES and beginning[HEADER_START : HEADER_START + 1] == b"{"


def looks_like_weights(path: Path) -> bool:
    """Whether a path is a regular file that begins as files of weights do."""
    try:
        beginning = read_beginning(path) if path.is_file() else b""
    except OSError:
        return False
    return beginning[:4] == ZIP or beginning[:1] == PICKLE or begins_with_header(beginning)


def check_beginning(beginning: bytes) -> None:
    """Raise NotWeights if the first bytes are those of something else.

    Raises
    ------
    NotWeights
        Saying what it is.
    """
    if not beginning:
        raise NotWeights("it is empty")
    for start, reason in FOREIGN.items():
        if beginning.lstrip().lower().startswith(start.lower()):
            raise NotWeights(reason)


def load_torch_file(path: Path) -> Any:
    """Load a file that `torch.save` wrote; whatever is neither a tensor nor a plain value becomes `Inert`.

    Raises
    ------
    NotWeights
        If it is a program, a whole model, or a pickle that names what may not be loaded.
    OSError, RuntimeError, EOFError, ValueError
        If it is damaged.
    """
    from pickle import UnpicklingError

    import torch

    stand_ins = make_inert_globals(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(stand_ins):
            # Such as that of tensors whose kind is deprecated: advice to whoever wrote the file.
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise NotWeights(describe_pickle(str(error))) from error
    if isinstance(content, Inert):
        kind = type(content).__name__
        raise NotWeights(f"it is a whole pickled model ({kind}): save its state_dict()")
    return content


def make_inert_globals(path: Path) -> list[Any]:
    """Make a stand-in for everything that an archive names and that is neither a tensor nor a plain value.

    Raises
    ------
    NotWeights
        If the archive is of another kind.
    """
    import torch

    if read_beginning(path)[:4] != ZIP:
        return []
    try:
        with ZipFile(path) as archive:
            members = [name.rpartition("/")[2] for name in archive.namelist()]
    except BadZipFile as error:
        raise NotWeights("it is truncated or damaged") from error
    if "constants.pkl" in members:
        raise NotWeights("it is a TorchScript program: save its state_dict()")
    if "data.pkl" not in members:
        raise NotWeights("it is an archive, but none that torch.save wrote")
    names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    return [(type(name.rpartition(".")[2], (Inert,), {}), name) for name in names]


def describe_pickle(message: str) -> str:
    """Say in our words why torch refuses a pickle; its own advise to switch the safety off."""
    named = re.search(r"GLOBAL ([\w.]+)", message)
    if named:
        return f"it holds objects ('{named[1]}') beside tensors: save the state_dict() alone"
    return "it is not a plain file of tensors"


def find_states(content: Any) -> dict[str, StateDict]:
    """Find the named tensors of a checkpoint, by the entry that holds them: "" where they lie at the top.

    Raises
    ------
    NotWeights
        If there are none.
    """
    states = dict(walk_entries(content, "", DEEPEST))
    if not states:
        raise NotWeights(f"it holds no named tensors but a {type(content).__name__}")
    return states


def walk_entries(content: Any, entry: str, depth: int) -> Iterator[tuple[str, StateDict]]:
    """Give the tensors of a mapping, and then those of the mappings in it."""
    if not isinstance(content, Mapping) or entry.startswith(OPTIMIZERS):
        return
    state = {str(name): value for name, value in content.items() if hasattr(value, "shape")}
    if state:
        yield entry, state
    if depth:
        for name, value in content.items():
            yield from walk_entries(value, f"{entry}.{name}" if entry else str(name), depth - 1)


def make_plain(name: str, tensor: Tensor) -> Tensor:
    """Make a plain tensor of a parameter or a sparse tensor.

    Raises
    ------
    NotWeights
        If its numbers are not those that a network computes with.
    """
    import torch

    if not isinstance(tensor, torch.Tensor):
        raise NotWeights(f"'{name}' is not a torch tensor but a {type(tensor).__name__}")
    if tensor.is_meta:
        raise NotWeights(f"'{name}' has a shape but no numbers (it was saved from the meta device)")
    if tensor.is_quantized:
        raise NotWeights(f"'{name}' is quantised: save the network before it is quantised")
    if tensor.is_nested:
        raise NotWeights(f"'{name}' is a nested tensor: save a plain one")
    if tensor.is_complex():
        raise NotWeights(f"'{name}' holds complex numbers")
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    return tensor.detach()


def name_entries(entries: list[str]) -> str:
    """Name entries of a checkpoint in a message."""
    return shorten([f"'{entry}'" if entry else "those at the top" for entry in entries], 4)
