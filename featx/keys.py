"""What identifies a feature: values that are compared and hashed, never folder names or the state of an object."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, Self

from featx.errors import RequestError

RECIPE = 1
"""Version of our own numerics: raise it when decoding, pooling or arithmetic change what a feature means."""

BASE_TENSOR_PREFIX = "base."
"""Prefix of the names of the base's tensors in a model file, beside those of the classifier."""

FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
"""Characters that Windows allows in no name of a file, such as the colon in `timm:NAME`."""

WINDOWS_NAMES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices, whatever their suffix."""


def folder_name(name: str) -> str:
    """Make the name of a layer one that every system allows for a folder; nearly all of them are already."""
    legal = FORBIDDEN.sub("-", name).rstrip(". ")
    if WINDOWS_NAMES.fullmatch(legal):
        legal = f"_{legal}"
    if legal == name:
        return name
    # Two layers must not share a folder.
    # Names need not be UTF-8, no more than those of files.
    return f"{legal}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:8]}"


Precision = Literal["float32", "bfloat16"]
StoredDtype = Literal["float32", "float16"]
DecodeMode = Literal["exact", "scaled"]
DECODE_MODES: tuple[DecodeMode, ...] = ("exact", "scaled")
STORED_DTYPES = ("float32", "float16")

LEAST_ENLARGEMENT = 2
"""How many times as large as it will be resized to a picture stays that is decoded at a part of its size: what the
resize's filter then sees of each pixel is still a mean of several."""

ValueRange = tuple[float, float]
"""Values of a picture that mean black and white."""


def parse_value_range(given: str | ValueRange) -> ValueRange:
    """Read "LOW:HIGH", or check a pair of numbers.

    Raises
    ------
    RequestError
        If it is not of this form, or LOW is not below HIGH.
    """
    text = given if isinstance(given, str) else f"{given[0]}:{given[1]}"
    low_text, _, high_text = text.partition(":")
    try:
        low = float(low_text)
        high = float(high_text)
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high and math.isfinite(high - low)):
        raise RequestError(f"invalid value range '{text}': write LOW:HIGH with LOW below HIGH, such as 0:4095")
    return low, high


def format_value_range(low: float, high: float) -> str:
    """Write a range as `parse_value_range` reads it, such as "0:4095"."""
    return f"{format_value(low)}:{format_value(high)}"


def format_value(value: float) -> str:
    """Write a number without a fraction where it has none."""
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


@dataclass(frozen=True)
class InputTransform:
    """How a decoded image becomes the input of a base: resize, centre crop, scale to 0..1, normalise.

    Attributes
    ----------
    resize : int
        Length in pixels that the shorter side is resized to.
    crop : int
        Side in pixels of the centre crop.
    interpolation : str
        "bilinear", "bicubic" or "nearest"; Pillow's antialiasing filters.
    mean, std : tuple of three floats
        Per channel, in units of the 0..1 scale.
    value_range : tuple of two floats or None
        Values that mean black and white in pictures of more than 8 bits; None: as `featx.images.depth` reads it off
        the format. Pictures of 8 bits are read as they are.
    decode : {"exact", "scaled"}
        Whether large JPEG files are decoded as they are, or at a half, a quarter or an eighth of their size.
    """

    resize: int
    crop: int
    interpolation: str = "bilinear"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    value_range: ValueRange | None = None
    decode: DecodeMode = "exact"

    @property
    def scaled_side(self) -> int:
        """Pixels that the shorter side of a picture has at least once it is decoded at a part of its size."""
        return LEAST_ENLARGEMENT * self.resize

    @property
    def least_side(self) -> int | None:
        """Pixels that decoding leaves of the shorter side of a JPEG file at least; None leaves all of them."""
        return self.scaled_side if self.decode == "scaled" else None

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Build it from what `dataclasses.asdict` and JSON made of it."""
        plain: dict[str, Any] = dict(fields)
        # JSON has made lists of the tuples, and a key must be hashable.
        for name, value in fields.items():
            if isinstance(value, list):
                plain[name] = tuple(value)
        return cls(**plain)


def list_fields(identity: BaseId | FeatureKey) -> dict[str, Any]:
    """Give the fields of an identity as plain values, nested ones included.

    A value range and a way to decode stand among them only where they are set: keys that were made before there were
    any stay what they are.
    """
    fields = asdict(identity)
    base = fields.get("base", fields)
    transform = base["transform"]
    if transform["value_range"] is None:
        del transform["value_range"]
    if transform["decode"] == "exact":
        del transform["decode"]
    return fields


@dataclass(frozen=True)
class BaseId:
    """Identity of a frozen base.

    Attributes
    ----------
    architecture : str
        Name in `BASES`.
    weights : str
        Hex digest over the weights' tensors (see `featx.bases.weights.digest_tensors`).
    transform : InputTransform
    precision : str
        Arithmetic of the forward pass.
    recipe : int
        Version of our own numerics.
    """

    architecture: str
    weights: str
    transform: InputTransform
    precision: Precision = "float32"
    recipe: int = RECIPE

    @cached_property
    def digest(self) -> str:
        """Hex digest over all fields: 64 characters."""
        return hashlib.sha256(json.dumps(list_fields(self), sort_keys=True).encode()).hexdigest()

    @property
    def folder(self) -> str:
        """Name of the folder in the cache, such as `resnet50-0123456789ab`."""
        # 12 digits keep bases apart; every part states its key in full.
        return f"{FORBIDDEN.sub('-', self.architecture)}-{self.digest[:12]}"

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Build it from what `dataclasses.asdict` and JSON made of it."""
        transform = InputTransform.from_dict(fields["transform"])
        return cls(**{**fields, "transform": transform})


@dataclass(frozen=True)
class FeatureKey:
    """Identity of a feature, apart from the image: which base, layer, pooling, stored dtype and view.

    Attributes
    ----------
    base : BaseId
    layer : str
        Exact name of the stage whose output is taken.
    pooling : str
        Name in `POOLINGS`.
    dtype : str
        Stored number format, "float32" or "float16".
    view : int
        Number of the augmentation; 0 is the image as it is.
    """

    base: BaseId
    layer: str
    pooling: str = "avg"
    dtype: StoredDtype = "float32"
    view: int = 0

    @property
    def folder(self) -> str:
        """Path of the folder below the cache, such as `resnet50-0123456789ab/layer3/avg`."""
        variant = self.pooling
        if self.dtype != "float32":
            variant += f".{self.dtype}"
        if self.view:
            variant += f".view{self.view}"
        return f"{self.base.folder}/{folder_name(self.layer)}/{variant}"

    def to_json(self) -> str:
        """Write the key as JSON with sorted names: equal keys give equal text."""
        return self._json

    @cached_property
    def _json(self) -> str:
        return json.dumps(list_fields(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            If the text is not JSON or fields are missing.
        """
        try:
            fields = json.loads(text)
            base = BaseId.from_dict(fields["base"])
            return cls(**{**fields, "base": base})
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a feature key: {error}") from error
