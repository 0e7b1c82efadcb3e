"""The choice of a base: which network, with which weights, and how pictures become its input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from featx.errors import RequestError
from featx.fields import WRITTEN, CheckedFields
from featx.keys import Precision, ValueRange, format_value_range, parse_value_range

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
    """

    name: str = field(metadata={WRITTEN: "base"})
    weights: str | None = None
    resize: Count | None = None
    crop: Count | None = None
    precision: Precision = "float32"
    value_range: str | tuple[float, float] | None = None

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
        return flags
