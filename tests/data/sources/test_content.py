from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from featx.data.sources.content import is_picture
from featx.data.sources.folder import list_folder

SIDECARS = ("json", "txt", "xml", "csv", "md", "npy", "pdf", "svg", "html", "yaml", "mp4", "")


@pytest.mark.parametrize("suffix", SIDECARS)
def test_what_is_no_picture_by_suffix_and_content_is_passed_over(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "a").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "a" / "1.png")
    (tmp_path / "a" / f"1.{suffix}".rstrip(".")).write_bytes(b"BM and P6 are no pictures\n")
    listing = list_folder(str(tmp_path))
    assert [Path(path).name for path in listing.paths] == ["1.png"]
    name = f".{suffix}" if suffix else "no suffix"
    assert listing.notes == (f"passed over: 1 file that is not a picture ({name} 1)",)
    assert len(list_folder(str(tmp_path), strict=True)) == 2


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "ICO", "JPEG2000", "SGI", "AVIF"])
def test_pictures_are_known_by_their_content_whatever_their_suffix(tmp_path: Path, form: str) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (32, 32)).save(picture, form)
    for name in ("photo.txt", "photo", "photo.jpg_original"):
        (tmp_path / name).write_bytes(picture.getvalue())
        assert is_picture(str(tmp_path / name))


@pytest.mark.parametrize("name", ["html_saved_as.jpg", "empty.png", "scan.HEIC", "slice.dcm"])
def test_a_broken_picture_stays_in_the_data_set_to_be_named_with_its_reason(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert is_picture(str(tmp_path / name))


def test_bytes_that_say_nothing_under_a_name_without_suffix_stay_too(tmp_path: Path) -> None:
    (tmp_path / "IM0001").write_bytes(b"\0" * 200)
    assert is_picture(str(tmp_path / "IM0001"))


def test_many_kinds_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "a" / "1.png")
    for number in range(14):
        (tmp_path / "a" / f"{number}.{'json' if number < 12 else 'txt'}").write_text("{}")
    assert list_folder(str(tmp_path)).notes == ("passed over: 14 files that are not pictures (.json 12, .txt 2)",)
