from __future__ import annotations

from pathlib import Path

import pytest

from featx.data.exclusion import leave_out
from featx.data.sources import list_images
from featx.errors import DataError


def test_paths_are_left_out_however_they_are_spelled(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listing = list_images(str(photos))
    listed = tmp_path / "drop.txt"
    listed.write_text(f"# a reason\n{photos}/red/00.png\nphotos/red/../red/01.png\n./photos/blue/03.png\n\ngone.png\n")
    kept = leave_out(listing, listed)
    assert set(listing.paths) - set(kept.paths) == {
        str(photos / name) for name in ("red/00.png", "red/01.png", "blue/03.png")
    }
    assert leave_out(listing, None) is listing


def test_a_table_of_paths_counts_from_its_own_folder(photos: Path) -> None:
    (photos / "drop.csv").write_text("path,why\nred/00.png,blurred\n")
    assert len(leave_out(list_images(str(photos)), photos / "drop.csv")) == 35


def test_a_list_that_cannot_be_meant_is_one_clear_line(photos: Path, tmp_path: Path) -> None:
    listing = list_images(str(photos))
    listed = tmp_path / "drop.txt"
    with pytest.raises(DataError, match=r"drop.txt' cannot be read: No such file"):
        leave_out(listing, listed)
    listed.write_text("elsewhere/1.png\nelsewhere/2.png\n")
    with pytest.raises(DataError, match=r"not one of its 2 paths, such as 'elsewhere/1.png', is an image of"):
        leave_out(listing, listed)
    listed.write_text("\n".join(listing.paths))
    with pytest.raises(DataError, match=r"lists every image of .*none is left"):
        leave_out(listing, listed)
    listed.write_text("# nothing\n")
    assert len(leave_out(listing, listed)) == 36


def test_names_of_built_in_pictures_stay_as_they_are(tmp_path: Path) -> None:
    listing = list_images("digits")
    (tmp_path / "drop").write_text(listing.paths[7])
    assert len(leave_out(listing, tmp_path / "drop")) == len(listing) - 1
