"""Reads a pickle as the data that it is: a list of instructions, none of which is carried out.

What a pickle wants to import becomes a name, what it wants to call a record of the call. So there is nothing that it
could run, and what it may take is counted: bytes, instructions, and with them memory.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from featx.bases.weight_files.weights_file import NotWeights
from featx.files import show_size

MAX_PICKLE_BYTES = 2**25
"""Bytes of a pickle. The one beside the numbers of a large network, with its optimizer's state, has less than 2 MiB."""

MAX_INSTRUCTIONS = 2_000_000
"""Instructions of all pickles of a file, each of which may leave an object of some hundred bytes."""


@dataclass(frozen=True)
class Named:
    """Something that a pickle would import."""

    name: str


@dataclass(frozen=True)
class Reference:
    """Something that lies outside the pickle: for torch a tuple that describes a storage."""

    id: Any


@dataclass
class Pairs:
    """A mapping: its keys may be anything."""

    pairs: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass
class Made:
    """What a call would have made, and what would have been put into it."""

    callee: Any
    arguments: Any
    pairs: list[tuple[Any, Any]] = field(default_factory=list)

    def kind(self) -> str:
        """Name of what would have been called."""
        callee = self.callee
        # Older files of torch refer to the class of a module together with its source.
        if isinstance(callee, Reference) and isinstance(callee.id, tuple) and len(callee.id) > 1:
            callee = callee.id[1]
        return callee.name if isinstance(callee, Named) else "unknown"


class PickleSource:
    """Gives a pickle's bytes, no more of them than it may have.

    Parameters
    ----------
    file : file object
        Open for reading, at the beginning of the pickle.
    most_bytes : int
    """

    def __init__(self, file: BinaryIO, most_bytes: int = MAX_PICKLE_BYTES) -> None:
        self.file = file
        self.left = most_bytes
        self.instructions = 0

    def read(self, count: int) -> bytes:
        """Read bytes.

        Raises
        ------
        NotWeights
            If they are too many.
        """
        if not 0 <= count <= self.left:
            raise too_long()
        self.left -= count
        return self.file.read(count)

    def readline(self) -> bytes:
        """Read bytes up to the end of the line.

        Raises
        ------
        NotWeights
            If they are too many.
        """
        line = self.file.readline(self.left + 1)
        self.left -= len(line)
        if self.left < 0:
            raise too_long()
        return line


def too_long() -> NotWeights:
    """Build the error for a pickle of more bytes than are read."""
    return NotWeights(f"the description of its tensors is longer than {show_size(MAX_PICKLE_BYTES)}")


class PickleReader:
    """Reads one pickle from a source."""

    def __init__(self, source: PickleSource) -> None:
        self.source = source
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.references: list[Reference] = []

    def read(self) -> Any:
        """Read the pickle to its end.

        Returns
        -------
        object
            Plain values, lists and tuples, `Pairs` for mappings, `Named`, `Made` and `Reference` for all else.

        Raises
        ------
        NotWeights
            If it is damaged or too large.
        """
        try:
            for opcode, argument, _ in pickletools.genops(self.source):  # type: ignore[arg-type]
                self.source.instructions += 1
                if self.source.instructions > MAX_INSTRUCTIONS:
                    raise NotWeights("the description of its tensors is too long")
                name = opcode.name
                if name in VALUES:
                    self.stack.append(argument)
                elif name in CONSTANTS:
                    self.stack.append(CONSTANTS[name])
                elif name not in IGNORED:
                    INSTRUCTIONS[name](self, argument)
            return self.stack.pop()
        # What pickletools and an empty stack raise; an instruction that is unknown here is a KeyError.
        except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
            raise NotWeights("it is truncated or damaged") from error

    def pop_mark(self) -> list[Any]:
        """Take all values since the last mark off the stack."""
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def push_mark(self, _: Any) -> None:
        """Remember how high the stack is."""
        self.marks.append(len(self.stack))

    def push_empty(self, kind: Callable[[], Any]) -> None:
        """Put a new container on the stack."""
        self.stack.append(kind())

    def push_tuple(self, count: int) -> None:
        """Make a tuple of the last values."""
        values = tuple(self.stack[-count:])
        if len(values) < count:
            raise NotWeights("it is truncated or damaged")
        self.stack[-count:] = [values]

    def push_pairs(self, _: Any) -> None:
        """Make a mapping of the values since the mark."""
        self.stack.append(Pairs(pair_up(self.pop_mark())))

    def put(self, place: int) -> None:
        """Remember the last value under a number."""
        self.memo[place] = self.stack[-1]

    def memoize(self, _: Any) -> None:
        """Remember the last value under the next number."""
        self.memo[len(self.memo)] = self.stack[-1]

    def get(self, place: int) -> None:
        """Put a value that was remembered on the stack."""
        self.stack.append(self.memo[place])

    def append(self, values: list[Any]) -> None:
        """Put values into a list; what is put into anything else is not kept."""
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(values)

    def set_items(self, pairs: list[tuple[Any, Any]]) -> None:
        """Put pairs into a mapping, or into what would have been one."""
        target = self.stack[-1]
        if isinstance(target, Pairs | Made):
            target.pairs.extend(pairs)

    def set_item(self, _: Any) -> None:
        """Put one pair into a mapping."""
        value = self.stack.pop()
        key = self.stack.pop()
        self.set_items([(key, value)])

    def name_global(self, argument: str) -> None:
        """Put a name in the place of what would be imported."""
        self.stack.append(Named(argument.replace(" ", ".", 1)))

    def name_from_stack(self, _: Any) -> None:
        """Put a name, whose halves lie on the stack, in the place of what would be imported."""
        name = self.stack.pop()
        module = self.stack.pop()
        self.stack.append(Named(f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "unknown"))

    def record_call(self, _: Any) -> None:
        """Put the record of a call in the place of what it would make."""
        arguments = self.stack.pop()
        self.stack[-1] = Made(self.stack[-1], arguments)

    def record_call_with_keywords(self, _: Any) -> None:
        """Put the record of a call, its keywords left out, in the place of what it would make."""
        self.stack.pop()
        self.record_call(None)

    def record_call_since_mark(self, _: Any) -> None:
        """Put the record of a call, of the first value since the mark, in the place of what it would make."""
        callee, *arguments = self.pop_mark()
        self.stack.append(Made(callee, tuple(arguments)))

    def record_named_call(self, argument: str) -> None:
        """Put the record of a call, with the values since the mark, in the place of what it would make."""
        arguments = tuple(self.pop_mark())
        self.stack.append(Made(Named(argument.replace(" ", ".", 1)), arguments))

    def refer(self, id_: Any) -> None:
        """Put a reference to what lies outside the pickle on the stack."""
        reference = Reference(id_)
        self.references.append(reference)
        self.stack.append(reference)


def pair_up(values: list[Any]) -> list[tuple[Any, Any]]:
    """Make pairs of keys and values that follow one another.

    Raises
    ------
    ValueError
        If a value is missing.
    """
    return list(zip(values[::2], values[1::2], strict=True))


VALUES = {
    *("INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
"""Instructions that put their argument on the stack."""

CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}

IGNORED = {"PROTO", "FRAME", "STOP"}

INSTRUCTIONS: dict[str, Callable[[PickleReader, Any], Any]] = {
    "MARK": PickleReader.push_mark,
    "POP": lambda reader, _: reader.stack.pop(),
    "POP_MARK": lambda reader, _: reader.pop_mark(),
    "DUP": lambda reader, _: reader.stack.append(reader.stack[-1]),
    "EMPTY_LIST": lambda reader, _: reader.push_empty(list),
    "EMPTY_SET": lambda reader, _: reader.push_empty(list),
    "EMPTY_DICT": lambda reader, _: reader.push_empty(Pairs),
    "LIST": lambda reader, _: reader.stack.append(reader.pop_mark()),
    "FROZENSET": lambda reader, _: reader.stack.append(reader.pop_mark()),
    "TUPLE": lambda reader, _: reader.stack.append(tuple(reader.pop_mark())),
    "TUPLE1": lambda reader, _: reader.push_tuple(1),
    "TUPLE2": lambda reader, _: reader.push_tuple(2),
    "TUPLE3": lambda reader, _: reader.push_tuple(3),
    "DICT": PickleReader.push_pairs,
    "APPEND": lambda reader, _: reader.append([reader.stack.pop()]),
    "APPENDS": lambda reader, _: reader.append(reader.pop_mark()),
    "ADDITEMS": lambda reader, _: reader.append(reader.pop_mark()),
    "SETITEM": PickleReader.set_item,
    "SETITEMS": lambda reader, _: reader.set_items(pair_up(reader.pop_mark())),
    "PUT": PickleReader.put,
    "BINPUT": PickleReader.put,
    "LONG_BINPUT": PickleReader.put,
    "MEMOIZE": PickleReader.memoize,
    "GET": PickleReader.get,
    "BINGET": PickleReader.get,
    "LONG_BINGET": PickleReader.get,
    "GLOBAL": PickleReader.name_global,
    "STACK_GLOBAL": PickleReader.name_from_stack,
    "REDUCE": PickleReader.record_call,
    "NEWOBJ": PickleReader.record_call,
    "NEWOBJ_EX": PickleReader.record_call_with_keywords,
    "OBJ": PickleReader.record_call_since_mark,
    "INST": PickleReader.record_named_call,
    # The state of an object: nothing in it is a network's tensor by name.
    "BUILD": lambda reader, _: reader.stack.pop(),
    "PERSID": PickleReader.refer,
    "BINPERSID": lambda reader, _: reader.refer(reader.stack.pop()),
}
"""What is done instead of each instruction."""
