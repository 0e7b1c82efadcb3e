"""Images in buckets: the same rows as those of folders and shards on disk, and what is wrong is one clear line."""

from __future__ import annotations

import json
import pickle
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx.data.digest_cache import digest_all
from featx.data.given_images import list_given_images
from featx.data.groups import list_relative_paths
from featx.data.listing import Listing
from featx.data.sources import ColumnChoice, list_images
from featx.data.sources.archives.remembered_index import locate_index
from featx.data.sources.buckets.bucket_files import BucketLost
from featx.errors import DataError
from featx.log import NOTE
from featx.runners.shard import relative_paths
from featx.storage.interface import storage_of
from featx.storage.paths import parse_cache
from tests.data.counted import count_reads
from tests.data.sources.archives.making import make_photos, make_png, make_splits, write_folder, write_tar, write_zip
from tests.data.sources.archives.test_zip_file import later, summarize
from tests.storage.conftest import forget_clients, s3, s3_server
from tests.storage.proxy import Proxy

__all__ = ["s3", "s3_server"]


@pytest.fixture(autouse=True)
def notes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(NOTE, "featx")


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty folder in a bucket in memory."""
    pytest.importorskip("obstore", reason="obstore is not installed: no object store can be reached")
    monkeypatch.setenv("FEATX_LOCAL_CACHE", str(tmp_path / "copies"))
    forget_clients()
    yield f"memory://{uuid.uuid4().hex}/some"
    forget_clients()


def put(url: str, members: Mapping[str, bytes]) -> str:
    """Write objects below a folder; give its URL."""
    folder = parse_cache(url)
    for name, data in members.items():
        file = folder
        for part in name.split("/"):
            file = file / part
        storage_of(file).write_file(file, [data])
    return url


def make_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stamps of just now prove that nothing changes again."""
    monkeypatch.setattr("featx.data.sources.archives.remembered_index.YOUNG_SECONDS", -60.0)


FOLDERS: dict[str, Callable[[], dict[str, bytes]]] = {
    "class folders": make_photos,
    "splits": make_splits,
    "files beside": lambda: {**make_photos(), "notes.txt": b"text", "__MACOSX/._a.png": b"x", "red/Thumbs.db": b"x"},
    "names that need escapes": lambda: make_photos("%20 ü+&=?# x", 2),
    "without classes": lambda: {"1.png": make_png(1), "2.png": make_png(2)},
    "metadata": lambda: {
        **{name.replace("/", "-"): data for name, data in make_photos("red green", 2).items()},
        "metadata.csv": b"file_name,label\nred-00.png,r\ngreen-00.png,g\nred-01.png,r\ngreen-01.png,g\n",
    },
    "labels.csv": lambda: {"images/1.png": make_png(1), "labels.csv": b"path,label\nimages/1.png,a\n"},
}


@pytest.mark.parametrize("members", FOLDERS)
def test_a_folder_in_a_bucket_is_read_as_one_on_disk(
    bucket: str, tmp_path: Path, members: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = FOLDERS[members]()
    on_disk = list_images(str(write_folder(tmp_path / "photos", made)))
    put(bucket, {f"photos/{name}": data for name, data in made.items()} | {"photos2/red/1.png": make_png(9)})
    for url in (f"{bucket}/photos", f"{bucket}/photos/"):
        listing = list_images(url)
        assert summarize(listing) == summarize(on_disk)
        assert relative_paths(listing) == relative_paths(on_disk)
        assert list_relative_paths(listing) == list_relative_paths(on_disk)
    assert "not read, since" not in caplog.text


def test_digests_are_those_of_files_and_are_remembered_until_an_object_changes(bucket: str, tmp_path: Path) -> None:
    folder = digest_all(tmp_path / "cache", list_images(str(write_folder(tmp_path / "photos", make_photos()))))
    put(bucket, make_photos())
    first = digest_all(tmp_path / "cache", list_images(bucket), now=later)
    assert np.array_equal(first.digests, folder.digests)
    put(bucket, {"red/00.png": make_png(50)})
    listing, reads = count_reads(list_images(bucket))
    digest_all(tmp_path / "cache", listing, now=later)
    assert reads == [f"{bucket}/red/00.png"]


def test_what_finds_an_object_is_small_and_read_elsewhere(bucket: str) -> None:
    listing = list_images(put(bucket, make_photos(count=50)))
    pickled = pickle.dumps(listing.files.find(listing.paths[7]))
    assert len(pickled) < 500
    assert pickle.loads(pickled).read() == listing.read(listing.paths[7])


def make_samples(first: int, count: int = 3) -> dict[str, bytes]:
    samples = {}
    for row in range(first, first + count):
        samples[f"{row:03}.png"] = make_png(row)
        samples[f"{row:03}.cls"] = b"ants" if row % 2 else b"bees"
    return samples


def write_shards(folder: Path, prefix: str = "") -> dict[str, bytes]:
    """Two shards on disk: their names and bytes."""
    names = [f"{prefix}{number:02}.tar" for number in range(2)]
    for number, name in enumerate(names):
        write_tar(folder / name, make_samples(10 * number))
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize("named", ["", "/{00..01}.tar", "/00.tar"])
def test_shards_in_a_bucket_are_read_as_those_on_disk(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    make_old(monkeypatch)
    put(bucket, write_shards(tmp_path / "shards"))
    cache = tmp_path / "cache"
    listing = list_images(f"{bucket}{named}", cache)
    assert summarize(listing) == summarize(list_images(f"{tmp_path}/shards{named}"))
    assert pickle.loads(pickle.dumps(listing.files.find(listing.paths[0]))).read() == make_png(0)
    # Another shard of the same size: its index is remembered by the tag of the object, not by its name.
    assert locate_index(cache, f"{bucket}/00.tar").exists()
    write_tar(tmp_path / "shards" / "00.tar", make_samples(30))
    put(bucket, {"00.tar": (tmp_path / "shards" / "00.tar").read_bytes()})
    with pytest.raises(OSError, match="was changed after it was listed"):
        listing.read(listing.paths[0])
    assert summarize(list_images(f"{bucket}{named}", cache)) == summarize(list_images(f"{tmp_path}/shards{named}"))


def test_splits_and_folders_of_shards_are_those_on_disk(bucket: str, tmp_path: Path) -> None:
    put(bucket, {f"a/{name}": data for name, data in write_shards(tmp_path / "a", "train-").items()})
    put(bucket, {f"a/{name}": data for name, data in write_shards(tmp_path / "a", "test-").items()})
    assert summarize(list_images(f"{bucket}/a")) == summarize(list_images(str(tmp_path / "a")))
    packed = write_tar(tmp_path / "b.tar", make_splits())
    put(bucket, {"b.tar": packed.read_bytes()})
    assert summarize(list_images(f"{bucket}/b.tar")) == summarize(list_images(str(packed)))


def test_what_is_readable_of_a_truncated_shard_is_used(
    bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = write_tar(tmp_path / "a.tar", make_samples(0, 20)).read_bytes()
    put(bucket, {"a.tar": data[: len(data) // 2]})
    listing = list_images(f"{bucket}/a.tar")
    assert 5 < len(listing) < 15
    assert "1 shard is damaged, and what is readable is used" in caplog.text


TABLE = "file_name,label\n{}red/00.png,a\n{}green/00.png,b\n{}red/gone.png,a\n"


def read_sound(listing: Listing, cache: Path) -> tuple[list[str], set[str]]:
    """Labels of the images that can be read, and why others cannot."""
    digested = digest_all(cache, listing)
    assert [listing.read(path) for path in digested.listing.paths] == [make_png(0, 0), make_png(100, 1)]
    return list(digested.listing.labels), {image.reason for image in digested.unreadable}


@pytest.mark.parametrize("form", ["beside", "elsewhere", "absolute", "on disk"])
def test_rows_of_tables_name_objects(bucket: str, tmp_path: Path, form: str) -> None:
    put(bucket, {f"photos/{name}": data for name, data in make_photos().items()})
    start = {"beside": "", "elsewhere": "../photos/"}.get(form, f"{bucket}/photos/")
    where = {"beside": "photos/", "elsewhere": "lists/", "absolute": "lists/"}.get(form, "")
    text = TABLE.format(start, start, start)
    data = str(tmp_path / "a.csv")
    if form == "on disk":
        Path(data).write_text(text)
    else:
        data = f"{put(bucket, {f'{where}a.csv': text.encode()})}/{where}a.csv"
    listing = list_images(data)
    no_object = {"there is no such object in the bucket"}
    assert read_sound(listing, tmp_path / "cache") == (["a", "b"], no_object)
    given = list_given_images([data])
    assert [given.read(path) for path in given.paths[:2]] == [make_png(0, 0), make_png(100, 1)]


def test_a_table_on_disk_may_name_files_and_objects(bucket: str, tmp_path: Path) -> None:
    put(bucket, make_photos())
    write_folder(tmp_path, {"here.png": make_png(5)})
    (tmp_path / "a.jsonl").write_text(
        "\n".join(json.dumps({"path": path, "label": "x"}) for path in ("here.png", f"{bucket}/red/00.png"))
    )
    listing = list_images(str(tmp_path / "a.jsonl"))
    assert [listing.read(path) for path in listing.paths] == [make_png(5), make_png(0, 0)]
    assert listing.files.read_stamps(listing.paths)[:, 0].tolist() == [len(make_png(5)), len(make_png(0, 0))]


def test_images_to_be_labelled_may_lie_in_buckets(bucket: str, tmp_path: Path) -> None:
    put(bucket, {f"photos/{name}": data for name, data in make_photos("red", 2).items()})
    put(bucket, {f"shards/{name}": data for name, data in write_shards(tmp_path / "shards").items()})
    (tmp_path / "here.png").write_bytes(make_png(5))
    listing = list_given_images([f"{bucket}/photos", f"{bucket}/shards", tmp_path / "here.png"])
    expected = [make_png(0, 0), make_png(1, 0), *(make_png(row) for row in (0, 1, 2, 10, 11, 12)), make_png(5)]
    assert [listing.read(path) for path in listing.paths] == expected
    named = [f"{bucket}/photos/red/01.png", f"{bucket}/photos/red/gone.png"]
    listing = list_given_images(named)
    assert listing.paths == named
    assert listing.read(named[0]) == make_png(1, 0)
    with pytest.raises(OSError, match="there is no such object in the bucket"):
        listing.read(named[1])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no-such-folder", "no-such-folder' holds no objects: there is no such folder in the bucket"),
        ("a.zip", "a.zip' lies in a bucket, where folders, plain tar shards (.tar) and tables of paths are read"),
        ("a.tar.gz", "a.tar.gz' lies in a bucket"),
        ("train.parquet", "train.parquet' lies in a bucket, where folders, plain tar shards (.tar) and tables"),
        ("{000..002}.parquet", "{000..002}.parquet' lies in a bucket"),
        ("parquet", "parquet' holds no pictures, but '1.parquet', and zip and Parquet files are not read in"),
        ("gone.tar", "gone.tar' does not exist"),
        ("{00..02}.tar", "{00..02}.tar': 1 of its 3 shards does not exist: '"),
        ("gone.csv", "gone.csv' does not exist"),
        ("bad.csv", "bad.csv': none of its 2 files exists. The first is '"),
        ("latin.csv", "latin.csv', line 2: byte 0xff is not UTF-8"),
        ("packed.tar", "packed.tar' is compressed"),
    ],
)
def test_what_is_not_there_or_not_read_is_one_clear_line(bucket: str, tmp_path: Path, name: str, said: str) -> None:
    put(bucket, write_shards(tmp_path / "shards"))
    put(bucket, {"bad.csv": b"path,label\n1.png,a\n2.png,b\n", "latin.csv": b"path,label\n\xff,a\n"})
    put(bucket, {"packed.tar": b"\x1f\x8b" + bytes(600), "a.zip": b"x", "parquet/1.parquet": b"x"})
    with pytest.raises(DataError, match=re.escape(said)):
        list_images(f"{bucket}/{name}")


def test_columns_are_refused_for_folders_without_tables(bucket: str) -> None:
    put(bucket, make_photos())
    with pytest.raises(DataError, match="is not a table: --path-column and --label-column are"):
        list_images(bucket, choice=ColumnChoice(label="kind"))


def test_a_bucket_that_is_not_there_ends_the_run_in_one_clear_line(s3: str, featx: Callable[..., Any]) -> None:
    result = featx("extract", "s3://no-such-bucket/photos", "--base", "tiny", "--layer", "layer1")
    assert result.exit_code == 1
    assert result.error == "there is no bucket 's3://no-such-bucket': make it, or correct its name"


def test_a_bucket_that_goes_away_ends_the_run_and_fails_no_image(
    s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    listing = list_images(put(s3, make_photos()))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    # A machine that gives none.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9/latest")
    forget_clients()
    with pytest.raises(BucketLost, match="there are no credentials for 's3://"):
        digest_all(tmp_path / "cache", listing)


def test_without_obstore_one_line_says_what_to_install(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    forget_clients()
    with pytest.raises(ValueError, match=r"'memory://.*' lies in an object store.*pip install 'featx\[cloud\]'"):
        list_images(bucket)


def test_a_path_in_a_table_leads_to_no_other_bucket(bucket: str, tmp_path: Path) -> None:
    root = bucket.rpartition("/")[0]
    put(root, {"photos/1.png": make_png(1), "other/secret.png": make_png(2)})
    rows = ["../photos/1.png", "../lists/../photos/./1.png", "../../other/secret.png", "../../../other/secret.png"]
    put(root, {"lists/a.csv": "\n".join(["path,label", *(f"{row},x" for row in rows)]).encode()})
    for listing in (list_images(f"{root}/lists/a.csv"), list_given_images([f"{root}/lists/a.csv"])):
        stamps = listing.files.read_stamps(listing.paths)
        assert (stamps[:, 0] > 0).tolist() == [path == f"{root}/photos/1.png" for path in listing.paths]
        assert listing.read(listing.paths[0]) == make_png(1)
        with pytest.raises(OSError, match="there is no such object in the bucket"):
            listing.read(listing.paths[-1])


def test_the_home_folder_of_this_machine_is_not_told_to_a_bucket(bucket: str) -> None:
    put(bucket, {"~/1.png": make_png(1), "a.csv": b"path,label\n~/1.png,x\n"})
    assert list_images(f"{bucket}/a.csv").paths == [f"{bucket}/~/1.png"]


BAD_ROWS = ["s3://", "memory://", "{}/../../other/1.png", "{}/\x1b.png", "{}/gone.png", "file:///etc/hostname"]


@pytest.mark.parametrize("row", BAD_ROWS)
def test_a_row_that_names_no_object_costs_no_other_row(bucket: str, tmp_path: Path, row: str) -> None:
    put(bucket, {"1.png": make_png(1)})
    write_folder(tmp_path, {"here.png": make_png(5)})
    for first in (f"{bucket}/1.png", "here.png"):
        (tmp_path / "a.csv").write_text(f"path,label\n{first},x\n{row.format(bucket)},y\n")
        listing = list_images(str(tmp_path / "a.csv"))
        digested = digest_all(tmp_path / "cache", listing)
        assert [list(digested.listing.labels), len(digested.unreadable)] == [["x"], 1]


def test_few_objects_are_asked_for_and_of_many_the_folder_is_listed(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, make_photos(count=3))
    urls = [f"{bucket}/{name}" for name in make_photos(count=3)] + [f"{bucket}/gone.png"]
    asked = list_given_images(urls)
    with monkeypatch.context() as few:
        few.setattr("featx.data.sources.buckets.bucket_files.search_objects", None)
        assert list_given_images(urls).paths == urls
    monkeypatch.setattr("featx.data.sources.buckets.bucket_files.MOST_ASKED", 2)
    with monkeypatch.context() as many:
        many.setattr("featx.data.sources.buckets.bucket_files.find_objects", None)
        listed = list_given_images(urls)
    assert np.array_equal(asked.files.read_stamps(urls), listed.files.read_stamps(urls))
    assert [asked.read(url) for url in urls[:6]] == [listed.read(url) for url in urls[:6]]


def test_a_folder_of_many_more_objects_than_are_named_is_not_listed_to_its_end(
    s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featx.data.sources.buckets.bucket_files.MOST_ASKED", 2)
    put(s3, {f"{number:04}.png": make_png(0) for number in range(2_100)})
    urls = [f"{s3}/{number}.png" for number in ("0001", "2000", "none", "2099")]
    proxy = Proxy(s3_server, ("none",))
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    forget_clients()
    listing = list_given_images(urls)
    forget_clients()
    proxy.kill()
    assert (listing.files.read_stamps(urls)[:, 0] > 0).tolist() == [True, True, False, True]
    # A list has some 200 bytes for each object: this is the first of three pages.
    assert 150_000 < proxy.answered < 300_000


@pytest.mark.parametrize("data", ["photos", "photos/", "a.csv", "a.tar", "{0..3}.tar"])
def test_a_bucket_that_is_not_there_is_named(s3: str, data: str) -> None:
    with pytest.raises((BucketLost, DataError), match="there is no bucket 's3://no-such-bucket': make it"):
        list_images(f"s3://no-such-bucket/{data}")


@pytest.mark.parametrize("url", ["s3:///", "s3://", "memory://..", "s3://bucket/..", "s3://bucket/../../other"])
def test_a_url_without_a_bucket_is_one_clear_line(url: str) -> None:
    for list_one in (list_images, lambda data: list_given_images([data])):
        with pytest.raises(DataError, match=r"is not a place in a bucket: write it as s3://BUCKET/FOLDER"):
            list_one(url)


def test_only_a_table_that_was_named_leads_to_a_bucket(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(bucket, {"1.png": make_png(1)})
    members = {"here.png": make_png(5), "metadata.csv": f"path,label\nhere.png,x\n{bucket}/1.png,y\n".encode()}
    folder = write_folder(tmp_path / "photos", members)
    packed = write_zip(tmp_path / "photos.zip", members)
    for list_one in (list_images, lambda data: list_given_images([data])):
        caplog.clear()
        listing = list_one(str(folder / "metadata.csv"))
        assert listing.read(listing.paths[1]) == make_png(1)
        assert f"metadata.csv': images lie in '{bucket.rpartition('/')[0]}'" in caplog.text
    monkeypatch.setattr("featx.storage.client.make_client", None)
    monkeypatch.setattr("featx.storage.reading.make_client", None)
    for data in (folder, packed):
        caplog.clear()
        digested = digest_all(tmp_path / "cache", list_images(str(data)))
        assert [list(digested.listing.labels), len(digested.unreadable)] == [["x"], 1]
        assert "1 row that names an object of a bucket: not read" in caplog.text
