"""Looks through the bytes of an ONNX file before a library loads them: what it holds, and what it must not hold.

An ONNX file is a message of protocol buffers, whose encoding is simple: a number that says field and kind, then the
value. What is looked for are references to other files, which ONNX Runtime would open; operators of libraries, which it
would load; functions, loops and branches, which no exported model of ours has; and constants of other sizes than their
bytes. Whatever is not known to be harmless is refused. Numbers and field names are those of `onnx.proto`, version 1.17.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from featx.errors import ModelError
from featx.models.onnx.operators import OPERATORS

MOST_FIELDS = 1_000_000
"""Fields of all messages together: the largest network of torchvision has some fifty thousand."""

MOST_DEPTH = 8
"""Messages within one another; ours are five deep: model, graph, node, attribute, constant."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Kinds of values: the numbers that protocol buffers give them."""

FIXED_SIZES = {FIXED64: 8, FIXED32: 4}

EXTERNAL = 1
"""Value of a tensor's data_location that leads to another file."""

ITEM_BYTES = {1: 4, 2: 1, 3: 1, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8}
"""Types of constants in `onnx.proto` and their bytes: float, uint8, int8, int32, int64, bool, float16, double."""

OWN_DOMAINS = (b"", b"ai.onnx")
"""Names of ONNX's own operators; those of any other domain come from libraries."""

Value = int | memoryview
Check = Callable[["Walk", Value, int], None]


@dataclass
class Walk:
    """What was found so far.

    Attributes
    ----------
    metadata : dict of bytes to bytes
    opset : int
    fields : int
        How many fields were read.
    """

    metadata: dict[bytes, bytes] = field(default_factory=dict)
    opset: int = 0
    fields: int = 0

    def read(self, message: Value, checks: Mapping[int, Check | None], what: str, depth: int) -> None:
        """Go through the fields of a message.

        Parameters
        ----------
        message : memoryview
        checks : mapping of number of a field to callable or None
            What to do with its value; None passes over it. Any other field is refused.
        what : str
            What the message is, in words.
        depth : int
            How many messages it lies in.

        Raises
        ------
        ModelError
        """
        if not isinstance(message, memoryview):
            raise ModelError(f"{what} is a number, which is damage")
        if depth > MOST_DEPTH:
            raise ModelError(f"it is nested more than {MOST_DEPTH} deep")
        for number, value in split_fields(message):
            self.fields += 1
            if self.fields > MOST_FIELDS:
                raise ModelError(f"it has more than {MOST_FIELDS} fields")
            if number not in checks:
                raise ModelError(f"{what} holds field {number}, which featx never writes")
            check = checks[number]
            if check is not None:
                check(self, value, depth + 1)


def inspect_onnx(data: bytes) -> Walk:
    """Look through an ONNX file.

    Parameters
    ----------
    data : bytes
        The whole file.

    Returns
    -------
    Walk
        With its metadata and the version of its operators.

    Raises
    ------
    ModelError
        If it is not a file that `featx export` could have written: truncated, or with other files, libraries,
        functions, loops or constants that are not what they should be.
    """
    walk = Walk()
    walk.read(memoryview(data), MODEL, "the file", 0)
    if not walk.opset:
        raise ModelError("it names no version of ONNX's operators: it is truncated, or not an ONNX file")
    return walk


def split_fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Split a message into the numbers of its fields and their values.

    Raises
    ------
    ModelError
        If it is truncated or damaged.
    """
    place = 0
    end = len(message)
    while place < end:
        tag, place = read_varint(message, place)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, place = read_varint(message, place)
            yield number, value
            continue
        if kind == BYTES:
            size, place = read_varint(message, place)
        elif kind in FIXED_SIZES:
            size = FIXED_SIZES[kind]
        else:
            raise ModelError("it is truncated or damaged, or not an ONNX file")
        if not number or size > end - place:
            raise ModelError("it is truncated or damaged, or not an ONNX file")
        yield number, message[place : place + size]
        place += size


def read_varint(message: memoryview, place: int) -> tuple[int, int]:
    """Read a number of seven bits a byte; give it, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            break
        byte = message[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
    raise ModelError("it is truncated or damaged, or not an ONNX file")


def as_bytes(value: Value, most: int = 2**26) -> bytes:
    """Read a value that is text.

    Raises
    ------
    ModelError
        If it is a number, or too long.
    """
    if not isinstance(value, memoryview) or len(value) > most:
        raise ModelError("it is damaged: a text in it is none, or too long")
    return bytes(value)


def read_metadata(walk: Walk, value: Value, depth: int) -> None:
    """Keep a pair of key and value of the file's metadata."""
    pair = {}
    if isinstance(value, memoryview):
        pair = {number: as_bytes(text) for number, text in split_fields(value)}
    walk.fields += len(pair)
    key = pair.get(1, b"")
    if key in walk.metadata:
        raise ModelError("its metadata says something twice")
    walk.metadata[key] = pair.get(2, b"")


def read_opset(walk: Walk, value: Value, depth: int) -> None:
    """Keep the version of the operators."""
    entry = dict(split_fields(value)) if isinstance(value, memoryview) else {}
    domain = as_bytes(entry.get(1, memoryview(b"")))
    if domain not in OWN_DOMAINS:
        raise ModelError(f"it asks for operators of '{shorten_bytes(domain)}', which are not ONNX's own")
    version = entry.get(2, 0)
    walk.opset = version if isinstance(version, int) else 0


def check_operator(walk: Walk, value: Value, depth: int) -> None:
    """Refuse operators that no exported model has."""
    name = as_bytes(value)
    if name.decode(errors="replace") not in OPERATORS:
        raise ModelError(f"it uses the operator '{shorten_bytes(name)}', which no model of featx does")


def check_domain(walk: Walk, value: Value, depth: int) -> None:
    """Refuse operators that are not ONNX's own."""
    if as_bytes(value) not in OWN_DOMAINS:
        raise ModelError(f"it uses operators of '{shorten_bytes(as_bytes(value))}', which are not ONNX's own")


def check_constant(walk: Walk, value: Value, depth: int) -> None:
    """Check that a constant lies in the file itself, and is as large as its shape says."""
    tensor = Constant()
    walk.read(value, {number: tensor.take(number) for number in CONSTANT_FIELDS}, "a constant", depth)
    tensor.check()


DIMS, DATA_TYPE, RAW_DATA, EXTERNAL_DATA, DATA_LOCATION = 1, 2, 9, 13, 14
CONSTANT_FIELDS = (DIMS, DATA_TYPE, 8, RAW_DATA, 12, EXTERNAL_DATA, DATA_LOCATION)
"""Fields of a constant that may be there, among them its name (8) and a comment (12): numbers lie in `raw_data`."""


class Constant:
    """A constant of a graph, as far as it has to be known."""

    def __init__(self) -> None:
        self.dims: list[int] = []
        self.item_bytes = 0
        self.size = 0

    def take(self, number: int) -> Check:
        """Give the function that keeps a field."""

        def keep(walk: Walk, value: Value, depth: int) -> None:
            if number == DIMS:
                self.dims += [value] if isinstance(value, int) else read_packed(value)
            elif number == DATA_TYPE:
                self.item_bytes = ITEM_BYTES.get(value, 0) if isinstance(value, int) else 0
            elif number == RAW_DATA:
                self.size += len(value) if isinstance(value, memoryview) else 0
            elif number == EXTERNAL_DATA or (number == DATA_LOCATION and value == EXTERNAL):
                raise ModelError("it keeps numbers in other files, which are never opened")

        return keep

    def check(self) -> None:
        """Compare its shape with its bytes.

        Raises
        ------
        ModelError
        """
        if len(self.dims) > 8 or not self.item_bytes or math.prod(self.dims) * self.item_bytes != self.size:
            raise ModelError(f"a constant of shape {self.dims[:8]} has {self.size} bytes")


def read_packed(values: memoryview) -> list[int]:
    """Read numbers that stand one after the other in one field."""
    numbers: list[int] = []
    place = 0
    while place < len(values) and len(numbers) < 100:
        number, place = read_varint(values, place)
        numbers.append(number)
    return numbers


def shorten_bytes(text: bytes) -> str:
    """Show the beginning of a foreign name."""
    return text[:60].decode(errors="replace")


def within(checks: Mapping[int, Check | None], what: str) -> Check:
    """Go through a message within another one."""

    def check(walk: Walk, value: Value, depth: int) -> None:
        walk.read(value, checks, what, depth)

    return check


def refuse(reason: str) -> Check:
    """Refuse a file that has such a field at all."""

    def check(walk: Walk, value: Value, depth: int) -> None:
        raise ModelError(reason)

    return check


BRANCHES = refuse("it has loops or branches, which no model of featx has")

ATTRIBUTE: dict[int, Check | None] = {
    **dict.fromkeys((1, 2, 3, 4, 7, 8, 9, 13, 20)),  # name, numbers, texts, doc_string, type
    5: check_constant,
    6: BRANCHES,
    11: BRANCHES,
}
NODE: dict[int, Check | None] = {
    **dict.fromkeys((1, 2, 3, 6, 9)),  # input, output, name, doc_string, metadata_props
    4: check_operator,
    5: within(ATTRIBUTE, "an attribute"),
    7: check_domain,
}
GRAPH: dict[int, Check | None] = {
    **dict.fromkeys((2, 10, 11, 12, 13, 16)),  # name, doc_string, input, output, value_info, metadata_props
    1: within(NODE, "a node"),
    5: check_constant,
}
MODEL: dict[int, Check | None] = {
    **dict.fromkeys((1, 2, 3, 4, 5, 6)),  # ir_version, producer_name, producer_version, domain, model_version, doc
    7: within(GRAPH, "the graph"),
    8: read_opset,
    14: read_metadata,
    25: refuse("it defines functions of its own, which no model of featx does"),
}
"""Number of a field in each message: what is done with it; None passes over it."""
