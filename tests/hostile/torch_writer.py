"""Writes files of torch instruction by instruction, so that they can say what torch itself would never write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C

STORED, DEFLATED = 0, 8


@dataclass
class Global:
    """Something to import."""

    module: str
    name: str


class Call:
    """Something to call."""

    def __init__(self, module: str, name: str, *arguments: Any) -> None:
        self.callee: Any = Global(module, name)
        self.arguments: Any = arguments


@dataclass
class Stored:
    """A reference to a storage."""

    id: Any


@dataclass
class Raw:
    """Instructions as they are."""

    data: bytes


@dataclass
class Entries:
    """A mapping whose keys may be anything, and stand in it twice."""

    pairs: list[list[Any]] = field(default_factory=list)


def write_value(value: Any) -> bytes:
    """Write the instructions that put a value on the stack."""
    if isinstance(value, Raw):
        return value.data
    if isinstance(value, Global):
        return f"c{value.module}\n{value.name}\n".encode()
    if isinstance(value, Call):
        return write_value(value.callee) + write_value(value.arguments) + b"R"
    if isinstance(value, Stored):
        return write_value(value.id) + b"Q"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(write_value, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(write_value, value)) + b"e"
    if isinstance(value, Mapping | Entries):
        pairs = value.pairs if isinstance(value, Entries) else value.items()
        return b"}(" + b"".join(write_value(key) + write_value(item) for key, item in pairs) + b"u"
    return write_plain(value)


def write_plain(value: Any) -> bytes:
    """Write the instruction of a plain value."""
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, int):
        length = value.bit_length() // 8 + 1
        data = value.to_bytes(length, "little", signed=True)
        return (b"\x8a" + bytes([length]) if length < 256 else b"\x8b" + struct.pack("<I", length)) + data
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def write_pickle(value: Any) -> bytes:
    return b"\x80\x02" + write_value(value) + b"."


def tensor(key: str, shape: Any, strides: Any = None, **changes: Any) -> Call:
    """The call that makes a tensor of a storage; changes: storage, count, offset."""
    if strides is None:
        strides = tuple(int(np.prod(shape[axis + 1 :], dtype=object)) for axis in range(len(shape)))
    count = changes.get("count", int(np.prod(shape, dtype=object)))
    storage = Global("torch", changes.get("storage", "FloatStorage"))
    stored = Stored(("storage", storage, key, "cpu", count))
    return Call(
        "torch._utils", "_rebuild_tensor_v2", stored, changes.get("offset", 0), shape, strides, False, Call(
            "collections", "OrderedDict"
        )
    )  # fmt: skip


@dataclass
class Part:
    """A member of an archive; what it states about itself may differ from what it is."""

    data: bytes
    method: int = STORED
    flags: int = 0
    size: int | None = None
    packed_size: int | None = None
    header: int | None = None


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def deflate_zeros(mebibytes: int) -> bytes:
    """Deflate zeros without having them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * mebibytes + packer.flush()


def write_zip(path: Path, parts: list[tuple[str, Part]], end: Mapping[str, int] | None = None) -> None:
    """Write an archive; `end` overrides what its last record states."""
    with path.open("wb") as file:
        directory = bytearray()
        for name, part in parts:
            place = file.tell() if part.header is None else part.header
            packed = len(part.data) if part.packed_size is None else part.packed_size
            size = len(part.data) if part.size is None else part.size
            encoded = name.encode()
            about = (part.flags, part.method, 0, 0, 0, min(packed, 2**32 - 1), min(size, 2**32 - 1), len(encoded))
            file.write(struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, *about, 0) + encoded + part.data)
            directory += struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, *about, 0, 0, 0, 0, 0, place) + encoded
        stated = {"count": len(parts) % 65536, "size": len(directory), "place": file.tell()} | dict(end or {})
        last = struct.pack(
            "<4s4H2LH", b"PK\x05\x06", 0, 0, stated["count"], stated["count"], stated["size"], stated["place"], 0
        )
        file.write(bytes(directory) + last)


def write_torch(path: Path, content: Any, storages: Mapping[str, bytes] | None = None, method: int = STORED) -> None:
    """Write an archive of torch."""
    pickle = content if isinstance(content, bytes) else write_pickle(content)
    parts = [("a/data.pkl", Part(pickle)), ("a/byteorder", Part(b"little")), ("a/version", Part(b"3\n"))]
    for key, data in (storages or {}).items():
        if method == DEFLATED:
            parts.append((f"a/data/{key}", Part(deflate(data), DEFLATED, size=len(data))))
        else:
            parts.append((f"a/data/{key}", Part(data)))
    write_zip(path, parts)


def write_legacy(path: Path, content: Any, storages: Mapping[str, bytes]) -> None:
    """Write a file of pickles with numbers of four bytes behind them."""
    data = b"".join(map(write_pickle, (MAGIC, 1001, {"little_endian": True})))
    data += content if isinstance(content, bytes) else write_pickle(content)
    data += write_pickle(list(storages))
    for numbers in storages.values():
        data += struct.pack("<q", len(numbers) // 4) + numbers
    path.write_bytes(data)


def describe_state(state: Mapping[str, Any], legacy: bool = False) -> tuple[Entries, dict[str, bytes]]:
    """Describe the tensors of a network as torch would, with the bytes of their storages.

    Older files are written with numbers of four bytes, so without counters of batches.
    """
    entries = Entries()
    storages = {}
    for number, (name, value) in enumerate(state.items()):
        if legacy and not value.is_floating_point():
            continue
        kind = "FloatStorage" if value.is_floating_point() else "LongStorage"
        array = value.contiguous().numpy()
        made = tensor(str(number), tuple(array.shape), storage=kind)
        if legacy:
            made.arguments[0].id += (None,)
        entries.pairs.append([name, made])
        storages[str(number)] = array.tobytes()
    return entries, storages
