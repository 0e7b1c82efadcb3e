"""What `torch.save` wrote: which values of its pickle are tensors, and the archive that holds their numbers."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from featx.archives.zip_directory import ZipEntry
from featx.bases.weight_files.pickle_data import (
    MAX_PICKLE_BYTES,
    Made,
    Named,
    Pairs,
    PickleReader,
    PickleSource,
    Reference,
    too_long,
)
from featx.bases.weight_files.stored_tensor import (
    ITEM_BYTES,
    MAX_DIMENSIONS,
    AnyTensor,
    RefusedTensor,
    SparseTensor,
    StoredTensor,
    show_name,
)
from featx.bases.weight_files.weights_file import NotWeights, Span, WeightsFile
from featx.bases.weight_files.zip_members import find_span, list_members

STORAGE_DTYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",
}
"""Torch's classes of storages, and the numbers in them."""

SHAPELESS: tuple[int, ...] = ()

DEEPEST_WRAPPING = 8
"""Calls within calls that make one tensor, such as a parameter of a subclass of a tensor."""

MAPPINGS = ("collections.OrderedDict", "collections.defaultdict", "builtins.dict", "__builtin__.dict")


@dataclass
class Storage:
    """The bytes behind tensors, once it is known where they are.

    Attributes
    ----------
    dtype : str
        Torch's name of it, or of one that is not read.
    span : Span or None
    """

    dtype: str
    span: Span | None = None


FindStorage = Callable[[Reference], Storage]


def is_mapping(value: Any) -> bool:
    """Whether a value that a pickle states is, or would have been made into, a mapping."""
    return isinstance(value, Pairs | Made)


def pairs_of(value: Any) -> list[tuple[Any, Any]]:
    """Give the pairs of a mapping; none of anything else."""
    if isinstance(value, Pairs):
        return value.pairs
    if not isinstance(value, Made):
        return []
    given = value.arguments
    if value.kind() not in MAPPINGS or not isinstance(given, tuple):
        return value.pairs
    # As older Pythons wrote them: a list of pairs.
    first = given[0] if given and isinstance(given[0], list) else []
    pairs = [(pair[0], pair[1]) for pair in first if isinstance(pair, list | tuple) and len(pair) == 2]
    return pairs + value.pairs


@dataclass
class TorchFile:
    """What a file of torch holds.

    Attributes
    ----------
    content : object
        As `PickleReader.read` gives it.
    find : callable
        Finds the storage that a reference means.
    big_endian : bool
        Whether the bytes of each number are in the other order.
    """

    content: Any
    find: FindStorage
    big_endian: bool = False

    def tensor(self, value: Any, depth: int = DEEPEST_WRAPPING) -> AnyTensor | None:
        """Describe the tensor that a value of the content is; None if it is none.

        Raises
        ------
        NotWeights
            If its description makes no sense.
        """
        if not isinstance(value, Made) or not depth:
            return None
        kind = value.kind().rpartition(".")[2]
        given = value.arguments
        if not isinstance(given, tuple):
            return None
        if kind in TENSOR_WRAPPERS:
            return self.tensor(given[0], depth - 1) if given else None
        if kind == "_rebuild_from_type_v2" and len(given) > 2:
            # What would have made a plain tensor, the class that it would have become, and the arguments of the first.
            return self.tensor(Made(given[0], given[2]), depth - 1)
        if kind in REFUSED:
            place, reason = REFUSED[kind]
            shape = given[place] if place is not None and len(given) > place else SHAPELESS
            return RefusedTensor(as_shape(shape) or SHAPELESS, reason)
        if kind == "_rebuild_sparse_tensor" and len(given) == 2:
            return self.sparse(given[0], given[1])
        if kind in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3") and len(given) >= 4:
            return self.dense(kind, given)
        return None

    def dense(self, kind: str, given: tuple[Any, ...]) -> AnyTensor:
        """Describe a dense tensor by the arguments of the function that would have made it."""
        reference, offset, *rest = given
        shape = as_shape(rest[0])
        strides = as_shape(rest[1])
        if not isinstance(reference, Reference) or shape is None or strides is None or not is_count(offset):
            raise NotWeights("it is truncated or damaged")
        storage = self.find(reference)
        dtype = storage.dtype
        metadata = given[6] if len(given) > 6 else None
        if kind == "_rebuild_tensor_v3":
            named = given[6] if len(given) > 6 else None
            dtype = named.name.removeprefix("torch.") if isinstance(named, Named) else "unknown"
            metadata = given[7] if len(given) > 7 else None
        if dtype not in ITEM_BYTES:
            return RefusedTensor(shape, describe_dtype(dtype))
        if any(key in ("neg", "conj") and is_set for key, is_set in pairs_of(metadata)):
            return RefusedTensor(shape, "is stored negated: save it as .resolve_neg()")
        if storage.span is None:
            raise NotWeights("it is truncated or damaged: the numbers of a tensor are missing")
        return StoredTensor(storage.span, dtype, shape, strides, offset, self.big_endian)

    def sparse(self, layout: Any, data: Any) -> AnyTensor:
        """Describe a sparse tensor by its layout and its parts."""
        is_coordinates = isinstance(layout, Made) and layout.arguments == ("torch.sparse_coo",)
        if not is_coordinates or not isinstance(data, tuple) or len(data) not in (3, 4):
            return RefusedTensor(SHAPELESS, "is sparse: save it as .to_dense()")
        indices = self.tensor(data[0])
        values = self.tensor(data[1])
        shape = as_shape(data[2])
        if shape is None or not isinstance(indices, StoredTensor):
            raise NotWeights("it is truncated or damaged")
        if not isinstance(values, StoredTensor):
            return RefusedTensor(shape, "is sparse: save it as .to_dense()")
        return SparseTensor(indices, values, shape)


TENSOR_WRAPPERS = (
    "Parameter",
    "Buffer",
    "_rebuild_parameter",
    "_rebuild_parameter_with_state",
    "_rebuild_device_tensor_from_cpu_tensor",
)
"""Calls whose first argument is the tensor."""

REFUSED: dict[str, tuple[int | None, str]] = {
    "_rebuild_qtensor": (2, "is quantised: save the network before it is quantised"),
    "_rebuild_meta_tensor_no_storage": (1, "has a shape but no numbers (it was saved from the meta device)"),
    "_rebuild_nested_tensor": (None, "is a nested tensor: save a plain one"),
    "_rebuild_wrapper_subclass": (2, "is a kind of tensor of its own: save a plain one"),
    "_rebuild_device_tensor_from_numpy": (None, "lies on a device that is not read: save it as .cpu()"),
    "_rebuild_xla_tensor": (None, "lies on a device that is not read: save it as .cpu()"),
}
"""Calls that make tensors which no frozen base computes with: where their shape is, and what is wrong with them."""


def as_shape(value: Any) -> tuple[int, ...] | None:
    """Read a shape: a tuple of numbers, or the record of a `torch.Size` of one."""
    if isinstance(value, Made) and value.kind() == "torch.Size" and isinstance(value.arguments, tuple):
        value = value.arguments[0] if value.arguments else ()
    is_sequence = isinstance(value, tuple | list) and len(value) <= MAX_DIMENSIONS
    return tuple(value) if is_sequence and all(is_count(side) for side in value) else None


def is_count(value: Any) -> bool:
    """Whether a value is a whole number that fits 64 bits."""
    return type(value) is int and -(2**63) <= value < 2**63


def describe_dtype(dtype: str) -> str:
    """Say why numbers of a dtype are not read, in words that follow a tensor's name."""
    if dtype.startswith(("complex", "Complex")):
        return "holds complex numbers"
    if dtype.startswith(("q", "Q")):
        return "is quantised: save the network before it is quantised"
    return f"holds numbers of a kind that is not read ({show_name(dtype[:40])})"


def storage_dtype(kind: Any) -> str:
    """Name the numbers in a storage by torch's class of it."""
    name = kind.name.rpartition(".")[2] if isinstance(kind, Named) else "unknown"
    return STORAGE_DTYPES.get(name, name.removesuffix("Storage"))


def read_archive(file: WeightsFile) -> TorchFile:
    """Read what an archive of torch holds.

    Raises
    ------
    NotWeights
        If it is damaged, a program, or no archive of torch.
    """
    members = list_members(file)
    by_end = [name.rpartition("/")[2] for name in members]
    if "constants.pkl" in by_end:
        raise NotWeights("it is a TorchScript program: save its state_dict()")
    described = [name for name in members if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(described) != 1:
        raise NotWeights("it is an archive, but none that torch.save wrote")
    root = described[0].removesuffix("data.pkl")
    pickle = find_member(file, members, described[0])
    if pickle.size > MAX_PICKLE_BYTES:
        raise too_long()
    content = PickleReader(PickleSource(io.BytesIO(pickle.read(0, pickle.size)))).read()
    storages: dict[str, Storage] = {}

    def find(reference: Reference) -> Storage:
        kind, key, count = read_reference(reference, 5)
        if key not in storages:
            dtype = storage_dtype(kind)
            span = None
            if f"{root}data/{key}" in members:
                span = limit_span(find_member(file, members, f"{root}data/{key}"), count, dtype)
            storages[key] = Storage(dtype, span)
        return storages[key]

    return TorchFile(content, find, read_byte_order(file, members, root))


def find_member(file: WeightsFile, members: dict[str, ZipEntry], name: str) -> Span:
    """Find the bytes of a member of an archive."""
    return find_span(file, members[name])


def read_byte_order(file: WeightsFile, members: dict[str, ZipEntry], root: str) -> bool:
    """Whether the numbers of an archive have their big end first."""
    if f"{root}byteorder" not in members:
        return False
    span = find_member(file, members, f"{root}byteorder")
    return bytes(span.read(0, min(span.size, 8))).strip() == b"big"


def limit_span(span: Span, count: int, dtype: str) -> Span:
    """Limit the bytes of a storage to those that its reference states.

    Raises
    ------
    NotWeights
        If it states more than there are.
    """
    stated = count * ITEM_BYTES.get(dtype, 0)
    if stated > span.size:
        raise NotWeights("it is truncated or damaged: a tensor states more numbers than the file holds for it")
    return span


def read_reference(reference: Reference, length: int) -> tuple[Any, str, int]:
    """Read a reference to a storage: torch's class of it, its key, and how many numbers it has.

    Raises
    ------
    NotWeights
        If it is none.
    """
    given = reference.id
    if not isinstance(given, tuple) or len(given) != length or given[0] not in ("storage", b"storage"):
        raise NotWeights("it is truncated or damaged")
    key, count = given[2], given[4]
    if not isinstance(key, str | int) or not is_count(count) or count < 0:
        raise NotWeights("it is truncated or damaged")
    return given[1], str(key), count
