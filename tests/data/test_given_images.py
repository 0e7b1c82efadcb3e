"""Images in memory go the way of files, pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx.data.given_images import list_given_images, write_ppm
from featx.data.sources.archives.members import Archive
from featx.data.sources.archives.remembered_index import locate_index, make_head
from featx.data.sources.image_files import read_stamp
from featx.errors import DataError, UnknownName
from featx.images.decode import decode
from tests.conftest import picture
from tests.data.sources.archives.making import make_photos, make_png, write_folder, write_tar, write_zip
from tests.data.sources.archives.test_shards import make_old
from tests.data.sources.columnar.saving import save_to_disk


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


def list_bytes(data: object, path_column: str | None = None) -> list[bytes]:
    """The bytes of all pictures that are given, sorted, none of which has a label."""
    listing = list_given_images([data], path_column)
    assert not listing.is_labelled
    return sorted(listing.read(path) for path in listing.paths)


def test_whatever_holds_pictures_gives_those_of_its_folder(tmp_path: Path) -> None:
    photos = {**make_photos(), "loose.png": make_png(77)}
    # Read as a data set, such folders are refused: they may mean two things.
    members = {
        **photos,
        "train/red/1.png": make_png(78),
        "notes.txt": b"text",
        "__MACOSX/._a.png": b"x",
        ".a/b.png": b"y",
    }
    expected = list_bytes(write_folder(tmp_path / "folder", members))
    assert expected == sorted([*photos.values(), make_png(78)])
    assert list_bytes(write_zip(tmp_path / "a.zip", members)) == expected
    assert list_bytes(write_tar(tmp_path / "a.tar", members)) == expected
    half = {f"{number:02}.png": data for number, data in enumerate(expected[:5])}
    labelled = {f"{number:02}.png": data for number, data in enumerate(expected[5:])} | {"00.cls": b"red"}
    write_tar(tmp_path / "shards" / "0.tar", half)
    write_tar(tmp_path / "shards" / "1.tar", dict(sorted(labelled.items())))
    assert list_bytes(tmp_path / "shards") == expected
    assert list_bytes(f"{tmp_path}/shards/{{0..1}}.tar") == expected


@pytest.mark.parametrize("has_labels", [False, True])
def test_tables_that_hold_pictures_need_no_labels(tmp_path: Path, has_labels: bool) -> None:
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    expected = sorted(make_photos().values())
    columns = {"photo": pa.array(expected, pa.binary())}
    if has_labels:
        # Of a split that is not known, which does not matter either.
        columns |= {"label": pa.array([None, *["red"] * 7]), "split": pa.array(["somewhere"] * 8)}
    table = pa.table(columns)
    (tmp_path / "tables").mkdir()
    for name, part in (("a", table.slice(0, 3)), ("b", table.slice(3))):
        parquet.write_table(part, tmp_path / "tables" / f"{name}.parquet")
    assert list_bytes(tmp_path / "tables") == expected
    assert list_bytes(tmp_path / "tables" / "a.parquet", "photo") == expected[:3]
    assert list_bytes(save_to_disk(tmp_path / "saved", table)) == expected
    assert not list_given_images([tmp_path / "tables"]).files.are_shareable
    assert list_given_images([tmp_path / "saved"]).files.are_shareable
    with pytest.raises(UnknownName, match="'a.parquet|image'"):
        list_given_images([tmp_path / "tables" / "a.parquet"], "image")


def test_the_index_of_a_shard_is_remembered_where_the_user_has_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = write_tar(tmp_path / "a.tar", {"1.png": make_png(1)})
    make_old(shard)
    cache = tmp_path / "cache"
    monkeypatch.setenv("FEATX_CACHE", str(cache))
    assert len(list_given_images([shard])) == 1
    assert not cache.exists(), "nobody asked for a cache"
    (cache / "tiny-0123456789ab").mkdir(parents=True)
    (cache / "tiny-0123456789ab" / "base.json").write_text("{}")
    list_given_images([shard])
    remembered = locate_index(cache, str(shard))
    # An index with another name and the right checksum is believed: so headers are not read again.
    body = remembered.read_bytes().partition(b"\n")[2].replace(b"1.png", b"2.png")
    remembered.write_bytes(make_head(Archive(str(shard), read_stamp(str(shard))), body) + b"\n" + body)
    assert list_given_images([shard]).paths == [f"{shard}/2.png"]
    assert list_given_images([shard], cache=tmp_path / "other").paths == [f"{shard}/1.png"]
    monkeypatch.setenv("FEATX_CACHE", "unknown://bucket")
    assert list_given_images([shard]).paths == [f"{shard}/1.png"]
