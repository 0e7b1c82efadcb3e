from __future__ import annotations

from pathlib import Path

import pytest

from featx.store.paths import SIDE_FOLDERS, list_base_folders, list_entries, list_key_folders, list_parts
from tests.store.samples import BASE, KEY, OTHER, fill


def test_key_folders_are_listed_of_all_bases_or_of_one(cache: Path) -> None:
    fill(cache, parts=1)
    fill(cache, parts=1, key=OTHER)
    folders = [cache / KEY.folder, cache / OTHER.folder]
    assert list_key_folders(cache) == folders
    assert list_key_folders(cache, BASE.folder) == folders
    assert list_key_folders(cache, "resnet50-0123456789ab") == []


@pytest.mark.parametrize("name", [*sorted(SIDE_FOLDERS), ".hidden"])
def test_folders_of_something_else_are_not_bases(cache: Path, name: str) -> None:
    fill(cache, parts=1)
    (cache / name / "layer" / "avg").mkdir(parents=True)
    assert list_base_folders(cache) == [cache / BASE.folder]


def test_only_names_of_parts_are_parts(tmp_path: Path) -> None:
    for name in ("part-0123456789abcdef.h5", "part-0123456789ABCDEF.h5", "part-1.h5", ".tmp-featx-x", "note.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_parts(tmp_path)] == ["part-0123456789abcdef.h5"]


def test_a_folder_that_does_not_exist_or_is_a_file_has_no_entries(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert list_entries(tmp_path / "nowhere") == []
    assert list_entries(tmp_path / "file") == []
