from __future__ import annotations

import pytest

from featx.log import escape_controls


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x9b2J\x7f\x00", "\\x9b2J\\x7f\\x00"),
        ("gpj\u202eexe\u2066", "gpj\\u202eexe\\u2066"),
        ("a\u200bb\u200cc\ufeff", "a\\u200bb\\u200cc\\ufeff"),
        ("x\U000e0041", "x\\U000e0041"),
        ("\udc9b31m \udcff", "\\x9b31m \udcff"),
    ],
)
def test_what_acts_on_a_terminal_or_is_not_seen_is_escaped(name: str, shown: str) -> None:
    assert escape_controls(name) == shown
    assert escape_controls(shown) == shown


@pytest.mark.parametrize(
    "name",
    [
        "ants",
        "Ameisen (groß)",
        "蟻",
        "\u0645\u06cc\u200c\u062e\u0648",
        "\U0001f468\u200d\U0001f469",
        "C:\\new",
        "e\u0301",
    ],
)
def test_names_of_all_scripts_stay(name: str) -> None:
    assert escape_controls(name) == name


def test_line_ends_of_our_own_can_stay() -> None:
    assert escape_controls("a\nb\x1b", kept="\n") == "a\nb\\x1b"
