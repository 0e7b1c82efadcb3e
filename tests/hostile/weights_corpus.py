"""Files of weights that a stranger made, each by the function that writes it."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from featx.bases.architectures.tiny import tiny
from featx.bases.registry import BASES
from tests.hostile.torch_writer import (
    DEFLATED,
    Call,
    Entries,
    Global,
    Part,
    Raw,
    Stored,
    deflate,
    deflate_zeros,
    describe_state,
    tensor,
    write_legacy,
    write_pickle,
    write_torch,
    write_value,
    write_zip,
)

Make = Callable[[Path], Any]

State = dict[str, torch.Tensor]

HEAD = "fc.weight"
BODY = "layer4.conv1.weight"


def state() -> State:
    torch.manual_seed(3)
    return {name: value.clone() for name, value in tiny().state_dict().items()}


def written(content: Any, storages: dict[str, bytes] | None = None) -> Make:
    return lambda path: write_torch(path, content, storages)


def pickled(make: Callable[[], bytes]) -> Make:
    return lambda path: write_torch(path, make(), {"0": bytes(4)})


def lazily(make: Callable[[], Make]) -> Make:
    """Put off what takes long to make until it is wanted."""
    return lambda path: make()(path)


def saved(change: Callable[[State], Any], **options: Any) -> Make:
    return lambda path: torch.save(change(state()), path, **options)


def with_tensor(made: Any, name: str = HEAD, storage: bytes | None = None) -> Make:
    """A sound state dict in which one tensor is another thing."""

    def make(path: Path) -> None:
        entries, storages = describe_state(state())
        for pair in entries.pairs:
            if pair[0] == name:
                pair[1] = made
        write_torch(path, entries, storages | {"x": storage or bytes(400)})

    return make


def replaced(name: str, change: Callable[[torch.Tensor], Any]) -> Make:
    return saved(lambda tensors: {**tensors, name: change(tensors[name])})


def bare(data: bytes) -> Make:
    return lambda path: path.write_bytes(data)


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)


class Program(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


SYSTEM = Call("os", "system", "touch exploded")

CALLS: dict[str, Any] = {
    "os-system": SYSTEM,
    "posix-system": Call("posix", "system", "touch exploded"),
    "eval": Call("builtins", "eval", "__import__('os').system('touch exploded')"),
    "exec": Call("builtins", "exec", "import os; os.system('touch exploded')"),
    "import": Call("builtins", "__import__", "antigravity"),
    "getattr-chain": Call("builtins", "getattr", Call("builtins", "__import__", "os"), "system"),
    "subprocess": Call("subprocess", "Popen", ["touch", "exploded"]),
    "socket": Call("socket", "create_connection", ("127.0.0.1", 9)),
    "browser": Call("webbrowser", "open", "http://localhost:9"),
    "hub": Call("torch.hub", "load", "evil/repo", "model"),
    "hub-file": Call("torch.hub", "load_state_dict_from_url", "http://localhost:9/x.pth"),
    "torch-load": Call("torch", "load", "other.pth"),
    "runpy": Call("runpy", "run_path", "evil.py"),
    "partial": Call("functools", "partial", Global("os", "system"), "touch exploded"),
    "numpy-reconstruct": Call("numpy.core.multiarray", "_reconstruct", Global("numpy", "ndarray"), (0,), "b"),
    "numpy-scalar": Call("numpy.core.multiarray", "scalar", Call("numpy", "dtype", "O8", False, True), "x"),
    "bytearray": Call("builtins", "bytearray", 10**11),
    "tensor-of-size": Call("torch", "Tensor", 10**11),
    "storage-of-size": Call("torch", "FloatStorage", 10**11),
    "set": Call("builtins", "set", [1, 2]),
    "extension": Raw(b"\x82\x01"),
    "instance": Raw(b"(X\x0e\x00\x00\x00touch explodedios\nsystem\n"),
    "object": Raw(b"(cos\nsystem\nX\x0e\x00\x00\x00touch explodedo"),
    "stack-global": Raw(b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93X\x0e\x00\x00\x00touch exploded\x85R"),
    "keywords": Raw(b"cos\nsystem\n)}\x92"),
    "build-setstate": Raw(write_value(Call("collections", "OrderedDict")) + b"}X\x01\x00\x00\x00acos\nsystem\nsb"),
}
"""What pickles may want to call, wherever they want it."""


def nested(depth: int, opening: bytes, closing: bytes) -> bytes:
    return b"\x80\x02" + opening * depth + b"N" + closing * depth + b"."


def laughs() -> bytes:
    """Mappings that hold one another ten times, forty deep."""
    data = b"\x80\x02}q\x00"
    for level in range(40):
        data += b"}("
        for number in range(10):
            data += write_value(f"k{number}") + b"h" + bytes([level])
        data += b"uq" + bytes([level + 1])
    return data + b"."


LOOP = b"\x80\x02}q\x00(" + b"".join(write_value(f"k{number}") + b"h\x00" for number in range(200)) + b"u."

PICKLES: dict[str, Callable[[], bytes]] = {
    "deep-lists": lambda: nested(10**6, b"](", b"e"),
    "deep-tuples": lambda: nested(10**6, b"(", b"t"),
    "deep-mappings": lambda: nested(10**6, b"}N", b"s"),
    "many-mappings": lambda: b"\x80\x02(" + b"}" * (20 << 20) + b"t.",
    "many-tensors": lambda: write_pickle({f"t{number}": tensor("0", (1,)) for number in range(110_000)}),
    "mapping-in-itself": lambda: LOOP,
    "laughs": lambda: laughs(),
    "long-number": lambda: b"\x80\x02\x8b" + struct.pack("<I", 30 << 20) + b"\x7f" * (30 << 20) + b".",
    "number-of-digits": lambda: b"\x80\x02L" + b"9" * (4 << 20) + b"L\n.",
    "number-as-key": lambda: b"\x80\x02}(" + write_value(10**9000) + write_value(tensor("0", (1,))) + b"u.",
    "long-text": lambda: b"\x80\x02X" + struct.pack("<I", 31 << 20) + b"a" * (31 << 20) + b".",
    "lying-text": lambda: b"\x80\x02X\xff\xff\xff\xffabc.",
    "lying-bytes": lambda: b"\x80\x04\x8e" + b"\xff" * 8 + b"abc.",
    "too-long": lambda: b"\x80\x02" + b"N0" * (20 << 20) + b"N.",
    "memo-far-away": lambda: b"\x80\x02Nr\xff\xff\xff\xffj\xff\xff\xff\xff.",
    "memo-missing": lambda: b"\x80\x02h\x07.",
    "empty-stack": lambda: b"\x80\x02R.",
    "no-mark": lambda: b"\x80\x02Nu.",
    "no-end": lambda: b"\x80\x02}",
    "odd-pairs": lambda: b"\x80\x02}(Nu.",
    "unknown-instruction": lambda: b"\x80\x02\xfe.",
    "buffers": lambda: b"\x80\x05\x97\x98.",
    "hash-collisions": lambda: write_pickle(Entries([[number * (2**61 - 1), 0] for number in range(200_000)])),
}

V2 = ("torch._utils", "_rebuild_tensor_v2")
ORDERED = Call("collections", "OrderedDict")


def of(storage: str, key: Any = "x", count: Any = 100) -> Stored:
    return Stored(("storage", Global("torch", storage), key, "cpu", count))


TENSORS: dict[str, Make] = {
    "expanded": with_tensor(tensor("x", (10**6, 10**6), (0, 0), count=1)),
    "expanded-in-shape": with_tensor(tensor("x", (100, 256), (0, 1), count=100)),
    "expanded-body": replaced(BODY, lambda value: value.new_zeros(1).expand(value.shape)),
    "expanded-surplus": saved(lambda tensors: {**tensors, "fc.extra": torch.zeros(1).expand(10**6, 10**6)}),
    "overlapping": with_tensor(tensor("x", (50, 50), (1, 1), count=100)),
    "negative-strides": with_tensor(tensor("x", (100,), (-1,), count=100)),
    "negative-offset": with_tensor(tensor("x", (100,), (1,), offset=-50)),
    "far-offset": with_tensor(tensor("x", (100,), (1,), offset=2**62)),
    "too-many-numbers": with_tensor(tensor("x", (10**5,), (1,), count=100)),
    "lying-count": with_tensor(tensor("x", (10**9,), (1,), count=10**9)),
    "huge-shape": with_tensor(tensor("x", (2**40, 2**40), count=1)),
    "huge-number-in-shape": with_tensor(tensor("x", (10**400,), (1,), count=1)),
    "negative-shape": with_tensor(tensor("x", (-3, -3), (1, 1), count=9)),
    "shape-of-text": with_tensor(Call(*V2, of("FloatStorage"), 0, ("a",), ("b",), False, ORDERED)),
    "shape-of-fractions": with_tensor(Call(*V2, of("FloatStorage"), 0, (1.5,), (1.0,), False, ORDERED)),
    "shape-of-truths": with_tensor(Call(*V2, of("FloatStorage"), False, (True,), (True,), False, ORDERED)),
    "thousand-dimensions": with_tensor(tensor("x", (1,) * 1000)),
    "thousand-dimensions-of-the-body": with_tensor(tensor("x", (1,) * 1000), BODY),
    "no-numbers-far": with_tensor(tensor("x", (0, 2**62), (1, 1), count=0)),
    "no-storage": with_tensor(tensor("nowhere", (100, 256))),
    "storage-outside": with_tensor(tensor("../../data.pkl", (100, 256))),
    "storage-of-nothing": with_tensor(Call(*V2, None, 0, (1,), (1,), False, ORDERED)),
    "reference-of-text": with_tensor(Call(*V2, Stored("storage"), 0, (1,), (1,), False, ORDERED)),
    "reference-of-calls": with_tensor(Call(*V2, Stored((SYSTEM,) * 5), 0, (1,), (1,), False, ORDERED)),
    "unknown-storage": with_tensor(tensor("x", (100, 256), storage="EvilStorage")),
    "few-arguments": with_tensor(Call(*V2, of("FloatStorage"))),
    "wrapped-deep": with_tensor(
        Raw(b"ctorch._utils\n_rebuild_parameter\n" * 2000 + write_value(tensor("x", (1,))) + b"\x85R" * 2000)
    ),
    "from-type": with_tensor(
        Call("torch._tensor", "_rebuild_from_type_v2", Global("os", "system"), SYSTEM, ("x",), {})
    ),
    "many-views": saved(
        lambda tensors: (
            {**tensors, **{f"fc.{n}": torch.zeros(10**6) if not n else None for n in range(1)}}
            | dict.fromkeys((f"fc.view{n}" for n in range(3000)), torch.zeros(10**6))
        )
    ),
    "sparse-huge": replaced(HEAD, lambda _: torch.sparse_coo_tensor([[0], [0]], [1.0], (10**6, 10**6))),
    "sparse-outside": with_tensor(
        Call(
            *("torch._utils", "_rebuild_sparse_tensor"),
            Call("torch.serialization", "_get_layout", "torch.sparse_coo"),
            (
                tensor("x", (2, 25), storage="LongStorage", count=50),
                tensor("x", (25,), count=25),
                (100, 256),
                False,
            ),
        ),
        storage=b"\x7f" * 400,
    ),
    "sparse-rows": replaced(HEAD, lambda value: value.to_sparse_csr()),
    "sparse-body": replaced("layer4.bn1.weight", lambda value: value.to_sparse()),
    "nested": replaced(HEAD, lambda value: torch.nested.nested_tensor([value[0], value[1, :5]])),
    "meta": replaced(HEAD, lambda value: value.to("meta")),
    "meta-whole": saved(lambda tensors: {name: value.to("meta") for name, value in tensors.items()}),
    "quantised": replaced(HEAD, lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8)),
    "complex": replaced(HEAD, lambda value: value.to(torch.complex64)),
    "conjugate": replaced(HEAD, lambda value: torch.complex(value, value).conj().imag),
    "int8": replaced(BODY, lambda value: value.to(torch.int8)),
    "uint16": replaced(BODY, lambda value: value.abs().to(torch.uint16)),
    "bool": replaced(BODY, lambda value: value > 0),
    "bfloat16": saved(lambda tensors: {name: value.bfloat16() for name, value in tensors.items()}),
    "float8": saved(lambda tensors: {name: value.float().to(torch.float8_e4m3fn) for name, value in tensors.items()}),
    "parameter": replaced(HEAD, nn.Parameter),
    "nan": replaced(BODY, lambda value: value * float("nan")),
    "one-infinity": replaced(BODY, lambda value: value.index_fill(0, torch.tensor([3]), float("inf"))),
    "too-large-for-float32": replaced(BODY, lambda value: value.double() + 1e300),
    "large": replaced(BODY, lambda value: value + 1e38),
    "negative-variance": replaced("layer4.bn1.running_var", lambda value: value - 10),
    "zeros": saved(lambda tensors: {name: value * 0 for name, value in tensors.items()}),
    "classifier-of-a-million": replaced(HEAD, lambda _: torch.zeros(1).expand(10**6, 256)),
    "escapes-in-a-name": saved(lambda tensors: {**tensors, "fc.\x1b[31m\nerror: no\r\x07": torch.zeros(3)}),
    "half-a-letter-in-a-name": written({"\ud800": tensor("0", (1,))}, {"0": bytes(4)}),
    "nothing": with_tensor(None),
    "name-of-10-MB": written({"a" * (10 << 20): tensor("0", (1,))}, {"0": bytes(4)}),
    "name-of-dots": written({"." * 400 + str(n): tensor("0", (1,)) for n in range(5000)}, {"0": bytes(4)}),
    "keys-of-all-kinds": written(
        Entries([[None, tensor("0", (1,))], [(1, (2,)), tensor("0", (1,))], [SYSTEM, tensor("0", (1,))]]),
        {"0": bytes(4)},
    ),
}


def zipped(*parts: tuple[str, Part], **end: int) -> Make:
    return lambda path: write_zip(path, list(parts), end)


def with_member(part: Callable[[bytes], Part], name: str = HEAD) -> Make:
    """A sound archive in which the numbers of one tensor lie in another way."""

    def make(path: Path) -> None:
        entries, storages = describe_state(state())
        parts = [("a/data.pkl", Part(write_pickle(entries)))]
        place = [pair[0] for pair in entries.pairs].index(name)
        for key, data in storages.items():
            parts.append((f"a/data/{key}", part(data) if key == str(place) else Part(data)))
        write_zip(path, parts)

    return make


EMPTY_PICKLE = ("a/data.pkl", Part(write_pickle({})))
ONE_TENSOR = ("a/data.pkl", Part(write_pickle({"x": tensor("0", (900 << 20,))})))


def deflated_whole(path: Path) -> None:
    entries, storages = describe_state(state())
    write_torch(path, entries, storages, DEFLATED)


ARCHIVES: dict[str, Make] = {
    "bomb": zipped(ONE_TENSOR, ("a/data/0", Part(deflate_zeros(3600), DEFLATED, size=3600 << 20))),
    "bomb-of-a-pickle": zipped(("a/data.pkl", Part(deflate_zeros(1000), DEFLATED, size=1000 << 20))),
    "bomb-that-states-little": with_member(lambda data: Part(deflate_zeros(2000), DEFLATED, size=len(data))),
    "bomb-in-the-classifier": with_member(lambda _: Part(deflate_zeros(500), DEFLATED, size=500 << 20)),
    "states-more-than-it-packs": with_member(lambda data: Part(deflate(data[:100]), DEFLATED, size=len(data))),
    "states-more-than-it-stores": with_member(lambda data: Part(data[:100], size=len(data), packed_size=len(data))),
    "deflated": deflated_whole,
    "broken-deflate": with_member(lambda data: Part(b"\xff" * len(data), DEFLATED, size=len(data))),
    "two-sizes": with_member(lambda data: Part(data, size=len(data) + 4)),
    "password": with_member(lambda data: Part(data, flags=1)),
    "bzip2": with_member(lambda data: Part(data, method=12)),
    "member-elsewhere": with_member(lambda data: Part(data, header=2**31)),
    "member-over-another": with_member(lambda data: Part(data, header=0)),
    "member-twice": zipped(EMPTY_PICKLE, EMPTY_PICKLE),
    "two-pickles": zipped(EMPTY_PICKLE, ("b/data.pkl", Part(write_pickle(SYSTEM)))),
    "no-pickle": zipped(("../../etc/passwd", Part(b"x"))),
    "program": lambda path: torch.jit.script(Program()).save(str(path)),
    "directory-far-away": zipped(EMPTY_PICKLE, place=2**31),
    "directory-of-4-GB": zipped(EMPTY_PICKLE, size=2**32 - 2),
    "million-members": lazily(lambda: zipped(*[(f"a/{n}", Part(b"")) for n in range(400_000)])),
    "empty-archive": zipped(),
    "only-an-end": bare(b"PK\x03\x04" + b"PK\x05\x06" + b"\xff" * 18),
    "sixty-four-bits": bare(
        b"PK\x03\x04"
        + struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2**60, 2**60, 2**62, 2**62)
        + struct.pack("<4sLQL", b"PK\x06\x07", 0, 4, 1)
        + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    ),
    "byte-order-of-a-gigabyte": lambda path: write_zip(
        path,
        [
            ("a/data.pkl", Part(write_pickle(describe_state(state())[0]))),
            ("a/byteorder", Part(deflate_zeros(1000), DEFLATED, size=1000 << 20)),
        ],
    ),
    "whole-model": lambda path: torch.save(Whole(), path),
    "other-network": lambda path: torch.save(BASES["squeezenet1_1"].build().state_dict(), path),
    "truncated": lambda path: (torch.save(state(), path), os.truncate(path, path.stat().st_size // 2)),
}


def truncate(path: Path, size: int, beginning: bytes) -> None:
    path.write_bytes(beginning)
    os.truncate(path, size)


def legacy(path: Path, **changes: Any) -> None:
    entries, storages = describe_state(state(), legacy=True)
    write_legacy(path, changes.get("content", entries), storages | changes.get("storages", {}))


def linked(target: str) -> Make:
    return lambda path: path.symlink_to(target)


def listening(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    here = Path.cwd()
    os.fchdir(folder)
    # The path of a socket is short by its protocol.
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)
    os.chdir(here)
    os.close(folder)


OTHERS: dict[str, Make] = {
    "legacy": legacy,
    "legacy-bomb": lambda path: legacy(path, content=SYSTEM),
    "legacy-model": lambda path: torch.save(Whole(), path, _use_new_zipfile_serialization=False),
    "legacy-expanded": lambda path: torch.save(
        {**state(), HEAD: torch.zeros(1).expand(10**6, 10**6)}, path, _use_new_zipfile_serialization=False
    ),
    "legacy-lying-length": lambda path: legacy(path, storages={"0": b"\x01" * 4}),
    "legacy-truncated": lambda path: (legacy(path), os.truncate(path, 100_000)),
    "legacy-pickle-without-end": lambda path: truncate(
        path, 4 << 30, b"".join(map(write_pickle, (0x1950A86A20F9469CFC6C, 1001, {}))) + b"\x80\x02V"
    ),
    "bare-pickle": bare(write_pickle(SYSTEM)),
    "bare-pickle-of-text": bare(b"cos\nsystem\n(S'touch exploded'\ntR."),
    "tar": bare(b"storages".ljust(257, b"\0") + b"ustar  \0".ljust(2000, b"\0")),
    "empty": bare(b""),
    "page": bare(b"<!DOCTYPE html><html>Sign in</html>"),
    "compressed": bare(b"\x1f\x8b\x08" + bytes(100)),
    "zeros": lambda path: truncate(path, 100 << 30, b""),
    "pipe": os.mkfifo,
    "socket": listening,
    "folder": Path.mkdir,
    "device": linked("/dev/zero"),
    "terminal": linked("/dev/tty"),
    "link-to-nothing": linked("nowhere"),
    "link-to-itself": lambda path: path.symlink_to(path.name),
}


def safetensors(header: Any, data: bytes = bytes(400), length: int | None = None) -> Make:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()

    def make(path: Path) -> None:
        path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)

    return make


def entry(shape: Any, offsets: Any, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def with_entry(name: str, **changes: Any) -> Make:
    """A sound file in which the header states something else about one tensor."""

    def make(path: Path) -> None:
        data = save(state())
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        header[name] |= changes
        safetensors(header, data[8 + length :])(path)

    return make


def sparse_classifier(path: Path) -> None:
    """A classifier of 100 GB, which takes no room on the disk."""
    data = save(state())
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    end = max(place["data_offsets"][1] for name, place in header.items() if name != "__metadata__")
    header["fc.more"] = entry([100 * 2**28], [end, end + 100 * 2**30])
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    os.truncate(path, path.stat().st_size + 100 * 2**30)


SAFETENSORS: dict[str, Make] = {
    "overlapping": safetensors({"a": entry([100], [0, 400]), "b": entry([50], [100, 300])}),
    "gap": safetensors({"a": entry([10], [0, 40]), "b": entry([10], [80, 120])}, bytes(120)),
    "beyond": safetensors({"a": entry([10**9], [0, 4 * 10**9])}),
    "backwards": safetensors({"a": entry([100], [400, 0])}),
    "negative-place": safetensors({"a": entry([100], [-400, 0])}),
    "negative-shape": safetensors({"a": entry([-10, -10], [0, 400])}),
    "huge-shape": safetensors({"a": entry([2**62, 2**62], [0, 400])}),
    "number-of-400-digits": safetensors({"a": entry([10**400], [0, 400])}),
    "no-numbers-far": safetensors({"a": entry([0, 2**62], [0, 0])}, b""),
    "fractions": safetensors({"a": entry([1.5], [0.0, 6.0])}),
    "text": safetensors({"a": entry("many", "all")}),
    "thousand-dimensions": safetensors({"a": entry([1] * 1000, [0, 4])}, bytes(4)),
    "million-dimensions": safetensors({"a": entry([1] * 10**6, [0, 4])}, bytes(4)),
    "million-dimensions-of-a-kind": safetensors({"a": entry([1] * 10**6, [0, 4], "F4")}, bytes(4)),
    "unknown-dtype": with_entry(HEAD, dtype="F4"),
    "dtype-of-10-MB": safetensors({"a": entry([100], [0, 400], "F" * (10 << 20))}),
    "complex": with_entry(HEAD, dtype="C64", shape=[50, 256]),
    "integers": with_entry(BODY, dtype="I32"),
    "other-size": with_entry(HEAD, shape=[1000, 256]),
    "twice": safetensors(
        b'{"a":{"dtype":"F32","shape":[100],"data_offsets":[0,400]},"a":{"dtype":"I32","shape":[1],'
        b'"data_offsets":[0,4]}}'
    ),
    "header-of-100-MB": lambda path: truncate(path, 100_000_008, struct.pack("<Q", 100_000_000) + b"{"),
    "header-of-16-MB": safetensors(b"{" + b" " * ((16 << 20) - 2) + b"}"),
    "header-of-mappings": safetensors(b'{"a":[' + b"{}," * (5 << 20) + b"{}]}"),
    "header-beyond": safetensors({}, length=2**63),
    "header-past-the-end": safetensors({"a": entry([100], [0, 400])}, length=10_000),
    "deep": safetensors(b'{"a":' + b"[" * 10**6 + b"]" * 10**6 + b"}"),
    "not-a-mapping": safetensors(b'{"a"'),
    "list": safetensors([1, 2]),
    "not-utf-8": safetensors(b'{"\xff\xfe":{"dtype":"F32","shape":[100],"data_offsets":[0,400]}}'),
    "nan-in-the-header": safetensors(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,400]}}'),
    "many": safetensors({str(n): entry([], [4 * n, 4 * n + 4]) for n in range(150_000)}, bytes(600_000)),
    "name-of-10-MB": safetensors({"a" * (10 << 20): entry([100], [0, 400])}),
    "escapes-in-a-name": safetensors({"fc.\u001b[31m\nerror: no": entry([100], [0, 400])}),
    "half-a-letter": safetensors(b'{"\\ud800":{"dtype":"F32","shape":[100],"data_offsets":[0,400]}}'),
    "no-tensors": safetensors({"__metadata__": {"format": "pt"}}, b""),
    "metadata-of-8-MB": safetensors({"__metadata__": {"a": "b" * (8 << 20)}, "a": entry([100], [0, 400])}),
    "trailing": lambda path: path.write_bytes(save(state()) + b"more"),
    "classifier-of-100-GB": sparse_classifier,
    "nan": lambda path: path.write_bytes(save({**state(), BODY: state()[BODY] * float("nan")})),
    "pickle-by-another-name": bare(write_pickle(SYSTEM)),
    "sound": lambda path: path.write_bytes(save(state())),
}

CASES: dict[str, Make] = {
    **{f"call-{name}.pth": written({"x": value, "y": [value]}) for name, value in CALLS.items()},
    **{f"only-{name}.pth": written(value) for name, value in list(CALLS.items())[:3]},
    **{f"pickle-{name}.pth": pickled(make) for name, make in PICKLES.items()},
    **{f"tensor-{name}.pth": make for name, make in TENSORS.items()},
    **{f"archive-{name}.pth": make for name, make in ARCHIVES.items()},
    **{f"other-{name}.pth": make for name, make in OTHERS.items()},
    **{f"header-{name}.safetensors": make for name, make in SAFETENSORS.items()},
}

SOUND = {
    *("tensor-bfloat16.pth", "tensor-float8.pth", "tensor-parameter.pth", "tensor-sparse-body.pth"),
    *("tensor-zeros.pth", "archive-deflated.pth", "other-legacy.pth", "header-sound.safetensors"),
    # What stands in the place of the classifier is no tensor: the base is loaded without it.
    *("tensor-few-arguments.pth", "tensor-wrapped-deep.pth", "tensor-from-type.pth", "tensor-nothing.pth"),
}
"""Weights that a network can compute with, at least up to its classifier."""
