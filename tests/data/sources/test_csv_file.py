from __future__ import annotations

from pathlib import Path

import pytest

from featx.data.sources.csv_file import list_csv
from featx.errors import DataError


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def test_a_csv_lists_paths_labels_and_splits(tmp_path: Path) -> None:
    make(tmp_path, "x/1.jpg", "x/2.jpg")
    (tmp_path / "data.csv").write_text("path,label,split\nx/1.jpg,a,train\nx/2.jpg,b,validation\n")
    listing = list_csv(str(tmp_path / "data.csv"))
    assert listing.labels == ["a", "b"]
    assert listing.splits == ["train", "val"]
    assert listing.read(listing.paths[1]) == b"x/2.jpg"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("file,class\n", "lacks the columns label, path: line 1 must be"),
        ("path,class\n", "lacks the column label: line 1 must be"),
        ("path,label\n", "is empty"),
        ("path,label,split\na,b,c\n,b,train\n", "line 3: no path or no label, line 2: unknown split 'c'"),
    ],
)
def test_a_bad_csv_names_all_its_problems(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "data.csv").write_text(text)
    with pytest.raises(DataError, match=problem):
        list_csv(str(tmp_path / "data.csv"))


def test_a_csv_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("path,label\n1.jpg,a\n", encoding="utf-8-sig")
    listing = list_csv(str(tmp_path / "data.csv"))
    assert (list(listing.paths), listing.splits) == ([str(tmp_path / "1.jpg")], [""])
