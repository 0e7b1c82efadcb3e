from __future__ import annotations

from pathlib import Path

import pytest

from featx.data import sources
from featx.errors import DataError


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def test_class_folders_become_labels_in_sorted_order(tmp_path: Path) -> None:
    root = make(tmp_path, "b/1.jpg", "a/2.jpg", "a/deep/3.png", "a/without_suffix")
    listing = sources.list_images(str(root))
    assert list(listing.labels) == ["a", "a", "a", "b"]
    assert [Path(path).name for path in listing.paths] == ["2.jpg", "3.png", "without_suffix", "1.jpg"]
    assert set(listing.splits) == {""}
    assert listing.read(listing.paths[0]) == b"a/2.jpg"


@pytest.mark.parametrize(
    ("folder", "split"), [("val", "val"), ("validation", "val"), ("Valid", "val"), ("test", "test")]
)
def test_split_folders_are_known_by_their_names(tmp_path: Path, folder: str, split: str) -> None:
    listing = sources.list_images(str(make(tmp_path, "train/a/1.jpg", f"{folder}/a/2.jpg")))
    assert sorted(zip(listing.splits, listing.labels, strict=True)) == sorted([("train", "a"), (split, "a")])


def test_side_files_of_systems_and_files_beside_the_classes_are_named(tmp_path: Path) -> None:
    root = make(tmp_path, "a/1.jpg", "a/Thumbs.db", "a/._1.jpg", "notes.txt", ".DS_Store")
    listing = sources.list_images(str(root))
    assert len(listing) == 1
    assert {(Path(file.path).name, file.reason) for file in listing.skipped} == {
        ("Thumbs.db", "system file"),
        ("._1.jpg", "system file"),
        (".DS_Store", "system file"),
        ("notes.txt", "outside the class folders"),
    }


def test_a_csv_lists_paths_labels_and_splits(tmp_path: Path) -> None:
    make(tmp_path, "x/1.jpg", "x/2.jpg")
    (tmp_path / "data.csv").write_text("path,label,split\nx/1.jpg,a,train\nx/2.jpg,b,validation\n")
    listing = sources.list_images(str(tmp_path / "data.csv"))
    assert listing.labels == ["a", "b"]
    assert listing.splits == ["train", "val"]
    assert listing.read(listing.paths[1]) == b"x/2.jpg"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("file,class\n", "lacks the column label, path"),
        ("path,label\n", "is empty"),
        ("path,label,split\na,b,c\n,b,train\n", "line 3: no path or no label, line 2: unknown split 'c'"),
    ],
)
def test_a_bad_csv_names_all_its_problems(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "data.csv").write_text(text)
    with pytest.raises(DataError, match=problem):
        sources.list_images(str(tmp_path / "data.csv"))


def test_an_empty_folder_shows_the_layout_that_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no class folders. Expected is .*/CLASS/photo.jpg"):
        sources.list_images(str(tmp_path))


def test_empty_class_folders_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="its class folders hold no images"):
        sources.list_images(str(tmp_path))


@pytest.mark.parametrize(("name", "there"), [("nowhere", "does not exist"), ("file.txt", "is a file, but no .csv")])
def test_what_is_no_data_set_says_what_one_is(tmp_path: Path, name: str, there: str) -> None:
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(DataError, match=f"{there}: DATA is a folder"):
        sources.list_images(str(tmp_path / name))


def test_a_file_too_large_to_be_a_picture_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(sources.MAX_BYTES + 1)
    with pytest.raises(OSError, match="iB are more than"):
        sources.read_file(str(tmp_path / "huge.jpg"))
