"""Reads a file that training tools wrote: its tensors by entry and name, and never any of the objects beside them.

What a file is, its first bytes say; suffixes differ from tool to tool.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from featx.bases.weight_files.pickle_data import Made
from featx.bases.weight_files.safetensors_file import HEADER_START, read_safetensors
from featx.bases.weight_files.stored_tensor import AnyTensor, show_name
from featx.bases.weight_files.torch_file import MAPPINGS, TorchFile, is_count, is_mapping, pairs_of, read_archive
from featx.bases.weight_files.torch_legacy import is_legacy, read_legacy
from featx.bases.weight_files.weights_file import NotWeights, WeightsFile
from featx.errors import shorten

SAFETENSORS_SUFFIXES = (".safetensors", ".featx")
"""Suffixes of safetensors files; by these a damaged file is told from a damaged one of torch."""

ZIP = b"PK\x03\x04"
PICKLE = b"\x80"

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

MAX_TENSORS = 100_000
"""Named tensors of a file, with those of its optimizer."""

MAX_ENTRIES = 10_000
"""Mappings that are searched for tensors: a pickle may hold one of them in many places, or within itself."""

MAX_NAME = 500
"""Characters of a tensor's name."""

BEGINNING_BYTES = 64

StateDict = dict[str, AnyTensor]
"""Tensors by name."""


def read_beginning(file: WeightsFile) -> bytes:
    """Read the first bytes of a file."""
    return bytes(file.read(0, min(file.size, BEGINNING_BYTES)))


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
        with WeightsFile(path) as file:
            beginning = read_beginning(file)
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


def find_states(file: WeightsFile) -> dict[str, StateDict]:
    """Find the named tensors of a file, by the entry that holds them: "" where they lie at the top.

    Raises
    ------
    NotWeights
        If there are none, or the file is damaged or of another kind.
    """
    beginning = read_beginning(file)
    check_beginning(beginning)
    if is_safetensors(file.path, beginning):
        tensors = name_tensors(read_safetensors(file))
        if not tensors:
            raise NotWeights("it holds no tensors")
        return {"": tensors}
    content = read_torch_file(file, beginning)
    states = dict(EntryWalk(content).walk(content.content, "", DEEPEST))
    if not states:
        raise NotWeights(f"it holds no named tensors but a {describe_kind(content)}")
    return states


def read_torch_file(file: WeightsFile, beginning: bytes) -> TorchFile:
    """Read what a file of torch holds.

    Raises
    ------
    NotWeights
        If it is a whole model, damaged, or of another kind.
    """
    if beginning[:4] == ZIP:
        content = read_archive(file)
    elif is_legacy(beginning):
        content = read_legacy(file)
    elif beginning[:1] == PICKLE:
        raise NotWeights("it is a pickle, but none that torch.save wrote: save the state_dict() with it")
    else:
        raise NotWeights("it is not a plain file of tensors")
    value = content.content
    is_object = isinstance(value, Made) and value.kind() not in MAPPINGS
    if is_object and content.tensor(value) is None:
        raise NotWeights(f"it is a whole pickled model ({describe_kind(content)}): save its state_dict()")
    return content


def describe_kind(content: TorchFile) -> str:
    """Name what a file holds instead of named tensors."""
    value = content.content
    if content.tensor(value) is not None:
        return "Tensor"
    if isinstance(value, Made):
        return show_name(value.kind().rpartition(".")[2])[:80]
    return "dict" if is_mapping(value) else type(value).__name__


class EntryWalk:
    """Searches the mappings of a checkpoint for tensors, as many of both as a checkpoint may have.

    Parameters
    ----------
    content : TorchFile
    """

    def __init__(self, content: TorchFile) -> None:
        self.content = content
        self.entries = 0
        self.tensors = 0

    def walk(self, value: Any, entry: str, depth: int) -> Iterator[tuple[str, StateDict]]:
        """Give the tensors of a mapping, and then those of the mappings in it.

        Raises
        ------
        NotWeights
            If there are too many.
        """
        if not is_mapping(value) or entry.startswith(OPTIMIZERS):
            return
        self.entries += 1
        if self.entries > MAX_ENTRIES:
            raise NotWeights(f"it holds more than {MAX_ENTRIES} entries")
        pairs = pairs_of(value)
        named = {}
        for key, item in pairs:
            tensor = self.content.tensor(item)
            if tensor is not None:
                named[as_name(key)] = tensor
        self.tensors += len(named)
        if self.tensors > MAX_TENSORS:
            raise too_many_tensors()
        if named:
            yield entry, name_tensors(named)
        if depth:
            for key, item in pairs:
                name = show_name(as_name(key)[:MAX_NAME])
                yield from self.walk(item, f"{entry}.{name}" if entry else name, depth - 1)


def as_name(key: Any) -> str:
    """Give a key of a mapping as a name."""
    is_plain = isinstance(key, str | float | bool) or key is None or is_count(key)
    return str(key) if is_plain else "?"


def name_tensors(tensors: StateDict) -> StateDict:
    """Give tensors the names that messages can show.

    Raises
    ------
    NotWeights
        If a name is too long, or there are too many.
    """
    if len(tensors) > MAX_TENSORS:
        raise too_many_tensors()
    longest = max(map(len, tensors), default=0)
    if longest > MAX_NAME:
        raise NotWeights(f"it names a tensor by {longest} characters, which no network does")
    return {show_name(name): tensor for name, tensor in tensors.items()}


def too_many_tensors() -> NotWeights:
    """Build the error for a file of more tensors than are read."""
    return NotWeights(f"it holds more than {MAX_TENSORS} tensors")


def name_entries(entries: list[str]) -> str:
    """Name entries of a checkpoint in a message."""
    return shorten([f"'{entry}'" if entry else "those at the top" for entry in entries], 4)
