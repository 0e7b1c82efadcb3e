from __future__ import annotations

from pathlib import Path

import pytest

from featx.data.sources.folder import list_folder
from featx.errors import DataError


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"\x89PNG" + name.encode())
    return root


def test_class_folders_become_labels_in_sorted_order(tmp_path: Path) -> None:
    root = make(tmp_path, "b/1.jpg", "a/2.jpg", "a/deep/3.png", "a/without_suffix")
    listing = list_folder(str(root))
    assert list(listing.labels) == ["a", "a", "a", "b"]
    assert [Path(path).name for path in listing.paths] == ["2.jpg", "3.png", "without_suffix", "1.jpg"]
    assert set(listing.splits) == {""}
    assert listing.read(listing.paths[0]) == b"\x89PNGa/2.jpg"


@pytest.mark.parametrize(
    ("folder", "split"), [("val", "val"), ("validation", "val"), ("Valid", "val"), ("test", "test")]
)
def test_split_folders_are_known_by_their_names(tmp_path: Path, folder: str, split: str) -> None:
    listing = list_folder(str(make(tmp_path, "train/a/1.jpg", f"{folder}/a/2.jpg")))
    assert sorted(zip(listing.splits, listing.labels, strict=True)) == sorted([("train", "a"), (split, "a")])


def test_side_files_of_systems_and_files_beside_the_classes_are_named(tmp_path: Path) -> None:
    root = make(tmp_path, "a/1.jpg", "a/Thumbs.db", "a/._1.jpg", "cover.png", ".DS_Store")
    listing = list_folder(str(root))
    assert len(listing) == 1
    assert {(Path(file.path).name, file.reason) for file in listing.skipped} == {
        ("Thumbs.db", "system file"),
        ("._1.jpg", "system file"),
        (".DS_Store", "system file"),
        ("cover.png", "outside the class folders"),
    }


def test_an_empty_folder_shows_the_layout_that_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no class folders. Expected is .*/CLASS/photo.jpg"):
        list_folder(str(tmp_path))


def test_empty_class_folders_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="its class folders hold no images"):
        list_folder(str(tmp_path))
