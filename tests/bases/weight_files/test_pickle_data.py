"""A pickle is read as data."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections import OrderedDict
from typing import Any

import pytest

from featx.bases.weight_files import pickle_data
from featx.bases.weight_files.pickle_data import Made, Named, Pairs, PickleReader, PickleSource
from featx.bases.weight_files.weights_file import NotWeights

REFUSED = {"EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"}


def read(data: bytes) -> Any:
    return PickleReader(PickleSource(io.BytesIO(data))).read()


def plain(value: Any) -> Any:
    """What Python would have made of plain containers."""
    if isinstance(value, Pairs):
        return {key: plain(item) for key, item in value.pairs}
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    return value


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_are_read_as_python_reads_them(protocol: int) -> None:
    shared = [1, 2]
    value = {
        "numbers": [0, 1, -1, 255, 256, 65536, 2**40, -(2**70), 0.5, True, False, None],
        "texts": ["", "a", "ä€", "x" * 300],
        "containers": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, {"a": {"b": [shared, shared]}}],
    }
    assert plain(read(pickle.dumps(value, protocol))) == value


@pytest.mark.parametrize("protocol", range(6))
def test_calls_are_recorded(protocol: int) -> None:
    made = read(pickle.dumps(OrderedDict(a=1), protocol))
    assert isinstance(made, Made)
    assert made.kind() == "collections.OrderedDict"
    assert read(pickle.dumps(len, protocol)) in (Named("builtins.len"), Named("__builtin__.len"))


def test_every_instruction_is_known_or_refused() -> None:
    known = {*pickle_data.VALUES, *pickle_data.CONSTANTS, *pickle_data.IGNORED, *pickle_data.INSTRUCTIONS}
    assert {opcode.name for opcode in pickletools.opcodes} - known == REFUSED


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "damaged"),
        (b"\x80\x02}", "damaged"),
        (b"\x80\x02R.", "damaged"),
        (b"\x80\x02\x82\x01.", "damaged"),
        (b"N0" * pickle_data.MAX_INSTRUCTIONS + b"N.", "too long"),
        (b"X\xff\xff\xff\x7fabc.", "longer than 32 MiB"),
        (b"V" + b"a" * (pickle_data.MAX_PICKLE_BYTES + 1), "longer than 32 MiB"),
    ],
)
def test_what_is_damaged_or_without_measure_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(NotWeights, match=message):
        read(data)
