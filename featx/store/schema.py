"""What must hold of a part's header and of a `base.json` before anything in them is used; both may come from anywhere.

A right checksum says that a file is as it was written, not who wrote it. So whatever a header or a `base.json` states
is compared with a schema once, where it is read; everything behind that may rely on it.
"""

from __future__ import annotations

import json
import math
import os
import sys
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from featx.keys import DecodeMode, FeatureKey, Precision, StoredDtype

T = TypeVar("T")

MOST_TEXT = 2**16
"""Characters of a key or of provenance: attributes of an HDF5 file hold no more."""

MOST_ROWS = 2**22
"""Rows of a part. Extraction stops at 1,024; merges reach this with features of two numbers only, in 32 MiB. More would
take a gigabyte for digests alone."""

MOST_ROW_BYTES = 2**28
"""Bytes of one row: the whole map of 64 channels at 1024 x 1024 pixels."""

MOST_FEATURE_BYTES = 2**32
"""Bytes of all features of a part. Writers stop at 32 MiB and a row; what is read by mistake is bounded by this."""

MOST_BLOCK_BYTES = 2**24
"""Bytes that are checksummed together, but for larger single rows; writers choose about 64 KiB."""

MOST_FIGURE = 1e12
"""Seconds that an extraction may have cost or begun at, in figures that are summed up: 30,000 years."""

MOST_MESSAGE = 200
"""Characters of a problem that are shown: it may quote what a file says."""

WholeNumber = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Finite = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
StoredNumber = WholeNumber | Finite  # whole numbers stay whole, so that a key is written again as the same text
Plain = str | int | float | bool | None
Side = Annotated[int, Meta(ge=1, le=2**31)]
Length = Annotated[int, Meta(ge=1, le=2**40)]
Place = Annotated[int, Meta(ge=0, le=2**40)]
Text = Annotated[str, Meta(max_length=MOST_TEXT)]
Name = Annotated[str, Meta(max_length=2**13)]


class TransformFields(Struct, frozen=True, forbid_unknown_fields=True):
    """An `InputTransform`, as keys and `base.json` state it."""

    resize: Side
    crop: Side
    interpolation: Name
    mean: tuple[StoredNumber, StoredNumber, StoredNumber]
    std: tuple[StoredNumber, StoredNumber, StoredNumber]
    value_range: tuple[StoredNumber, StoredNumber] | None = None
    decode: DecodeMode = "exact"


class BaseFields(Struct, frozen=True, forbid_unknown_fields=True):
    """A `BaseId`, as keys and `base.json` state it."""

    architecture: Name
    weights: Name
    transform: TransformFields
    precision: Precision
    recipe: Annotated[int, Meta(ge=0, le=2**31)]

    def __post_init__(self) -> None:
        """Check what types alone cannot say."""
        check_names(self.architecture, self.weights)


class KeyFields(Struct, frozen=True, forbid_unknown_fields=True):
    """A `FeatureKey`, as parts state it."""

    base: BaseFields
    layer: Name
    pooling: Annotated[str, Meta(pattern=r"\A[\w.+-]{1,100}\Z")]
    dtype: StoredDtype
    view: Annotated[int, Meta(ge=0, le=2**31)]

    def __post_init__(self) -> None:
        """Check what types alone cannot say."""
        check_names(self.layer)


class HeaderFields(Struct, frozen=True):
    """What the line of JSON in front of a part states."""

    format: Literal[1]
    key: Text
    provenance: Text
    block_rows: Length
    shape: Annotated[tuple[Length, ...], Meta(min_length=1, max_length=8)]
    dtype: StoredDtype
    digest: Place
    checksums: Place


class FigureFields(Struct, frozen=True):
    """The figures in a part's provenance that are summed up."""

    seconds: Annotated[float, Meta(ge=0, le=MOST_FIGURE)] = 0.0
    seconds_alone: Annotated[float, Meta(ge=0, le=MOST_FIGURE)] = 0.0
    created: Annotated[float, Meta(ge=-MOST_FIGURE, le=MOST_FIGURE)] = 0.0
    merged: Annotated[int, Meta(ge=1, le=int(MOST_FIGURE))] = 1


Provenance = dict[str, Plain | list[Plain]]


class LayerFields(Struct, frozen=True):
    """A layer in a `base.json`, as far as anything depends on it."""

    name: Name
    alias: Name = ""


class BaseFileFields(Struct, frozen=True):
    """What a `base.json` states; older ones have neither `weights_file` nor `checksum`."""

    id: BaseFields
    source: Name
    layers: Annotated[tuple[LayerFields, ...], Meta(max_length=MOST_TEXT)]
    is_default_transform: bool
    weights_file: Name | None = None
    checksum: Name | None = None

    def __post_init__(self) -> None:
        """Check that every name means one layer."""
        names = [layer.name for layer in self.layers]
        for layer in self.layers:
            names += [alias for alias in layer.alias.split(",") if alias and alias != layer.name]
        if len(set(names)) < len(names):
            raise ValueError("two of its layers share a name")
        check_names(self.source, self.weights_file or "", *names)


DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (HeaderFields, FigureFields, Provenance)
}
"""Schema of what every part states to what reads it: to make one takes longer than to use it."""


def check_names(*names: str) -> None:
    """Raise ValueError where a name could stand in no path and in no file."""
    text = "".join(names)
    if "\0" in text:
        raise ValueError("a name holds a zero byte")
    os.fsencode(text)


def check_fields(values: Any, kind: type[T]) -> T:
    """Compare plain values, as JSON gave them, with a schema.

    Raises
    ------
    ValueError
        With the first thing that is wrong.
    """
    try:
        return msgspec.convert(values, kind)
    except (msgspec.ValidationError, UnicodeError) as error:
        text = "".join(letter if letter.isprintable() else "?" for letter in str(error))
        raise ValueError(f"a field is missing or of the wrong type: {text[:MOST_MESSAGE]}") from error


def read_fields(text: str | bytes, kind: type[T]) -> T:
    """Read JSON that may be anything, and compare it with one of the schemas in `DECODERS`.

    Raises
    ------
    ValueError
        With the first thing that is wrong.
    """
    try:
        decoded: T = DECODERS[kind].decode(text)
    except (msgspec.DecodeError, UnicodeError):
        # Slower, but it reads what Python's own module wrote of names that are not Unicode, and its errors say more.
        return check_fields(load_json(text), kind)
    return decoded


def load_json(text: str | bytes) -> Any:
    """Read JSON that may be anything.

    Raises
    ------
    ValueError
        If it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


@lru_cache(maxsize=64)
def read_key(text: str) -> FeatureKey:
    """Read the key that a part states.

    Raises
    ------
    ValueError
        If it is not a key, or not written as featx writes keys, so that no request could ever find it.
    """
    check_fields(load_json(text), KeyFields)
    key = FeatureKey.from_json(text)
    if key.to_json() != text:
        raise ValueError("its key is not written as featx writes keys")
    return key


def read_provenance(text: str) -> dict[str, Any]:
    """Read the provenance that a part states: plain values and lists of them.

    Raises
    ------
    ValueError
        If it holds anything else, or figures that are not numbers.
    """
    read_fields(text, FigureFields)
    return read_fields(text, Provenance)


def check_part_size(shape: tuple[int, ...], block_rows: int, item_bytes: int) -> None:
    """Check that features of this shape are of a size that parts have, before memory is taken for any.

    Raises
    ------
    ValueError
        If they are not.
    """
    rows = shape[0]
    row_bytes = math.prod(shape[1:]) * item_bytes
    if rows > MOST_ROWS:
        raise ValueError(f"{rows} rows are more than the {MOST_ROWS} of the largest part")
    if row_bytes > MOST_ROW_BYTES:
        raise ValueError(f"{row_bytes / 1e6:.0f} MB of one image are more than {MOST_ROW_BYTES / 1e6:.0f} MB")
    if rows * row_bytes > MOST_FEATURE_BYTES:
        raise ValueError(f"{rows * row_bytes / 1e9:.0f} GB of features are more than {MOST_FEATURE_BYTES / 1e9:.0f} GB")
    if block_rows > 1 and block_rows * row_bytes > MOST_BLOCK_BYTES:
        raise ValueError(f"blocks of {block_rows} rows are larger than blocks of parts are")
