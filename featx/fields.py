"""Check the fields of a request by their own annotations.

A request says once, in its annotations, what each field may hold: `views: Annotated[int, Meta(ge=1)] = 1`. Whatever
fills it, flags, keywords or a TOML file, is converted and checked by that. The checking itself is msgspec's; the
wording is ours, since msgspec speaks of JSON.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import numbers
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec
from msgspec.inspect import ListType, LiteralType, NoneType, UnionType, type_info

from featx.errors import FeatxError, RequestError, unknown
from featx.paths import expand_home, refuse_url
from featx.storage.addresses import USER_REFUSED, names_user
from featx.storage.paths import CachePath, ObjectPath, parse_cache

T = TypeVar("T")

CLASS_WEIGHT_RULES = ("none", "balanced")
"""How much classes count in training, where no class is named."""

HOW_CLASS_WEIGHT = "write none, balanced, or weights of classes such as cat=2,dog=0.5"
"""What to do about a class weight that cannot be read."""

WRITTEN = "written"
"""Metadata of a field that users write under another name than its attribute's, such as `from` for `start`."""


class CheckedFields:
    """Base of dataclasses whose fields are converted and checked when they are made."""

    def __post_init__(self) -> None:
        values = {written: getattr(self, name) for name, written in list_written_names(type(self)).items()}
        converted, problems = convert_fields(type(self), values)
        raise_problems(problems)
        for name, value in converted.items():
            # The dataclasses are frozen for everyone else.
            object.__setattr__(self, name, value)
        # Before anything is told of them, as in a command that would help.
        if any(isinstance(value, str) and names_user(value) for value in converted.values()):
            raise RequestError(USER_REFUSED)
        # Whether fields contradict one another can be asked only once each of them is sound.
        raise_problems([RequestError(text) for text in self.contradictions()])

    def contradictions(self) -> list[str]:
        """Say which fields, each sound by itself, contradict one another."""
        return []


def list_written_names(request: type) -> dict[str, str]:
    """Map the attributes of a dataclass to the names under which users write them."""
    return {field.name: field.metadata.get(WRITTEN, field.name) for field in dataclasses.fields(request)}


@cache
def read_annotations(request: type) -> dict[str, Any]:
    """Map the attributes of a dataclass to their annotations, with what `Annotated` adds."""
    return get_type_hints(request, include_extras=True)


def list_required_names(request: type) -> list[str]:
    """List the fields that have no default, under the names that users write."""
    missing = dataclasses.MISSING
    names = list_written_names(request)
    return [
        names[field.name]
        for field in dataclasses.fields(request)
        if field.default is missing and field.default_factory is missing
    ]


def convert_fields(request: type, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[FeatxError]]:
    """Convert values to the types of the fields that they are for.

    Parameters
    ----------
    request : type
        A dataclass.
    values : mapping of str to any
        By the names that users write; names that are not the dataclass's are passed over.

    Returns
    -------
    converted : dict of str to any
        By attribute; only what is sound.
    problems : list of FeatxError
        One for each value that is not.
    """
    annotations = read_annotations(request)
    converted: dict[str, Any] = {}
    problems: list[FeatxError] = []
    for name, written in list_written_names(request).items():
        if written not in values:
            continue
        try:
            converted[name] = convert(values[written], annotations[name], written)
        except FeatxError as error:
            problems.append(error)
    return converted, problems


def convert(value: Any, annotation: Any, name: str) -> Any:
    """Convert one value to what an annotation allows.

    A list becomes a tuple, so that requests are equal and hashable by their values.

    Raises
    ------
    UnknownName
        If the annotation lists choices and the value is another text.
    RequestError
        If the value is of another type, or out of range.
    """
    try:
        # msgspec is strict by default: true is not a number, and 1.0 not an integer; but 1 is a number.
        converted = msgspec.convert(simplify(value), annotation, dec_hook=path_from_text)
    except (msgspec.ValidationError, NotImplementedError) as error:
        # What a hook of ours has refused, it has worded.
        if isinstance(error.__cause__, FeatxError):
            raise RequestError(f"'{name}': {error.__cause__}") from error
        kind = strip_none(type_info(annotation))
        if isinstance(kind, LiteralType) and isinstance(value, str):
            raise unknown(name.replace("_", " "), value, map(str, kind.values)) from error
        raise RequestError(f"'{name}' must be {describe_type(kind)}, not {value!r}") from error
    if isinstance(converted, float) and not math.isfinite(converted):
        raise RequestError(f"'{name}' must be {describe_type(strip_none(type_info(annotation)))}, not {value!r}")
    return tuple(converted) if isinstance(converted, list) else converted


def simplify(value: Any) -> Any:
    """Turn a path into its text, a number of numpy's into Python's own, and the names of a mapping into texts."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, bool | int | float):
        # numpy's double is a float, but not exactly one.
        return float(value) if isinstance(value, float) else value
    if isinstance(value, Mapping):
        # Names that are numbers, such as the classes of digits.
        return {str(name): simplify(item) for name, item in value.items()}
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    return value


def parse_class_weight(value: str | Mapping[str, float]) -> str | dict[str, float]:
    """Read how much classes count: "none", "balanced", or the weights of classes by name.

    Parameters
    ----------
    value : str or mapping of str to float
        A text may list weights as NAME=W,NAME=W; NAME=W stands in quotes where the name holds a comma.

    Raises
    ------
    RequestError
        If it is none of these, or a weight is not positive and finite.
    """
    if isinstance(value, Mapping):
        weights = {name.strip(): float(weight) for name, weight in value.items()}
    elif value.strip() in CLASS_WEIGHT_RULES:
        return value.strip()
    else:
        weights = split_class_weight(value)
    bad = [f"{name}={weight:g}" for name, weight in weights.items() if not 0 < weight < math.inf]
    if bad:
        raise RequestError(f"'class_weight' has {', '.join(bad)}: every weight must be positive and finite")
    if not weights:
        raise RequestError(f"'class_weight' is empty: {HOW_CLASS_WEIGHT}")
    return weights


def check_class_weight(value: str | Mapping[str, float]) -> list[str]:
    """Say what is wrong with how much classes count, if anything."""
    try:
        parse_class_weight(value)
    except RequestError as error:
        return [str(error)]
    return []


def split_class_weight(text: str) -> dict[str, float]:
    """Split NAME=W,NAME=W into names and weights.

    Raises
    ------
    RequestError
        If a part is not a name, an equals sign and a number, or a name stands there twice.
    """
    weights: dict[str, float] = {}
    for part in next(csv.reader([text], skipinitialspace=True), []):
        # From the right, since a number holds no equals sign, but a name may.
        name, _, number = (word.strip() for word in part.rpartition("="))
        try:
            weight = float(number)
        except ValueError:
            weight = None
        if weight is None or not name:
            raise RequestError(f"'class_weight' has '{part.strip()}': {HOW_CLASS_WEIGHT}")
        if name in weights:
            raise RequestError(f"'class_weight' names '{name}' twice: give each class one weight")
        weights[name] = weight
    return weights


def format_class_weight(value: str | Mapping[str, float]) -> str:
    """Write how much classes count in one way, names in order, so that equal requests are equal."""
    weights = parse_class_weight(value)
    if isinstance(weights, str):
        return weights
    text = io.StringIO()
    parts = [f"{name}={repr(weight).removesuffix('.0')}" for name, weight in sorted(weights.items())]
    csv.writer(text, lineterminator="").writerow(parts)
    return text.getvalue()


def path_from_text(kind: type, value: Any) -> Any:
    """Make a path of a text, which msgspec does not do by itself; `~` is the home folder."""
    # One class where it runs, a union for whoever reads types.
    if kind is CachePath and isinstance(value, str | ObjectPath):  # type: ignore[comparison-overlap]
        return parse_cache(value)
    if kind is Path and isinstance(value, str):
        refuse_url(value)
        return Path(expand_home(value))
    raise NotImplementedError


def strip_none(kind: Any) -> Any:
    """Take the type out of an optional one."""
    if not isinstance(kind, UnionType):
        return kind
    others = [member for member in kind.types if not isinstance(member, NoneType)]
    return others[0]


PLAIN_TYPES = {
    "BoolType": "true or false",
    "IntType": "an integer",
    "FloatType": "a number",
    "StrType": "a string",
    "ListType": "a list",
    "TupleType": "a pair of integers",
}
"""Types that msgspec tells apart, in the words of users; the others name their class."""


LIMITS = {"ge": "of at least", "gt": "above", "le": "at most", "lt": "below"}
"""Limits of a number, as msgspec calls them and in words."""


def describe_type(kind: Any) -> str:
    """Say in words what a type that msgspec has inspected allows.

    Parameters
    ----------
    kind : msgspec.inspect.Type
    """
    if isinstance(kind, LiteralType):
        return f"one of {', '.join(map(repr, kind.values))}"
    text = PLAIN_TYPES.get(type(kind).__name__)
    if text is None:
        return f"a {kind.cls.__name__}"
    if isinstance(kind, ListType):
        return describe_list(kind)
    bounds = []
    for limit, words in LIMITS.items():
        value = getattr(kind, limit, None)
        if value is not None:
            bounds.append(f"{words} {value}")
    return f"{text} {' and '.join(bounds)}".rstrip()


def describe_list(kind: ListType) -> str:
    """Say in words what a list holds, and how much of it at least."""
    items = describe_type(kind.item_type).removeprefix("an ").removeprefix("a ")
    text = f"a list of {items}s"
    return f"{text} (at least {kind.min_length})" if kind.min_length else text


def find_unknown(values: Mapping[str, Any], known: Collection[str], kind: str = "key") -> list[FeatxError]:
    """Find names that no field has: an error each, with the nearest one; `kind` says what such a name is."""
    return [unknown(kind, name, known) for name in values if name not in known]


def find_missing(values: Mapping[str, Any], required: Iterable[str]) -> list[FeatxError]:
    """Find names that are needed and not there: an error each."""
    return [RequestError(f"'{name}' is missing") for name in required if name not in values]


def raise_problems(problems: Iterable[FeatxError], where: str = "") -> None:
    """Raise one error for all problems; nothing happens where there are none.

    Parameters
    ----------
    problems : iterable of FeatxError
    where : str
        What the error begins with: the file or the function that holds the values.

    Raises
    ------
    FeatxError
        With all problems, each said once: of their class if they share one, else a RequestError.
    """
    by_text = {str(problem): problem for problem in problems}
    if not by_text:
        return
    text = "; ".join(text.removesuffix(".") for text in by_text)
    kinds = {type(problem) for problem in by_text.values()}
    kind = kinds.pop() if len(kinds) == 1 else RequestError
    raise kind(f"{where}: {text}" if where else text)


@contextmanager
def prefix_errors(where: str) -> Iterator[None]:
    """Let errors about requests that are made inside begin with where their values stand."""
    try:
        yield
    except RequestError as error:
        raise RequestError(f"{where}: {error}") from error


def fill(request: type[T], values: Mapping[str, Any], where: str) -> T:
    """Fill a request with values that a user gave by name.

    Parameters
    ----------
    request : type
        A dataclass that derives from `CheckedFields`.
    values : mapping of str to any
        By the names that users write.
    where : str
        What an error begins with, such as "featx.extract()".

    Raises
    ------
    UnknownName
        If a name is not a field's, with the nearest one.
    RequestError
        With all problems at once.
    """
    converted, problems = convert_fields(request, values)
    known = list_written_names(request).values()
    raise_problems(
        [*find_unknown(values, known, "option"), *find_missing(values, list_required_names(request)), *problems],
        where,
    )
    with prefix_errors(where):
        return request(**converted)
