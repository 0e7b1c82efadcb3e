"""Parts that were forged: any header, with the checksum that it should have."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xxhash

from featx.store.header import FIRST_LINE_BYTES, make_first_line, parse_header_length
from featx.store.part import Part

DEEP = 100_000
"""Brackets that no parser goes into."""


@dataclass(frozen=True)
class Anatomy:
    """The pieces of a part: what its description says, the HDF5 file before the features, the features."""

    fields: dict[str, Any]
    hdf5: bytes
    features: bytes

    def describe(self, **changes: Any) -> bytes:
        """Write the description with some fields changed; those that become `...` are left out."""
        fields = {name: value for name, value in (self.fields | changes).items() if value is not ...}
        return json.dumps(fields).encode() + b"\n"

    def assemble(self, description: bytes) -> bytes:
        """Put a part together with another description, and the right checksum of all of it."""
        room = self.user_block() - FIRST_LINE_BYTES
        rest = description.ljust(room, b"\0") + self.hdf5
        return seal(rest) + self.features

    def user_block(self) -> int:
        """Bytes before the HDF5 file, as the places in the description count them."""
        return int(self.fields["user_block"])


def seal(rest: bytes) -> bytes:
    """Put the first line before the rest of a header."""
    return make_first_line(FIRST_LINE_BYTES + len(rest), xxhash.xxh3_128_hexdigest(rest)) + rest


def take_apart(path: Path) -> Anatomy:
    """Take a sound part apart."""
    data = path.read_bytes()
    length = parse_header_length(data[:FIRST_LINE_BYTES], path)
    line = data[FIRST_LINE_BYTES : data.index(b"\n", FIRST_LINE_BYTES)]
    user_block = data.index(b"\x89HDF")
    return Anatomy({**json.loads(line), "user_block": user_block}, data[user_block:length], data[length:])


Forgery = Callable[[Path], object]


def state(**changes: Any) -> Forgery:
    """Forge some fields of the description."""

    def forge(path: Path) -> None:
        anatomy = take_apart(path)
        path.write_bytes(anatomy.assemble(anatomy.describe(user_block=..., **changes)))

    return forge


def say(description: bytes) -> Forgery:
    """Forge the whole description."""

    def forge(path: Path) -> None:
        path.write_bytes(take_apart(path).assemble(description))

    return forge


def state_key(**changes: Any) -> Forgery:
    """Forge some fields of the key; names of the base's own fields reach into the base, `mean` into its transform."""

    def forge(path: Path) -> None:
        anatomy = take_apart(path)
        key = json.loads(anatomy.fields["key"])
        for name, value in changes.items():
            owner = key["base"] if name in key["base"] else key
            owner = key["base"]["transform"] if name in key["base"]["transform"] else owner
            owner[name] = value
        path.write_bytes(anatomy.assemble(anatomy.describe(user_block=..., key=json.dumps(key, sort_keys=True))))

    return forge


def state_provenance(**changes: Any) -> Forgery:
    """Forge some fields of the provenance."""

    def forge(path: Path) -> None:
        anatomy = take_apart(path)
        provenance = json.loads(anatomy.fields["provenance"]) | changes
        path.write_bytes(anatomy.assemble(anatomy.describe(user_block=..., provenance=json.dumps(provenance))))

    return forge


def replace_hdf5(make: Callable[[Anatomy], bytes]) -> Forgery:
    """Forge the HDF5 file behind the description; digests and checksums stand behind it, where the description says."""

    def forge(path: Path) -> None:
        anatomy = take_apart(path)
        pieces = [make(anatomy)]
        places = {}
        with Part.open(path) as part:
            for name, values in (("digest", part.header.digests), ("checksums", part.header.checksums)):
                places[name] = anatomy.user_block() + sum(map(len, pieces))
                pieces.append(values.tobytes())
        forged = replace(anatomy, hdf5=b"".join(pieces))
        path.write_bytes(forged.assemble(anatomy.describe(user_block=..., **places)))

    return forge


def make_hdf5(fill: Callable[[Any], object]) -> Callable[[Anatomy], bytes]:
    """Have the library write another HDF5 file."""

    def make(anatomy: Anatomy) -> bytes:
        memory = io.BytesIO()
        with h5py.File(memory, "w") as file:
            file.attrs["key"] = anatomy.fields["key"]
            file.attrs["block_rows"] = anatomy.fields["block_rows"]
            fill(file)
        return memory.getvalue()

    return make


def link_elsewhere(file: Any) -> None:
    for name in ("digest", "checksums", "features"):
        file[name] = h5py.ExternalLink("/dev/zero", name)


def store_elsewhere(file: Any) -> None:
    for name in ("digest", "checksums", "features"):
        file.create_dataset(name, (4, 8), "u1", external=[("/dev/zero", 0, 32)])


def link_in_circles(file: Any) -> None:
    names = ("digest", "checksums", "features")
    for name, target in zip(names, names[1:] + names[:1], strict=True):
        file[name] = h5py.SoftLink(f"/{target}")


def map_elsewhere(file: Any) -> None:
    for name in ("digest", "checksums", "features"):
        layout = h5py.VirtualLayout((4, 8), "u1")
        layout[:] = h5py.VirtualSource("/dev/zero", "numbers", (4, 8))
        file.create_virtual_dataset(name, layout)


def refer_to_objects(file: Any) -> None:
    for name in ("digest", "checksums", "features"):
        file.create_dataset(name, (4,), h5py.ref_dtype)


def make_groups(file: Any) -> None:
    for name in ("digest", "checksums", "features"):
        file.create_group(name)


def fill_with_bombs(file: Any) -> None:
    for name in ("digest", "checksums", "features"):
        file.create_dataset(name, (2**40, 32), "u1", chunks=(2**16, 32), compression="gzip")
    file.attrs.create("key", np.zeros(5000, "u1"))


def set_values(place: int, count: int, value: int) -> Callable[[Anatomy], bytes]:
    """Overwrite some bytes of the HDF5 file."""

    def make(anatomy: Anatomy) -> bytes:
        data = bytearray(anatomy.hdf5)
        data[place : place + count] = bytes([value]) * count
        return bytes(data)

    return make


def make_sparse(header: int, size: int) -> Forgery:
    """State a header of so many bytes, in a file of holes."""

    def forge(path: Path) -> None:
        with path.open("wb") as file:
            file.write(make_first_line(header, "0" * 32))
            file.truncate(size)

    return forge


def grow(columns: int, rows_a_block: int = 1) -> Forgery:
    """State rows of so many numbers, in a file that is as long by a hole at its end."""

    def forge(path: Path) -> None:
        anatomy = take_apart(path)
        rows = anatomy.fields["shape"][0]
        description = anatomy.describe(user_block=..., shape=[rows, columns], block_rows=rows_a_block)
        header = anatomy.assemble(description)[: -len(anatomy.features)]
        path.write_bytes(header)
        with path.open("r+b") as file:
            file.truncate(len(header) + rows * columns * 4)

    return forge


def repeat_rows(rows: int) -> Forgery:
    """State as many rows as no part has, of one number each, in a file as long."""

    def forge(path: Path) -> None:
        anatomy = take_apart(path)
        header = anatomy.assemble(anatomy.describe(user_block=..., shape=[rows, 1]))[: -len(anatomy.features)]
        path.write_bytes(header)
        with path.open("r+b") as file:
            file.truncate(len(header) + rows * 4)

    return forge


def spoil_features(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def fill_with_nan(path: Path) -> None:
    """Features that are not finite, with right checksums of their blocks."""
    with Part.open(path) as part:
        header = part.header
    anatomy = take_apart(path)
    features = np.full(header.shape, np.nan, header.dtype)
    block = header.block_rows
    checksums = [xxhash.xxh3_64_intdigest(features[low : low + block].data) for low in range(0, len(features), block)]
    hdf5 = bytearray(anatomy.hdf5)
    place = anatomy.fields["checksums"] - anatomy.user_block()
    hdf5[place : place + 8 * len(checksums)] = np.array(checksums, "<u8").tobytes()
    forged = replace(anatomy, hdf5=bytes(hdf5), features=features.tobytes())
    path.write_bytes(forged.assemble(anatomy.describe(user_block=...)))


def put_in_place(make: Callable[[Path], object]) -> Forgery:
    """Put something that is not a file where a file was."""

    def forge(path: Path) -> None:
        path.unlink()
        make(path)

    return forge


def bind_socket(path: Path) -> None:
    # Paths of sockets are short, so it is bound where it lies.
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


def state_json(**changes: Any) -> Forgery:
    """Forge some fields of a JSON file, with a right checksum unless that is forged; those that become `...` go."""

    def forge(path: Path) -> None:
        fields = json.loads(path.read_text()) | changes
        fields = {name: value for name, value in fields.items() if value is not ...}
        if "checksum" not in changes:
            others = {name: value for name, value in fields.items() if name != "checksum"}
            fields["checksum"] = hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()
        path.write_text(json.dumps(fields))

    return forge


def state_result(**changes: Any) -> Forgery:
    """Forge some figures of a remembered result."""

    def forge(path: Path) -> None:
        state_json(result=json.loads(path.read_text())["result"] | changes)(path)

    return forge


SPECIAL: dict[str, Forgery] = {
    "a folder": put_in_place(Path.mkdir),
    "a full folder": put_in_place(lambda path: (path / "inner").mkdir(parents=True)),
    "a named pipe": put_in_place(os.mkfifo),
    "a link to zeros without end": put_in_place(lambda path: path.symlink_to("/dev/zero")),
    "a link to a terminal": put_in_place(lambda path: path.symlink_to("/dev/tty")),
    "a link to itself": put_in_place(lambda path: path.symlink_to(path.name)),
    "a link to nowhere": put_in_place(lambda path: path.symlink_to("nowhere")),
    "a socket": put_in_place(bind_socket),
    "empty": lambda path: path.write_bytes(b""),
    "150 GB of holes": lambda path: os.truncate(path, 150 * 10**9),
}
"""What may lie in the place of any file."""

BROKEN_PARTS: dict[str, Forgery] = {
    "no format": state(format=...),
    "format as text": state(format="1"),
    "format true": state(format=True),
    "format 1.0": state(format=1.0),
    "another format in the description": state(format=2),
    "no key": state(key=...),
    "key null": state(key=None),
    "key a number": state(key=7),
    "key an object": state(key={"base": {}}),
    "key not JSON": state(key="not JSON"),
    "key nested": state(key="[" * 20_000),
    "key empty": state(key="{}"),
    "key a list": state(key="[]"),
    "key with blanks": lambda path: state(key=take_apart(path).fields["key"] + " ")(path),
    "key of another layer": state_key(layer="layer1"),
    "key leading out": state_key(pooling="../../../x"),
    "key with a layer of half a character": state_key(layer="\ud800"),
    "key with a zero byte": state_key(layer="a\0b"),
    "key with a layer that is a number": state_key(layer=3),
    "key with a layer of a megabyte": state_key(layer="x" * 2**20),
    "key with another dtype": state_key(dtype="float16"),
    "key with an unknown dtype": state_key(dtype="O"),
    "key with a negative view": state_key(view=-1),
    "key with a view true": state_key(view=True),
    "key with a recipe as text": state_key(recipe="1"),
    "key with a mean of text": state_key(mean=["a", "b", "c"]),
    "key with a mean that is not a number": state_key(mean=[float("nan")] * 3),
    "key with a mean of 400 digits": state_key(mean=[10**400] * 3),
    "key with a crop of 400 digits": state_key(crop=10**400),
    "key with a crop as fraction": state_key(crop=32.5),
    "key with a base null": state_key(base=None),
    "key with a field more": state_key(surplus=1),
    "no provenance": state(provenance=...),
    "provenance null": state(provenance=None),
    "provenance a list": state(provenance="[1, 2]"),
    "provenance a number": state(provenance="3"),
    "provenance not JSON": state(provenance="{"),
    "provenance nested": state(provenance='{"a": ' * 10_000),
    "seconds as text": state_provenance(seconds="long"),
    "seconds a list": state_provenance(seconds=[1, 2]),
    "seconds true": state_provenance(seconds=True),
    "seconds not a number": state_provenance(seconds=float("nan")),
    "seconds without end": state_provenance(seconds=float("inf")),
    "seconds of 400 digits": state_provenance(seconds=10**400),
    "created as text": state_provenance(created="yesterday"),
    "created null": state_provenance(created=None),
    "created an object": state_provenance(created={}),
    "merged as text": state_provenance(merged="2"),
    "merged negative": state_provenance(merged=-5),
    "merged a list": state_provenance(merged=[]),
    "host an object": state_provenance(host={"name": "here"}),
    "host a list of lists": state_provenance(host=[["here"]]),
    "no block_rows": state(block_rows=...),
    "block_rows 0": state(block_rows=0),
    "block_rows negative": state(block_rows=-1),
    "block_rows as text": state(block_rows="many"),
    "block_rows a fraction": state(block_rows=0.5),
    "block_rows of 40 digits": state(block_rows=10**40),
    "block_rows null": state(block_rows=None),
    "no shape": state(shape=...),
    "shape null": state(shape=None),
    "shape empty": state(shape=[]),
    "shape a number": state(shape=4),
    "shape as text": state(shape="4, 8"),
    "shape of texts": state(shape=["4", "8"]),
    "shape of fractions": state(shape=[4.0, 8.0]),
    "shape nested": state(shape=[[4], [8]]),
    "shape with no rows": state(shape=[0, 8]),
    "shape negative": state(shape=[-4, -8]),
    "shape of a hundred dimensions": lambda path: state(shape=[*take_apart(path).fields["shape"], *[1] * 100])(path),
    "shape of a million dimensions": state(shape=[1] * 40_000),
    "shape of 400 digits": state(shape=[4, 10**400]),
    "shape of 2**63": state(shape=[2**63, 2**63]),
    "shape transposed": lambda path: state(shape=take_apart(path).fields["shape"][::-1])(path),
    "fewer rows": lambda path: state(shape=[1, *take_apart(path).fields["shape"][1:]])(path),
    "no dtype": state(dtype=...),
    "dtype null": state(dtype=None),
    "dtype of objects": state(dtype="object"),
    "dtype float64": state(dtype="float64"),
    "dtype a list": state(dtype=["float32"]),
    "dtype halved": state(dtype="float16"),
    "no digest": state(digest=...),
    "digest negative": state(digest=-32),
    "digest behind the end": state(digest=10**9),
    "digest of 40 digits": state(digest=10**40),
    "digest as text": state(digest="512"),
    "digest elsewhere": state(digest=600),
    "no checksums": state(checksums=...),
    "checksums behind the end": state(checksums=10**6),
    "checksums null": state(checksums=None),
    "description a list": say(b"[]\n"),
    "description a number": say(b"1\n"),
    "description empty": say(b"\n"),
    "description not text": say(b"\xff\xfe\xfd\n"),
    "description in UTF-16": say("\ufeff{}\n".encode("utf-16")),
    "description nested": say(b"[" * DEEP + b"\n"),
    "description of nested objects": say(b'{"a":' * DEEP + b"\n"),
    "description without end": lambda path: path.write_bytes(seal(b"{" + b" " * 10_000)),
    "description of a megabyte": say(b'{"a": "' + b"x" * 2**20 + b'"}\n'),
    "header of nothing": lambda path: path.write_bytes(seal(b"")),
    "header of 150 GB": make_sparse(150 * 10**9, 150 * 10**9 + 100),
    "header of 999 GB": make_sparse(999_999_999_999, 10**12),
    "header of 2 GB": make_sparse(2 * 10**9, 2 * 10**9 + 100),
    "rows of 80 GB": grow(20 * 10**9),
    "rows of 1 GB": grow(256 * 10**6),
    "blocks of 800 MB": grow(50 * 10**6, rows_a_block=10**6),
    "features of 60 GB in blocks": grow(10**4, rows_a_block=10**9),
    "more rows than any part": repeat_rows(10**10),
    "features that are damaged": spoil_features,
    "features that are not finite": fill_with_nan,
}
"""Parts that no command may take anything from."""

BROKEN_PARTS |= SPECIAL

FOREIGN_HDF5: dict[str, Forgery] = {
    "nothing": replace_hdf5(lambda anatomy: b""),
    "zeros": replace_hdf5(lambda anatomy: bytes(len(anatomy.hdf5))),
    "the signature alone": replace_hdf5(lambda anatomy: anatomy.hdf5[:8]),
    "other texts": replace_hdf5(lambda anatomy: anatomy.hdf5.replace(b'"layer4"', b'"layer3"')),
    "no datasets": replace_hdf5(make_hdf5(lambda file: None)),
    "links elsewhere": replace_hdf5(make_hdf5(link_elsewhere)),
    "links to one another": replace_hdf5(make_hdf5(link_in_circles)),
    "numbers in other files": replace_hdf5(make_hdf5(store_elsewhere)),
    "virtual datasets": replace_hdf5(make_hdf5(map_elsewhere)),
    "bombs": replace_hdf5(make_hdf5(fill_with_bombs)),
    "datasets of objects": replace_hdf5(make_hdf5(refer_to_objects)),
    "groups": replace_hdf5(make_hdf5(make_groups)),
    "a superblock of ones": replace_hdf5(set_values(8, 88, 255)),
    "object headers of ones": replace_hdf5(set_values(96, 400, 255)),
    "object headers of zeros": replace_hdf5(set_values(96, 400, 0)),
}
"""HDF5 files behind a sound header: featx reads its own numbers, and other programs would read something else."""
