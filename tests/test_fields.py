"""What fills a request is converted and checked by the request's own annotations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from msgspec import Meta

from featx.errors import RequestError, UnknownName
from featx.fields import WRITTEN, CheckedFields, fill


@dataclass(frozen=True)
class Choice(CheckedFields):
    name: str


@dataclass(frozen=True)
class Example(CheckedFields):
    text: str
    start: str = field(default="1", metadata={WRITTEN: "from"})
    number: Annotated[int, Meta(ge=1)] | None = None
    share: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    names: Annotated[Sequence[str], Meta(min_length=1)] = ("a",)
    kind: Literal["linear", "mlp"] = "linear"
    is_on: bool = False
    path: Path = Path()
    pair: tuple[int, int] | None = None
    inner: Choice | None = None
    anything: Any = None

    def contradictions(self) -> list[str]:
        return ["'number' and 'pair' exclude each other"] if self.number and self.pair else []


@pytest.mark.parametrize(
    ("values", "name", "expected"),
    [
        ({"text": Path("a") / "b"}, "text", "a/b"),
        ({"number": np.int64(3)}, "number", 3),
        ({"number": None}, "number", None),
        ({"share": 0}, "share", 0.0),
        ({"share": np.float32(0.25)}, "share", 0.25),
        ({"share": np.float64(0.25)}, "share", 0.25),
        ({"names": ["b", "c"]}, "names", ("b", "c")),
        ({"path": "x/y"}, "path", Path("x/y")),
        ({"path": Path("x/y")}, "path", Path("x/y")),
        ({"pair": [1, 2]}, "pair", (1, 2)),
        ({"inner": Choice("z")}, "inner", Choice("z")),
        ({"anything": [math]}, "anything", (math,)),
    ],
)
def test_values_become_what_the_annotations_say(values: dict[str, Any], name: str, expected: object) -> None:
    example = Example(**{"text": "", **values})
    assert getattr(example, name) == expected
    assert type(getattr(example, name)) is type(expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"text": 3}, "'text' must be a string, not 3"),
        ({"start": 3}, "'from' must be a string, not 3"),
        ({"number": 0}, "'number' must be an integer of at least 1, not 0"),
        ({"number": True}, "'number' must be an integer of at least 1, not True"),
        ({"number": 1.0}, "'number' must be an integer of at least 1, not 1.0"),
        ({"share": 1}, "'share' must be a number of at least 0 and below 1, not 1"),
        ({"share": math.nan}, "'share' must be a number of at least 0 and below 1, not nan"),
        ({"share": "0.5"}, "'share' must be a number of at least 0 and below 1, not '0.5'"),
        ({"names": "b"}, r"'names' must be a list of strings \(at least 1\), not 'b'"),
        ({"names": []}, r"'names' must be a list of strings \(at least 1\), not \[\]"),
        ({"names": ["b", 1]}, r"'names' must be a list of strings \(at least 1\), not \['b', 1\]"),
        ({"kind": 1}, "'kind' must be one of 'linear', 'mlp', not 1"),
        ({"is_on": 1}, "'is_on' must be true or false, not 1"),
        ({"path": 1}, "'path' must be a Path, not 1"),
        ({"pair": (1, 2, 3)}, r"'pair' must be a pair of integers, not \(1, 2, 3\)"),
        ({"inner": "z"}, "'inner' must be a Choice, not 'z'"),
        ({"number": 1, "pair": (1, 2)}, "'number' and 'pair' exclude each other"),
    ],
)
def test_wrong_values_are_named_with_what_is_allowed(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=f"^{message}$"):
        Example(**{"text": "", **values})


def test_a_wrong_choice_comes_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="unknown kind 'mpl'. Did you mean 'mlp'. There are: linear, mlp"):
        Example("", kind="mpl")  # type: ignore[arg-type]


def test_all_problems_are_raised_at_once() -> None:
    with pytest.raises(RequestError) as caught:
        Example(3, kind="mpl", is_on="yes")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "'text' must be a string, not 3; unknown kind 'mpl'. Did you mean 'mlp'? There are: linear, mlp; "
        "'is_on' must be true or false, not 'yes'"
    )


def test_equal_values_make_equal_and_hashable_requests() -> None:
    assert Example("", names=["a", "b"]) == Example("", names=("a", "b"))
    assert len({Example("", names=["a"]), Example("")}) == 1


def test_fill_takes_the_names_that_users_write() -> None:
    assert fill(Example, {"text": "t", "from": "4"}, "here") == Example("t", "4")


def test_fill_says_where_and_everything_that_is_wrong() -> None:
    with pytest.raises(UnknownName, match="^here: unknown option 'pth'. Did you mean 'path'"):
        fill(Example, {"text": "t", "pth": "x"}, "here")
    with pytest.raises(RequestError, match=r"^here: unknown option 'start'.*; 'text' is missing; 'from' must be a "):
        fill(Example, {"start": "4", "from": 4}, "here")
    with pytest.raises(RequestError, match="^here: 'number' and 'pair' exclude each other$"):
        fill(Example, {"text": "", "number": 1, "pair": (1, 2)}, "here")
