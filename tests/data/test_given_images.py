"""Images in memory go the way of files, pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx.data.given_images import list_given_images, write_ppm
from featx.errors import DataError
from featx.images.decode import decode
from tests.conftest import picture
from tests.data.sources.archives.making import make_photos, make_png, write_tar, write_zip


def test_an_array_is_decoded_to_the_same_pixels() -> None:
    array = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(decode(write_ppm(array))), array)
    assert np.array_equal(np.asarray(decode(write_ppm(array[:, ::-1]))), array[:, ::-1])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "CMYK", "I;16", "F"])
def test_a_picture_of_any_mode_has_the_pixels_of_its_file(mode: str, tmp_path: Path) -> None:
    made = picture(3, 0)
    if mode in ("I;16", "F"):
        grey = np.asarray(made.convert("L"))
        made = Image.fromarray(grey.astype(np.uint16) * 200 if mode == "I;16" else grey.astype(np.float32) / 255)
    else:
        made = made.convert(mode)
    made.save(tmp_path / "picture.tif")
    from_file = decode((tmp_path / "picture.tif").read_bytes())
    assert np.array_equal(np.asarray(decode(write_ppm(made))), np.asarray(from_file))


def test_a_picture_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turned by 90 degrees
    picture(1, 0, (48, 40)).save(tmp_path / "side.png", exif=exif)
    with Image.open(tmp_path / "side.png") as opened:
        upright = decode(write_ppm(opened))
    assert upright.size == (40, 48)
    assert np.array_equal(np.asarray(upright), np.asarray(decode((tmp_path / "side.png").read_bytes())))


def test_folders_are_searched_and_every_file_is_listed_once(photos: Path) -> None:
    (photos / "red" / "Thumbs.db").write_bytes(b"system")
    listing = list_given_images([photos / "red" / "03.png", str(photos / "red")])
    assert len(listing) == 12
    assert listing.paths[0] == str(photos / "red" / "03.png")


def test_a_picture_that_cannot_be_read_is_an_error_of_its_own(tmp_path: Path) -> None:
    picture(1, 0).save(tmp_path / "whole.png")
    (tmp_path / "torn.png").write_bytes((tmp_path / "whole.png").read_bytes()[:200])
    with Image.open(tmp_path / "torn.png") as torn:
        listing = list_given_images([torn, np.zeros((2, 2, 3), np.uint8)])
        with pytest.raises(OSError, match="truncated"):
            listing.read("image 0")
        assert listing.read("image 1").startswith(b"P6 2 2 255")


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((2, 2, 3)), r"image 1 is an array of shape \(2, 2, 3\) and dtype float64"),
        (np.zeros((2, 2, 4), np.uint8), r"image 1 is an array of shape \(2, 2, 4\) and dtype uint8"),
        (7, "image 1 is of type int"),
    ],
)
def test_what_is_not_an_image_is_an_error_that_says_what_it_is(image: object, said: str) -> None:
    with pytest.raises(DataError, match=f"^{said}: give paths, PIL images or uint8 arrays"):
        list_given_images(["a.png", image])


def test_no_images_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there are no images in '.*'"):
        list_given_images([tmp_path])
    with pytest.raises(DataError, match="there are no images in an empty list"):
        list_given_images([])


def test_archives_stand_for_the_pictures_in_them_beside_files_and_pictures(tmp_path: Path) -> None:
    zipped = write_zip(tmp_path / "a.zip", make_photos("red", 2))
    shard = write_tar(tmp_path / "b.tar", {"1.png": make_png(8), "2.png": make_png(9), "2.cls": b"seen"})
    file = tmp_path / "c.png"
    file.write_bytes(make_png(10))
    listing = list_given_images([str(zipped), str(file), str(shard)])
    names = ["a.zip/red/00.png", "a.zip/red/01.png", "c.png", "b.tar/1.png", "b.tar/2.png"]
    assert listing.paths == [f"{tmp_path}/{name}" for name in names]
    expected = [*make_photos("red", 2).values(), make_png(10), make_png(8), make_png(9)]
    assert [listing.read(path) for path in listing.paths] == expected
    assert (listing.files.read_stamps(listing.paths)[:, 0] == [len(data) for data in expected]).all()
    assert listing.files.are_stored
    with_picture = list_given_images([str(zipped), Image.new("RGB", (3, 3))])
    assert not with_picture.files.are_stored
    assert with_picture.read(with_picture.paths[0]) == expected[0]
    (tmp_path / "d.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match="'.*d.zip' is not a whole zip file"):
        list_given_images([str(tmp_path / "d.zip")])
