"""Keywords of the Python API turned into requests."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from featx.fields import fill
from featx.requests import BaseChoice

Request = TypeVar("Request")

BASE_OPTIONS = ("weights", "resize", "crop", "precision", "value_range")
"""Keywords that belong to the choice of the base."""

PICTURE_AXES = 3
"""Axes of one picture as an array: height, width, channels."""


def make_request(
    request: type[Request],
    function: str,
    data: str | Path,
    base: str | BaseChoice,
    options: Mapping[str, Any],
) -> Request:
    """Fill a request with what a function was given.

    Raises
    ------
    FeatxError
        With everything that is wrong with it.
    """
    choice = choose_base(base, {name: options[name] for name in BASE_OPTIONS if name in options}, function)
    # None stands for the default of every option.
    given = {name: value for name, value in options.items() if name not in BASE_OPTIONS and value is not None}
    return fill(request, {"data": data, "base": choice, **given}, f"featx.{function}()")


def choose_base(base: str | BaseChoice, options: Mapping[str, Any], function: str) -> BaseChoice:
    """Make a choice of a base's name; what the keywords say goes before what a choice says."""
    given = {name: value for name, value in options.items() if value is not None}
    if isinstance(base, BaseChoice):
        return replace(base, **given)
    return fill(BaseChoice, {"base": base, **given}, f"featx.{function}()")


def as_names(names: str | Sequence[str] | None) -> Sequence[str] | None:
    """Let one name stand for a list of one."""
    return [names] if isinstance(names, str) else names


def as_images(images: Any) -> list[Any]:
    """List what is to be labelled: one image stands for a list of one, and paths become text."""
    is_path = isinstance(images, str | os.PathLike)
    # An array of one picture could be iterated, too: over its rows of pixels.
    is_picture = getattr(images, "ndim", None) == PICTURE_AXES or not isinstance(images, Iterable)
    listed = [images] if is_path or is_picture else images
    return [os.fspath(image) if isinstance(image, os.PathLike) else image for image in listed]
