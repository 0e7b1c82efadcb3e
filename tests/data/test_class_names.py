from __future__ import annotations

import pytest

from featx.data.class_names import clean_name, find_similar_names


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("Cats", "cats"),
        ("hot dog", "hotdog"),
        ("hot-dog", "hot_dog"),
        ("hot  dog", "hot\u00a0dog"),
        ("cat", "c\u0430t"),  # a Cyrillic a
        ("cat", "cat\u200b"),  # a zero-width blank
        ("caf\u00e9", "cafe\u0301"),
        ("\uff43at", "cat"),  # a full-width c
        ("STRASSE", "straße"),
        ("class 1", "Class  1"),
        ("1", "01"),
        ("0", "00"),
        ("1", "1.0"),
        ("-2", "-2.00"),
    ],
)
def test_names_that_look_the_same_are_found(first: str, other: str) -> None:
    assert find_similar_names(["zebra", other, first, other]) == [tuple(sorted((first, other)))]


@pytest.mark.parametrize(
    "names",
    [
        ("cat", "cats"),
        ("-1", "1"),
        ("1-1", "11"),
        ("0", "o"),
        ("", "0"),
        ("1.5", "15"),
        ("10", "1"),
        ("1.", "v1."),
        ("café", "cafe"),
        ("a", "b"),
        (),
    ],
)
def test_names_that_differ_are_left_alone(names: tuple[str, ...]) -> None:
    assert find_similar_names(names) == []


def test_a_name_is_stripped_and_composed() -> None:
    assert clean_name(" e\u0301\t\u00a0") == "é"
