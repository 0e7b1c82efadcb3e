from __future__ import annotations

from pathlib import Path

import pytest

from featx.data.sources.folder import list_folder


def make(root: Path, *names: str) -> str:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"\x89PNG" + name.encode())
    return str(root)


def test_folders_that_hold_the_same_folders_are_doubted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = make(tmp_path, "day1/a/1.jpg", "day1/b/2.jpg", "day2/a/3.jpg", "day2/b/4.jpg")
    assert list_folder(data).labels == ["day1", "day1", "day2", "day2"]
    assert "'day1', 'day2' in" in caplog.text
    assert "are read as the classes, but each of them holds 'a', 'b'" in caplog.text
    caplog.clear()
    make(tmp_path, "day1/c/5.jpg")
    list_folder(data)
    assert "read as the classes" not in caplog.text


def test_pictures_and_their_masks_are_no_two_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    list_folder(make(tmp_path / "a", "JPEGImages/1.jpg", "Ground_Truth/2.jpg"))
    assert "'Ground_Truth' may belong to the pictures of 'JPEGImages'" in caplog.text
    caplog.clear()
    list_folder(make(tmp_path / "b", "mask/1.jpg", "no mask/2.jpg"))
    list_folder(make(tmp_path / "c", "images/1.jpg", "drawings/2.jpg"))
    assert caplog.text == ""


def test_a_table_beside_pictures_without_classes_is_named(tmp_path: Path) -> None:
    data = make(tmp_path / "a", "1.jpg")
    (tmp_path / "a/labels.csv").write_text("path,label\n")
    assert (
        list_folder(data)
        .notes[0]
        .endswith(f"if '{data}/labels.csv' lists them with their labels, that is the data set")
    )
    data = make(tmp_path / "b", "images/1.jpg")
    (tmp_path / "b/labels.jsonl").write_text("{}\n")
    assert list_folder(data).notes[0] == (
        f"all pictures are of one class, the folder 'images'; if '{data}/labels.jsonl' lists them with their labels, "
        "that is the data set"
    )
