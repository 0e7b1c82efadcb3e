"""Keywords of the Python API turned into requests."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from featx.base_choice import GROUP_FIELDS, BaseChoice
from featx.errors import UnknownName, unknown
from featx.fields import fill

Request = TypeVar("Request")

GROUPED_DATA_OPTIONS = ("path_column", "label_column", *GROUP_FIELDS)
"""Keywords that say how data that are split are read."""

BASE_OPTIONS = ("weights", "resize", "crop", "precision", "value_range", "decode")
"""Keywords that belong to the choice of the base."""

PICTURE_AXES = (2, 3)
"""Axes of one picture as an array: height and width of a grey one, and channels."""


Function = TypeVar("Function", bound=Callable[..., Any])


def takes_options(request: type, *names: str) -> Callable[[Function], Function]:
    """Let a function take some fields of a request as options, shown in its signature and checked by name.

    Parameters
    ----------
    request : type
        A request class: its fields say the annotations and defaults.
    names : str
        The fields that are options, beside those of the base.
    """
    sources = {field.name: field for cls in (BaseChoice, request) for field in fields(cls)}
    options = {}
    for name in names:
        # None stands for the default of every option.
        annotation = f"{str(sources[name].type).removesuffix(' | None')} | None"
        options[name] = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [parameter for parameter in signature.parameters.values() if parameter.kind != parameter.VAR_KEYWORD]
        known = [parameter.name for parameter in own] + list(options)

        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            for name in kwargs:
                if name not in known:
                    raise UnknownName(f"featx.{function.__name__}(): {unknown('option', name, known)}")
            return function(*args, **kwargs)

        # Notebooks complete keywords by the signature.
        checked.__signature__ = signature.replace(parameters=[*own, *options.values()])  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    return decorate


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
    given = {name: value for name, value in options.items() if name not in BASE_OPTIONS}
    return fill_request(request, function, {"data": data, "base": choice, **given})


def fill_request(request: type[Request], function: str, values: Mapping[str, Any]) -> Request:
    """Fill a request with values by name; None stands for the default of every option.

    Raises
    ------
    FeatxError
        With everything that is wrong with them.
    """
    given = {name: value for name, value in values.items() if value is not None}
    if "groups" in given:
        # Here, since it needs numpy, which importing featx does not.
        from featx.data.groups import as_groups

        given["groups"] = as_groups(given["groups"])
    return fill(request, given, f"featx.{function}()")


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
    is_picture = getattr(images, "ndim", None) in PICTURE_AXES or not isinstance(images, Iterable)
    listed = [images] if is_path or is_picture else images
    return [os.fspath(image) if isinstance(image, os.PathLike) else image for image in listed]
