"""From the user's words to a base with its weights."""

from __future__ import annotations

from dataclasses import replace

from featx.bases.base import Base
from featx.bases.zoo import architecture_of, load_base
from featx.errors import RequestError
from featx.keys import InputTransform
from featx.requests import BaseChoice


def transform_of(choice: BaseChoice) -> InputTransform:
    """Work out the input transform: the base's own, changed as the user asked.

    Raises
    ------
    RequestError
        If the crop is larger than the resized image, or a size is not positive.
    """
    own = architecture_of(choice.name, choice.weights).transform
    crop = choice.crop or own.crop
    resize = choice.resize or (own.resize if crop <= own.resize else crop)
    if not 0 < crop <= resize:
        raise RequestError(f"--crop {crop} does not fit into --resize {resize}: the crop must be the smaller")
    return replace(own, resize=resize, crop=crop)


def open_base(choice: BaseChoice) -> Base:
    """Load the base that a choice names."""
    return load_base(choice.name, choice.weights, transform_of(choice), choice.precision)
