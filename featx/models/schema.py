"""What must hold of a model file before it is used; a file may come from anywhere."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import ModelError
from featx.keys import STORED_DTYPES

KINDS = ("logreg", "svm", "mlp")
MAX_SIDE = 2**13
"""Pixels: a transform that asks for more would take all memory with the first image."""

MAX_VIEWS = 1000
HEX = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[A-Za-z0-9_.+-]{1,200}")
ARCHITECTURE = re.compile(r"[\w.+:@ ()-]{1,200}")  # also timm:NAME, and FILE.py@DIGEST
FILTERS = ("nearest", "bilinear", "bicubic")
TYPES: dict[str, type] = {
    "base": dict,
    "layers": list,
    "source": str,
    "weights": str,
    "classes": list,
    "clf": str,
    "sharpness": float,
    "params": dict,
    "protocol": dict,
    "scores": dict,
}
"""Facts of a model file and the type of each."""


def check_facts(facts: Any, kind: str, version: int) -> None:
    """Check everything in a model file that is no array.

    Parameters
    ----------
    facts : Any
        As JSON gave it.
    kind : str
        What `format` must say.
    version : int
        The one that is understood.

    Raises
    ------
    ModelError
        With all that is wrong.
    """
    if not isinstance(facts, dict) or facts.get("format") != kind:
        raise ModelError("it is a safetensors file, but no model of featx")
    if facts.get("version") != version:
        raise ModelError(
            f"its version is {facts.get('version')!r}, this featx reads {version}: "
            "use the featx that wrote it, or fit anew"
        )
    problems = [f"'{name}' is no {of.__name__}" for name, of in TYPES.items() if not isinstance(facts.get(name), of)]
    if not problems:
        problems = [*problems_of_base(facts["base"]), *problems_of_features(facts), *problems_of_classifier(facts)]
    if problems:
        raise ModelError("; ".join(problems[:5]))


def is_name(value: Any, form: re.Pattern[str] = NAME) -> bool:
    """Whether a value is a plain name: nothing that could lead out of a folder."""
    return isinstance(value, str) and form.fullmatch(value) is not None and ".." not in value


def problems_of_base(base: dict[str, Any]) -> list[str]:
    """List what is wrong with the base that a model names."""
    wanted = {"architecture", "weights", "transform", "precision", "recipe"}
    if set(base) != wanted or not isinstance(base["transform"], dict):
        return [f"its base has the fields {sorted(base)[:8]}, expected {sorted(wanted)}"]
    problems = [] if is_name(base["architecture"], ARCHITECTURE) else ["its architecture is no name"]
    if not isinstance(base["weights"], str) or not HEX.fullmatch(base["weights"]):
        problems.append("its digest of weights is no digest")
    if base["precision"] not in ("float32", "bfloat16"):
        problems.append(f"its precision is {base['precision']!r}")
    if not isinstance(base["recipe"], int):
        problems.append("its recipe is no number")
    return problems + problems_of_transform(base["transform"])


def problems_of_transform(transform: dict[str, Any]) -> list[str]:
    """List what is wrong with an input transform."""
    if set(transform) != {"resize", "crop", "interpolation", "mean", "std"}:
        return [f"its transform has the fields {sorted(transform)[:8]}"]
    resize, crop = transform["resize"], transform["crop"]
    problems = []
    if not (type(resize) is int and type(crop) is int and 1 <= crop <= resize <= MAX_SIDE):
        problems.append(f"its transform crops {crop!r} of {resize!r} pixels")
    if transform["interpolation"] not in FILTERS:
        problems.append(f"its interpolation is {transform['interpolation']!r}")
    for name in ("mean", "std"):
        values = transform[name]
        sound = isinstance(values, list) and len(values) == 3 and all(is_number(value) for value in values)
        if not sound or (name == "std" and min(values) <= 0):
            problems.append(f"its {name} is {values!r}"[:80])
    return problems


def is_number(value: Any) -> bool:
    """Whether a value from JSON is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def problems_of_features(facts: dict[str, Any]) -> list[str]:
    """List what is wrong with the layers, and with the words for the weights."""
    problems = []
    for part in facts["layers"]:
        named = isinstance(part, dict) and is_name(part.get("layer")) and is_name(part.get("pooling"))
        if not named or part.get("dtype") not in STORED_DTYPES:
            problems.append(f"one of its layers is {part!r}"[:120])
    if not 1 <= len(facts["layers"]) <= 100:
        problems.append(f"it has {len(facts['layers'])} layers")
    if any(len(facts[name]) > 4096 or not facts[name].isprintable() for name in ("source", "weights")):
        problems.append("its source of weights is no line of text")
    return problems


def problems_of_classifier(facts: dict[str, Any]) -> list[str]:
    """List what is wrong with the classes and the kind of classifier."""
    problems = [] if facts["clf"] in KINDS else [f"its classifier is {facts['clf']!r}"[:80]]
    classes = facts["classes"]
    if not all(isinstance(name, str) for name in classes) or not 2 <= len(set(classes)) == len(classes):
        problems.append("its classes are not two or more different names")
    if not (type(views := facts.get("views", 1)) is int and 1 <= views <= MAX_VIEWS):
        problems.append(f"it takes {views!r} views of an image"[:80])
    if not (math.isfinite(facts["sharpness"]) and facts["sharpness"] > 0):
        problems.append(f"its sharpness is {facts['sharpness']}")
    return problems


def expected_shapes(facts: dict[str, Any], header: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Work out the shape that each array must have.

    Parameters
    ----------
    facts : dict
        Checked ones.
    header : mapping of str to dict
        What a file says of its arrays; it decides on the length of a feature and the width of the hidden layer only.

    Raises
    ------
    ModelError
        If these are no positive numbers.
    """
    classes = len(facts["classes"])
    d = extent(header, "mean")
    shapes: dict[str, tuple[int, ...]] = {"mean": (d,), "scale": (d,)}
    if facts["clf"] == "mlp":
        h = extent(header, "hidden_intercept")
        return {
            **shapes,
            "hidden_weights": (h, d),
            "hidden_intercept": (h,),
            "weights": (classes, h),
            "intercept": (classes,),
        }
    k = 1 if classes == 2 else classes
    return {**shapes, "weights": (k, d), "intercept": (k,)}


def extent(header: Mapping[str, Any], name: str) -> int:
    """Length of a one-dimensional array."""
    shape = header[name]["shape"]
    if not (isinstance(shape, list) and len(shape) == 1 and type(shape[0]) is int and 0 < shape[0] < 2**31):
        raise ModelError(f"'{name}' has the shape {shape!r}"[:80])
    return int(shape[0])


def check_arrays(facts: dict[str, Any], arrays: Mapping[str, NDArray[np.floating[Any]]]) -> None:
    """Check the arrays as they were read.

    Raises
    ------
    ModelError
        If one is missing or of another shape or dtype, holds NaN or infinity, or a scale is not positive.
    """
    shapes = expected_shapes(facts, {name: {"shape": list(array.shape)} for name, array in arrays.items()})
    if {name: array.shape for name, array in arrays.items()} != shapes:
        raise ModelError(f"its arrays do not fit {len(facts['classes'])} classes")
    for name, array in arrays.items():
        narrow = facts["clf"] == "mlp" and name not in ("mean", "scale")
        if array.dtype != (np.float32 if narrow else np.float64):
            raise ModelError(f"'{name}' is {array.dtype}")
        if not np.isfinite(array).all():
            raise ModelError(f"'{name}' holds numbers that are not finite")
    if (arrays["scale"] <= 0).any():
        raise ModelError("'scale' holds numbers that are not positive")
