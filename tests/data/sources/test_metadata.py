from __future__ import annotations

from pathlib import Path

import pytest

from featx.data.sources import ColumnChoice, list_images
from featx.errors import DataError
from featx.log import NOTE


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


@pytest.fixture(autouse=True)
def notes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(NOTE, "featx")


@pytest.mark.parametrize("folder", ["", "images/"])
def test_a_folder_is_read_by_the_metadata_in_it(tmp_path: Path, caplog: pytest.LogCaptureFixture, folder: str) -> None:
    root = make(tmp_path / "set", f"{folder}1.jpg", f"{folder}2.jpg")
    (root / "metadata.csv").write_text(f"file_name,label\n{folder}1.jpg,a\n{folder}2.jpg,b\n")
    listing = list_images(str(root))
    assert (listing.name, listing.labels) == (str(root), ["a", "b"])
    assert f"'{root}': images and labels are read from '{root}/metadata.csv'" in caplog.text


def test_metadata_in_each_folder_of_a_split_is_joined(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "train/1.jpg", "test/2.jpg")
    (root / "train/metadata.jsonl").write_text('{"file_name": "1.jpg", "label": "a"}\n')
    (root / "test/metadata.csv").write_text("file_name,label\n2.jpg,b\n")
    listing = list_images(str(root))
    rows = sorted(zip(listing.paths, listing.labels, listing.splits, strict=True))
    assert rows == [(f"{root}/test/2.jpg", "b", "test"), (f"{root}/train/1.jpg", "a", "train")]


def test_class_folders_go_first_and_it_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make(tmp_path / "set", "a/1.jpg", "b/2.jpg")
    (root / "metadata.csv").write_text("file_name,label\na/1.jpg,k\nb/2.jpg,k\n")
    assert list_images(str(root)).labels == ["a", "b"]
    assert f"labels are read from the class folders, not from '{root}/metadata.csv'" in caplog.text
    assert list_images(str(root / "metadata.csv")).labels == ["k", "k"]
    assert list_images(str(root), choice=ColumnChoice(label="label")).labels == ["k", "k"]


def test_two_kinds_of_metadata_are_an_error(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "metadata.csv", "metadata.jsonl", "1.jpg")
    with pytest.raises(DataError, match="holds metadata.csv and metadata.jsonl: give the one to read as DATA"):
        list_images(str(root))


def test_columns_are_refused_for_what_has_none(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "a/1.jpg", "b/2.jpg")
    for data in (str(root), "digits"):
        with pytest.raises(DataError, match="is not a table: --path-column and --label-column are for CSV and JSON"):
            list_images(data, choice=ColumnChoice(label="k"))


def test_weights_of_one_table_are_joined_with_rows_that_have_none(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "train/1.jpg", "test/2.jpg")
    (root / "train/metadata.jsonl").write_text('{"file_name": "1.jpg", "label": "a", "weight": 2.5}\n')
    (root / "test/metadata.csv").write_text("file_name,label\n2.jpg,b\n")
    listing = list_images(str(root))
    assert listing.weights is not None
    rows = sorted(zip(listing.paths, listing.weights.tolist(), strict=True))
    assert rows == [(f"{root}/test/2.jpg", 1.0), (f"{root}/train/1.jpg", 2.5)]
