"""What several requests choose alike: the base, and which pictures belong together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import Meta

from featx.errors import RequestError
from featx.fields import WRITTEN, CheckedFields
from featx.keys import DecodeMode, Precision, ValueRange, format_value_range, parse_value_range

Count = Annotated[int, Meta(ge=1)]
"""How many there are of something, one at least."""

BatchSize = Annotated[int, Meta(ge=1, le=2**16)]
"""Images of a forward pass: no device has room for more."""

ThreadCount = Annotated[int, Meta(ge=1, le=2**10)]


@dataclass(frozen=True)
class BaseChoice(CheckedFields):
    """Which base, in the user's words.

    Attributes
    ----------
    name : str
        Name in `BASES`, a Python file, or `timm:` and the name of a network of timm.
    weights : str or None
        A torchvision weights name, a path or "random"; None is the base's own default in extraction, and whatever the
        cache holds in evaluation.
    resize, crop : int or None
        Pixels, instead of the base's own input transform.
    precision : {"float32", "bfloat16"}
        Arithmetic of the forward pass.
    value_range : str, pair of numbers or None
        Values that mean black and white in pictures of more than 8 bits, as "LOW:HIGH" or (LOW, HIGH); "LOW:HIGH" once
        the choice is made. None: 0 to 1 in floating-point pictures, in others what the format or the file states.
    decode : {"exact", "scaled"} or None
        Whether JPEG files are decoded as they are, or at a half, a quarter or an eighth of their size where at least
        twice the pixels are left that they are resized to. None is exact in extraction, and whatever the cache holds
        in evaluation.
    """

    name: str = field(metadata={WRITTEN: "base"})
    weights: str | None = None
    resize: Count | None = None
    crop: Count | None = None
    precision: Precision = "float32"
    value_range: str | tuple[float, float] | None = None
    decode: DecodeMode | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.value_range is not None:
            # One way to write it, so that equal choices are equal.
            object.__setattr__(self, "value_range", format_value_range(*parse_value_range(self.value_range)))

    def contradictions(self) -> list[str]:
        """Say that a value range is not one."""
        try:
            self.black_and_white()
        except RequestError as error:
            return [str(error)]
        return []

    def black_and_white(self) -> ValueRange | None:
        """Give the value range as numbers."""
        return None if self.value_range is None else parse_value_range(self.value_range)

    def flags(self) -> list[str]:
        """Write the choice as command-line flags, leaving out what is the default."""
        flags = ["--base", self.name]
        for flag, value in (("--weights", self.weights), ("--resize", self.resize), ("--crop", self.crop)):
            if value is not None:
                flags += [flag, str(value)]
        if self.precision != "float32":
            flags += ["--precision", self.precision]
        if self.value_range is not None:
            flags += ["--value-range", str(self.value_range)]
        if self.decode is not None:
            flags += ["--decode", self.decode]
        return flags


@dataclass(frozen=True, kw_only=True)
class GroupChoice(CheckedFields):
    """Which pictures belong together, as those of one patient do: none of them is trained on while others evaluate.

    Attributes
    ----------
    group_column : str or None
        Column of a CSV or JSON Lines file; None finds one by its name, if nothing else says the groups.
    group_by : str or None
        Regular expression that finds the name of the group in a path.
    groups : sequence of str, mapping of str to str, or None
        From Python: a group for each row of DATA, or by path; "" is none.
    """

    group_column: str | None = None
    group_by: str | None = None
    groups: Sequence[str] | dict[str, str] | None = None

    def contradictions(self) -> list[str]:
        """Report several ways to group, and what is not a regular expression."""
        given = [f"'{name}'" for name in GROUP_FIELDS if getattr(self, name) is not None]
        problems = [f"{' and '.join(given)} both say the groups: give one"] if len(given) > 1 else []
        try:
            re.compile(self.group_by or "")
        except (re.error, OverflowError, RecursionError) as error:
            problems.append(f"'group_by' is not a regular expression: {self.group_by!r} ({error})")
        return problems

    def group_fields(self) -> dict[str, Any]:
        """Give these fields alone, for another request."""
        return {name: getattr(self, name) for name in GROUP_FIELDS}

    def group_flags(self) -> list[str]:
        """Write the choice as command-line flags; groups that Python gave have none."""
        flags = []
        for flag, value in (("--group-column", self.group_column), ("--group-by", self.group_by)):
            if value is not None:
                flags += [flag, value]
        return flags


GROUP_FIELDS = ("group_column", "group_by", "groups")
"""Fields of a request that say the groups."""
