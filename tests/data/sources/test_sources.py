from __future__ import annotations

from pathlib import Path

import pytest

from featx.data.sources import list_images
from featx.errors import DataError


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere", "does not exist"),
        ("file.txt", "is a file, but not a .*"),
        ("x" * 5000, "does not exist"),
    ],
)
def test_what_is_not_a_data_set_says_what_one_is(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(DataError, match=f"{problem}: DATA is a folder"):
        list_images(str(tmp_path / name))


def test_the_kind_of_data_is_found_out(tmp_path: Path) -> None:
    make(tmp_path, "photos.csv/a/1.jpg")  # a folder, whatever its name
    (tmp_path / "table.CSV").write_text("path,label\nphotos.csv/a/1.jpg,b\n")
    assert list_images(str(tmp_path / "photos.csv")).labels == ["a"]
    assert list_images(str(tmp_path / "table.CSV")).labels == ["b"]
    assert len(list_images("digits")) == 1797
