"""A diagnosis can be pasted into a bug report: it tells neither paths nor names."""

from __future__ import annotations

import pytest

from featx.diagnosis.finding import hide_people


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("cannot open '/home/ada/photos/x.jpg': denied", "cannot open '<path>': denied"),
        (r"cannot open 'C:\Users\ada\x.jpg'", "cannot open '<path>'"),
        ("~/photos/x.jpg is gone", "<path> is gone"),
        ("ada-laptop and ada, not adapter", "<name> and <name>, not adapter"),
        ("28 images/s on cuda:0, and/or 1/2", "28 images/s on cuda:0, and/or 1/2"),
        ("see https://example.org/help/me", "see https://example.org/help/me"),
        ("pip install 'torch>=2.11'", "pip install 'torch>=2.11'"),
    ],
)
def test_paths_and_names_are_taken_out_and_nothing_else(text: str, hidden: str) -> None:
    assert hide_people(text, ["ada", "ada-laptop"]) == hidden
