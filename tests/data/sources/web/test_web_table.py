"""Tables at addresses of the web as data sets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from featx.data.given_images import list_given_images
from featx.data.groups import list_relative_paths
from featx.data.sources import check_data, list_images
from featx.errors import DataError
from featx.runners.shard import relative_paths
from tests.data.sources.archives.making import make_photos, make_png, write_folder
from tests.data.sources.web.server import WebServer, answer_status, answer_with_length, answer_without_length
from tests.data.sources.web.test_web_files import server

__all__ = ["server"]

NAMES = [*make_photos(), "odd/%20 ü+&=?# x.png"]
"""Files beside the tables."""

CSV = "\n".join(["path,label", *(f'"{name}",{name[:3]}' for name in NAMES)])
JSONL = "\n".join(f'{{"path": "{name}", "label": "{name[:3]}"}}' for name in NAMES)


def make_files() -> dict[str, bytes]:
    return {**make_photos(), NAMES[-1]: make_png(9), "rows.csv": CSV.encode(), "rows.jsonl": JSONL.encode()}


def serve(server: WebServer) -> None:
    for name, data in make_files().items():
        server.files[f"/some/{name}".replace(NAMES[-1], "odd/%2520%20%C3%BC+&=%3F%23%20x.png")] = data
    for name in ("rows.csv", "rows.jsonl"):
        server.files[f"/some/{name}?token=a/b"] = server.files[f"/some/{name}"]


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.csv?token=a/b", "rows.jsonl?token=a/b"])
def test_a_table_at_an_address_is_read_as_one_on_disk(server: WebServer, tmp_path: Path, name: str) -> None:
    serve(server)
    on_disk = list_images(str(write_folder(tmp_path / "some", make_files()) / name.partition("?")[0]))
    data = f"{server.url}/some/{name}"
    check_data(data)
    listing = list_images(data)
    assert [*listing.labels] == [*on_disk.labels]
    assert [listing.read(path) for path in listing.paths] == [on_disk.read(path) for path in on_disk.paths]
    assert relative_paths(listing)[:-1] == relative_paths(on_disk)[:-1]
    assert list_relative_paths(listing)[:-1] == list_relative_paths(on_disk)[:-1]
    given = list_given_images([data])
    assert [given.read(path) for path in given.paths] == [on_disk.read(path) for path in on_disk.paths]


def test_rows_of_such_a_table_may_name_other_hosts_and_no_file_of_this_machine(
    server: WebServer, tmp_path: Path
) -> None:
    write_folder(tmp_path, {"secret.png": make_png(8)})
    other = WebServer()
    other.files["/1.png"] = make_png(1)
    rows = [f"{other.url}/1.png", f"{tmp_path}/secret.png", f"file://{tmp_path}/secret.png", "~/secret.png"]
    server.files["/rows.csv"] = "\n".join(["path,label", *(f"{row},x" for row in rows)]).encode()
    listing = list_images(f"{server.url}/rows.csv")
    assert listing.read(listing.paths[0]) == make_png(1)
    for path in listing.paths[1:]:
        with pytest.raises(OSError, match="the server has nothing there"):
            listing.read(path)
    other.close()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "' is not the address of a table, and a web server does not list what lies in a folder. DATA may be "),
        ("/folder/", "/folder/' is not the address of a table, and a web server does not list"),
        ("/photos.zip", "/photos.zip' is not read over the network: copy it to this machine"),
        ("/a/000.tar?x=TOKEN", "/a/000.tar' is not read over the network: copy it to this machine"),
        ("/train.parquet", "/train.parquet' is not read over the network: copy it to this machine"),
        ("/1.jpg", "/1.jpg' is a single picture: name it in a table, or to `featx predict`"),
        ("/gone.csv?x=TOKEN", "/gone.csv' cannot be read: the server has nothing there (404 Not Found)"),
        ("/refused.csv", "/refused.csv' cannot be read: the server refuses access (403 Forbidden)"),
        ("/huge.csv", "/huge.csv': 1024 GiB are more than the 256 MiB that are read of a table"),
        ("/endless.csv", "/endless.csv' cannot be read: the server does not say how long its answer is"),
        ("/latin.csv", "/latin.csv', line 2: byte 0xff is not UTF-8"),
        ("/page.csv", "/page.csv': "),
        ("/bad.csv", "/bad.csv': none of its 2 files can be read. The first is "),
    ],
)
def test_what_is_not_there_or_not_read_is_one_clear_line(server: WebServer, path: str, said: str) -> None:
    server.answers["/refused.csv"] = answer_status(403)
    server.answers["/huge.csv"] = answer_with_length(2**40)
    server.answers["/endless.csv"] = answer_without_length(bytes(2**16), 2**20)
    server.files |= {"/latin.csv": b"path,label\n\xff,a\n", "/bad.csv": b"path,label\n1.png,a\n2.png,b\n"}
    server.files["/page.csv"] = b"<!doctype html>\n<html><body>Please log in</body></html>\n"
    for list_one in (list_images, lambda data: list_given_images([data])):
        if list_one is not list_images and path in ("", "/1.jpg", "/bad.csv"):
            # Pictures to be labelled may be named one by one, and what is wrong with one is said when it is read.
            continue
        with pytest.raises(DataError, match=re.escape(said)) as caught:
            list_one(f"{server.url}{path}")
        assert "TOKEN" not in str(caught.value)
        assert "\n" not in str(caught.value)
