from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from featx.data.listing import Listing, find_split
from featx.data.sources.folder import list_folder
from featx.errors import DataError
from featx.log import NOTE


def make(root: Path, *names: str) -> str:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"\x89PNG" + name.encode())
    return str(root)


def rows(listing: Listing) -> list[tuple[str, str]]:
    return list(zip(listing.splits, listing.labels, strict=True))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, "train") for name in ("train", "Train", "TRAINING", "training_set", "trainset")),
        *((name, "val") for name in ("val", "VALID", "validation", "Dev", "val_set")),
        *((name, "test") for name in ("test", "Testing", "eval", "Evaluation", "holdout", "held-out", "hold_out")),
        *((name, None) for name in ("trains", "testing ground", "validity", "", "device")),
    ],
)
def test_splits_are_known_in_any_case_and_spelling(name: str, split: str | None) -> None:
    assert find_split(name) == split


def test_splits_above_the_classes_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = make(tmp_path, "train/a/1.jpg", "Testing/a/2.jpg", "__MACOSX/train/a/._1.jpg")
    with caplog.at_level(NOTE):
        assert rows(list_folder(data)) == [("test", "a"), ("train", "a")]
    assert [record.getMessage() for record in caplog.records] == [
        "splits: train, test (from folder names: 'Testing' is test)",
        "passed over: 1 side folder (__MACOSX)",
    ]


def test_splits_below_the_classes_are_read_and_said(tmp_path: Path) -> None:
    listing = list_folder(make(tmp_path, "a/train/1.jpg", "a/test/2.jpg", "b/train/good/3.jpg"))
    assert rows(listing) == [("test", "a"), ("train", "a"), ("train", "b")]
    assert listing.notes[0] == "splits: train, test (from folder names) inside the class folders"
    assert "b/train/good" in listing.notes[1]


def test_a_folder_that_is_no_split_beside_splits_is_named(tmp_path: Path) -> None:
    data = make(tmp_path, "train/a/1.jpg", "val/a/2.jpg", "extra/a/3.jpg")
    with pytest.raises(DataError, match="'train', 'val' are names of splits, 'extra' is not"):
        list_folder(data)


def test_a_folder_without_pictures_beside_splits_is_passed_over(tmp_path: Path) -> None:
    data = make(tmp_path, "train/a/1.jpg", "val/a/2.jpg")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "all.json").write_text("{}")
    listing = list_folder(data)
    assert rows(listing) == [("train", "a"), ("val", "a")]
    assert "1 folder without pictures (annotations)" in listing.notes[-1]


def test_a_class_called_train_is_one_where_all_folders_hold_pictures_themselves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert rows(list_folder(make(tmp_path, "train/1.jpg", "bus/2.jpg"))) == [("", "bus"), ("", "train")]
    assert "'train' in" in caplog.text
    assert "is read as a class, not as a split" in caplog.text


def test_names_that_only_look_like_splits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'train2017', 'val2017', which look like splits .* rename them"):
        list_folder(make(tmp_path, "train2017/a/1.jpg", "val2017/a/2.jpg"))


def test_words_that_only_a_capital_letter_divides_are_seen(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'testA', 'testB', 'trainA', 'trainB', which look like splits"):
        list_folder(make(tmp_path / "a", "trainA/1.jpg", "trainB/2.jpg", "testA/3.jpg", "testB/4.jpg"))
    with pytest.raises(DataError, match=r"'TestImages', 'TrainImages', which look like splits"):
        list_folder(make(tmp_path / "b", "TrainImages/a/1.jpg", "TestImages/a/2.jpg"))
    assert rows(list_folder(make(tmp_path / "c", "TrainStation/1.jpg", "BusStop/2.jpg"))) == [
        ("", "BusStop"),
        ("", "TrainStation"),
    ]


def test_classes_only_some_of_which_are_divided_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'a' is divided into splits and 'b' is not: .* did you mean '.*/a'"):
        list_folder(make(tmp_path, "a/train/1.jpg", "a/test/2.jpg", "b/3.jpg"))
    with pytest.raises(DataError, match="holds splits and, beside them, 'ground_truth'"):
        list_folder(make(tmp_path / "mvtec", "a/train/1.jpg", "a/ground_truth/2.jpg", "b/train/3.jpg"))


def test_folders_too_high_by_several_name_the_data_set_itself(tmp_path: Path) -> None:
    data = make(tmp_path, "a/b/c/ants/1.jpg", "a/b/c/bees/1.jpg")
    with pytest.raises(DataError, match=f"did you mean '{data}/a/b/c'"):
        list_folder(data)
    data = make(tmp_path / "splits", "a/b/train/ants/1.jpg")
    with pytest.raises(DataError, match=f"did you mean '{data}/a/b'"):
        list_folder(data)


@pytest.mark.parametrize("inner", ["photos/ants/1.jpg", "photos/train/ants/1.jpg", "other/ants/1.jpg"])
def test_a_folder_too_high_says_which_path_was_probably_meant(tmp_path: Path, inner: str) -> None:
    data = make(tmp_path / "photos", inner)
    with pytest.raises(DataError, match=f"holds one folder only.* did you mean '{data}/{inner.split('/', 1)[0]}'"):
        list_folder(data)


def test_splits_one_folder_too_deep_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"one folder too deep.*train/CLASS/photo\.jpg"):
        list_folder(make(tmp_path, "train/photos/a/1.jpg", "val/photos/a/2.jpg"))


def test_a_class_folder_is_read_without_labels_and_its_parent_is_named(tmp_path: Path) -> None:
    make(tmp_path / "photos", "ants/1.jpg", "bees/2.jpg")
    listing = list_folder(str(tmp_path / "photos" / "ants"))
    assert rows(listing) == [("", "")]
    assert not listing.is_labelled
    assert listing.notes[0].endswith(f"if 'ants' is a class, the data set is '{tmp_path}/photos'")


def test_splits_without_classes_are_read_without_labels(tmp_path: Path) -> None:
    assert rows(list_folder(make(tmp_path, "train/1.jpg", "test/2.jpg"))) == [("test", ""), ("train", "")]


def test_pictures_beside_class_folders_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert len(list_folder(make(tmp_path, "train/a/1.jpg", "test/2.jpg", "test/3.jpg"))) == 1
    assert "2 pictures lie outside the class folders and are passed over" in caplog.text


def test_a_hidden_class_is_named_by_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = make(tmp_path, "a/1.jpg", ".wasps/2.jpg", ".ipynb_checkpoints/3.jpg")
    (tmp_path / ".empty").mkdir()
    with caplog.at_level(logging.WARNING):
        assert rows(list_folder(data)) == [("", "a")]
    assert [record.getMessage() for record in caplog.records] == [
        f"'{tmp_path}/.wasps' is hidden and holds pictures: passed over; rename what is a class"
    ]


def test_nearly_equal_classes_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    list_folder(make(tmp_path, "Cats/1.jpg", "cats/2.jpg", "dogs/3.jpg", "dogs /4.jpg"))
    assert caplog.text.count("nearly equal") == 1
    assert "'Cats' and 'cats', 'dogs' and 'dogs '" in caplog.text


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such names")
def test_names_that_are_not_utf8_are_listed(tmp_path: Path) -> None:
    data = make(tmp_path, "a/1.jpg")
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / "a").rename(tmp_path / name)
    assert list_folder(data).labels == [name]
