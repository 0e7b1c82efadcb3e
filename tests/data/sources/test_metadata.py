from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from featx.data.digest_cache import digest_all
from featx.data.sources import ColumnChoice, list_images
from featx.errors import DataError
from featx.images.picture_digest import digest_picture
from featx.log import NOTE
from tests.data.sources.archives.making import make_png, write_folder, write_zip


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


def test_labels_csv_counts_where_there_is_no_metadata(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make(tmp_path / "set", "1.jpg", "2.jpg")
    (root / "labels.csv").write_text("path,label\n1.jpg,a\n2.jpg,b\n")
    assert list_images(str(root)).labels == ["a", "b"]
    (root / "metadata.csv").write_text("file_name,label\n1.jpg,c\n2.jpg,d\n")
    assert list_images(str(root)).labels == ["c", "d"]
    (root / "metadata.csv").unlink()
    (root / "labels.csv").write_text("id,breed\n1,a\n2,b\n")
    assert not list_images(str(root)).is_labelled
    assert f"'{root}/labels.csv' is not read: it has no columns of paths and labels" in caplog.text


TABLES_IN_FOLDERS = {
    "in the folder": {"metadata.csv": "file_name,label\n1.png,a\n./2.png,b\n"},
    "as JSON": {"metadata.jsonl": '{"file_name": "1.png", "label": "a"}\n{"file_name": "2.png", "label": "b"}\n'},
    "labels.csv": {"labels.csv": "path;label;split\n1.png;a;train\n2.png;b;test\n"},
    "in each split": {
        "train/metadata.csv": "file_name,label,weight\n../1.png,a,2\n",
        "test/metadata.jsonl": '{"file_name": "../2.png", "label": "b"}\n',
    },
    "a file that is not there": {"metadata.csv": "file_name,label\n1.png,a\n2.png,b\n3.png,b\n~/1.png,a\n"},
    "a file outside": {"metadata.csv": "file_name,label\n1.png,a\n../outside.png,b\n"},
}


@pytest.mark.parametrize("case", TABLES_IN_FOLDERS)
def test_a_zip_is_read_by_the_metadata_in_it_as_its_folder_is(tmp_path: Path, case: str) -> None:
    members = {"1.png": make_png(1), "2.png": make_png(2)}
    members |= {name: text.encode() for name, text in TABLES_IN_FOLDERS[case].items()}
    folder = list_images(str(write_folder(tmp_path / "set", members)))
    zipped = list_images(str(write_zip(tmp_path / "set.zip", members)))
    (tmp_path / "outside.png").write_bytes(make_png(3))
    wrapped = list_images(str(write_zip(tmp_path / "w.zip", {f"set/{name}": data for name, data in members.items()})))
    for listing in (zipped, wrapped):
        assert (listing.labels, listing.splits) == (folder.labels, folder.splits)
        assert np.array_equal(listing.weights, folder.weights) if folder.weights is not None else not listing.weights
        readable = [path for path in folder.paths if Path(path).is_file() and not path.endswith("outside.png")]
        sound = digest_all(tmp_path / "cache", listing)
        assert sound.digests.tolist() == [list(digest_picture(Path(path).read_bytes())) for path in readable]
        assert {image.reason for image in sound.unreadable} <= {"there is no such member in the archive"}
        assert len(sound) == 2 or "outside" in case


def test_class_folders_of_a_zip_go_first_and_columns_choose_its_table(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    members = {"a/1.png": make_png(1), "b/2.png": make_png(2)}
    members["metadata.csv"] = b"file_name,kind\na/1.png,k\nb/2.png,k\n"
    data = str(write_zip(tmp_path / "set.zip", members))
    assert list_images(data).labels == ["a", "b"]
    assert f"not from '{data}/metadata.csv', which is read where --label-column names its labels" in caplog.text
    assert list_images(data, choice=ColumnChoice(label="kind")).labels == ["k", "k"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            b"file_name,label\n9.png,a\n",
            "set.zip/metadata.csv': the only file that it names does not exist. The first is",
        ),
        (b"file_name,label\n1.png\n", "set.zip/metadata.csv': line 2: no label"),
        (b"file_name,label\n\xff.png,a\n", "set.zip/metadata.csv', line 2: byte 0xff is not UTF-8"),
        (b"1.png,a\n", "set.zip/metadata.csv' has no header: line 1 names the file '1.png'"),
    ],
)
def test_a_table_in_a_zip_that_cannot_be_used_is_one_clear_line(tmp_path: Path, table: bytes, said: str) -> None:
    data = write_zip(tmp_path / "set.zip", {"1.png": make_png(1), "metadata.csv": table})
    with pytest.raises(DataError, match=re.escape(said)):
        list_images(str(data))


def test_captions_in_a_zip_are_not_read_and_it_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = write_zip(
        tmp_path / "set.zip", {"1.png": make_png(1), "metadata.jsonl": b'{"file_name": "1.png", "text": "k"}'}
    )
    assert not list_images(str(data)).is_labelled
    assert f"'{data}/metadata.jsonl' is not read: it has no columns of paths and labels" in caplog.text


def test_a_damaged_table_in_a_zip_is_one_clear_line(tmp_path: Path) -> None:
    data = write_zip(tmp_path / "set.zip", {"1.png": make_png(1), "metadata.csv": b"file_name,label\n1.png,a\n"})
    data.write_bytes(data.read_bytes().replace(b"1.png,a", b"1.png,b"))
    with pytest.raises(DataError, match="set.zip/metadata.csv' cannot be read: is damaged"):
        list_images(str(data))


def test_members_with_backslashes_are_named_with_slashes(tmp_path: Path) -> None:
    members = {"images\\1.png": make_png(1), "images\\2.png": make_png(2)}
    members["metadata.csv"] = b"file_name,label\nimages/1.png,a\nimages\\2.png,b\n"
    listing = list_images(str(write_zip(tmp_path / "set.zip", members)))
    assert [listing.read(path) for path in listing.paths] == [make_png(1), make_png(2)]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["1.png", "labels.csv"])
def test_a_member_that_is_there_twice_is_told_beside_a_table(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    data = write_zip(tmp_path / "set.zip", {"1.png": make_png(1), "labels.csv": b"path,label\n1.png,a\n"})
    with zipfile.ZipFile(data, "a") as file:
        file.writestr(name, b"path,label\n1.png,evil\n")
    listing = list_images(str(data))
    assert [listing.labels, listing.read(listing.paths[0])] == [["a"], make_png(1)]
    assert f"set.zip': passed over: 1 member with the name of another one ({name})" in caplog.text
