from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from featx.data.sources.columns import ColumnChoice
from featx.data.sources.jsonl_file import is_jsonl_file, list_jsonl
from featx.errors import DataError
from featx.log import NOTE


def write(folder: Path, *rows: Any) -> str:
    for number in range(1, 4):
        (folder / f"{number}.jpg").write_bytes(b"%d" % number)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder / "metadata.jsonl")


def test_json_lines_are_read_as_hugging_face_has_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(NOTE, "featx")
    file = write(
        tmp_path,
        {"file_name": "1.jpg", "label": "ants", "caption": ["a", 1]},
        "",
        {"file_name": "2.jpg", "label": "bees", "split": "Test"},
    )
    assert is_jsonl_file(file)
    listing = list_jsonl(file)
    assert (listing.labels, listing.splits) == (["ants", "bees"], ["", "test"])
    assert listing.read(listing.paths[1]) == b"2"
    assert "paths are from column 'file_name'; ignored column: caption" in caplog.text


def test_labels_may_be_numbers_and_truth_values(tmp_path: Path) -> None:
    rows = [{"path": "1.jpg", "label": 3}, {"path": "2.jpg", "label": True}, {"path": "3.jpg", "label": "3"}]
    assert list_jsonl(write(tmp_path, *rows)).labels == ["3", "true", "3"]


def test_truth_values_say_the_split(tmp_path: Path) -> None:
    rows = [{"path": f"{number}.jpg", "label": "a", "is_valid": number == 1} for number in (1, 2)]
    assert list_jsonl(write(tmp_path, *rows)).splits == ["val", "train"]


def test_columns_can_be_chosen(tmp_path: Path) -> None:
    file = write(tmp_path, {"path": "1.jpg", "label": [1], "species": "ant"})
    assert list_jsonl(file, ColumnChoice(label="species")).labels == ["ant"]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([], "is empty: it has no rows"),
        (["{"], "line 1: not valid JSON .Expecting"),
        (["", '[{"path": "1.jpg"}]', '"x"'], "line 2: not an object such as .*, line 3: not an object"),
        ([{"path": "1.jpg", "label": ["a", "b"]}], "line 1: 'label' is a list, not a text or a number"),
        ([{"path": {"bytes": "x"}, "label": "a"}], "line 1: 'path' is an object, not a text"),
        ([{"path": "1.jpg", "label": "a"}, {"path": "2.jpg", "label": None}], "line 2: no label"),
        (['{"path": "1.jpg", "label": "a"}', '{"path": "2.jpg", "label": NaN}'], "line 2: no label"),
        ([{"path": "1.jpg", "text": "a"}], "there is no column label. The columns are 'path', 'text'"),
        (['{"path": "1.jpg", "label": "a", "label": "b"}'], "line 1: 'label' is there twice, with two values"),
        (
            ['{"path": "1.jpg", "label": "\\ud800"}'],
            "line 1: the label holds a character that cannot be stored: '.ud800'",
        ),
        (['{"path": "1.jpg\\u0000", "label": "a"}'], "line 1: the path holds a character that cannot be stored"),
        (['{"path": "1.jpg", "label": ' + "9" * 5000 + "}"], "line 1: not valid JSON .a number is too long."),
        ([{"path": "1.jpg", "label": "a", "split": ["x"]}], "line 1: 'split' is a list, not a text or a number"),
        (
            [{"path": "1.jpg", "label": "a", "weight": 2}, {"path": "2.jpg", "label": "a", "weight": [1]}],
            "line 2: 'weight' is a list, not a number",
        ),
        (["[" * 100_000], "line 1: not valid JSON .it is nested too deeply."),
        ([{"path": "9.jpg", "label": "a"}], "the only file that it names does not exist. The first is '9.jpg'"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, rows: list[Any], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        list_jsonl(write(tmp_path, *rows))
