"""Pictures at addresses of the web: the same rows as those of folders, and what is wrong with one is one clear line."""

from __future__ import annotations

import json
import pickle
import re
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx.data.digest_cache import digest_all
from featx.data.given_images import list_given_images
from featx.data.listing import Listing
from featx.data.sources import list_images
from featx.data.sources.buckets.bucket_files import BucketLost
from featx.errors import DataError, FeatxError
from featx.images.picture_digest import digest_picture
from featx.log import NOTE
from featx.storage.addresses import join_address, parse_address, split_for_client
from featx.storage.web import make_web_client
from tests.data.sources.archives.making import make_photos, make_png, write_folder, write_zip
from tests.data.sources.archives.test_zip_file import later
from tests.data.sources.web.server import (
    WebServer,
    answer_status,
    answer_with_length,
    answer_without_length,
    cut,
    send,
)
from tests.storage.proxy import Proxy

PNG = make_png(1)


@pytest.fixture(autouse=True)
def notes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(NOTE, "featx")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    pytest.importorskip("obstore", reason="obstore is not installed: no address of the web can be read")
    monkeypatch.setattr("featx.storage.web.PAUSE", 0.01)
    make_web_client.cache_clear()
    server = WebServer()
    yield server
    server.close()


def write_table(file: Path, paths: list[str]) -> str:
    """A table whose labels are `red`, `green`, `red`, ..."""
    rows = [f'"{path}",{("red", "green")[number % 2]}' for number, path in enumerate(paths)]
    file.write_text("\n".join(["path,label", *rows]))
    return str(file)


def read_row(listing: Listing, row: int) -> str:
    """Why a picture cannot be read; "" if it can."""
    try:
        data = listing.read(listing.paths[row])
    except OSError as error:
        return error.strerror or str(error)
    assert data == PNG
    return ""


ADDRESSES = {
    "/a.png": "/a.png",
    "/a.png?size=1": "/a.png?size=1",
    "/a.png?b=%2Fx&c=1+2#part": "/a.png?b=%2Fx&c=1+2",
    "/a%20b.png": "/a%20b.png",
    "/a b.png": "/a%20b.png",
    "/é.png": "/%C3%A9.png",
    "/%C3%A9.png": "/%C3%A9.png",
    "/%E9.png": "/%E9.png",
    "/a%2Fb%2B%5B.png": "/a%2Fb%2B%5B.png",
    "/a+b&c=d;~[x](y)'!$,:@.png": "/a+b&c=d;~[x](y)'!$,:@.png",
    "/50%25.png": "/50%25.png",
    "/50%.png": "/50%.png",
    "/a%23b%3F.png": "/a%23b%3F.png",
    "/a//b.png": "/a//b.png",
    "/c/.././d/../a.png": "/a.png",
    "/folder/": "/folder/",
    "/": "/",
}
"""What follows the host in an address, and what the server is asked for."""


@pytest.mark.parametrize("written", ADDRESSES)
def test_an_address_is_asked_for_as_it_is_written(server: WebServer, tmp_path: Path, written: str) -> None:
    asked_for = ADDRESSES[written]
    server.files[asked_for] = PNG
    listing = list_images(write_table(tmp_path / "a.csv", [f"{server.url}{written}"]))
    assert read_row(listing, 0) == ""
    assert server.take_asked() == [f"GET {asked_for}", f"HEAD {asked_for}"]
    assert listing.paths == [f"{server.url}{written}"]


@pytest.mark.parametrize("start", ["http:/", "HTTP://"])
def test_slashes_and_letters_of_the_scheme_do_not_matter(server: WebServer, tmp_path: Path, start: str) -> None:
    server.files["/a.png"] = PNG
    url = server.url.replace("http://", start)
    assert read_row(list_images(write_table(tmp_path / "a.csv", [f"{url}/a.png"])), 0) == ""


def test_a_host_has_one_client_and_one_for_each_query(server: WebServer, tmp_path: Path) -> None:
    names = [f"/{number}.png" for number in range(10)] + [f"/{number}.png?size=1" for number in range(10)]
    server.files |= dict.fromkeys(names, PNG)
    listing = list_images(write_table(tmp_path / "a.csv", [f"{server.url}{name}" for name in names]))
    assert [read_row(listing, row) for row in range(20)] == [""] * 20
    assert make_web_client.cache_info().currsize == 2


def fail_head(request: BaseHTTPRequestHandler) -> None:
    """Know of no HEAD."""
    send(request, 405 if request.command == "HEAD" else 200, PNG)


def state_no_length(request: BaseHTTPRequestHandler) -> None:
    """Answer HEAD as if there were no body."""
    send(request, 200, b"" if request.command == "HEAD" else PNG)


def grow(request: BaseHTTPRequestHandler) -> None:
    """Promise a small picture, and send a large one."""
    if request.command == "HEAD":
        send(request, 200, PNG)
    else:
        answer_with_length(2**40)(request)


WRONG: dict[str, tuple[Callable[[BaseHTTPRequestHandler], None], str]] = {
    "/404": (answer_status(404), "the server has nothing there (404 Not Found)"),
    "/410": (answer_status(410), "the server has nothing there (410 Gone)"),
    "/401": (answer_status(401), "the server refuses access (401 Unauthorized)"),
    "/403": (answer_status(403), "the server refuses access (403 Forbidden)"),
    "/500": (answer_status(500), "the server answers '500 Internal Server Error'"),
    "/429": (answer_status(429), "the server answers '429 Too Many Requests'"),
    "/moved": (answer_status(302, Location="/good.png"), ""),
    "/moved-away": (answer_status(301, Location="/404"), "the server has nothing there (404 Not Found)"),
    "/loop": (answer_status(302, Location="/loop"), "the server sends from one address to the next without end"),
    "/nowhere": (answer_status(302), "the server sends to another address and does not say to which"),
    "/scheme": (answer_status(302, Location="ftp://h/x"), "the server sends to an address that is not https://"),
    "/endless": (answer_without_length(bytes(2**16), 2**20), "the server does not say how long its answer is"),
    "/huge": (answer_with_length(2**40, PNG), "1024 GiB are more than the 256 MiB that are read of one image"),
    "/cut": (answer_with_length(10**6, PNG), "the connection was cut"),
    "/reset": (cut, "the connection was cut"),
    "/no-head": (fail_head, ""),
    "/empty-head": (state_no_length, ""),
    "/grows": (grow, "it was changed after the server was asked for its length: run the command again"),
}
"""Addresses, how a server answers them, and what is said of them; nothing where they are read."""


@pytest.mark.parametrize("path", WRONG)
def test_what_is_wrong_with_a_picture_is_one_clear_line_and_costs_no_other(
    server: WebServer, tmp_path: Path, path: str
) -> None:
    answer, reason = WRONG[path]
    server.answers[path] = answer
    server.files["/good.png"] = PNG
    table = write_table(tmp_path / "a.csv", [f"{server.url}{path}", f"{server.url}/good.png"])
    for listing in (list_images(table), list_given_images([table]), list_given_images([f"{server.url}{path}"])):
        assert read_row(listing, 0) == reason
    digested = digest_all(tmp_path / "cache", list_images(table))
    assert [image.reason for image in digested.unreadable] == ([reason] if reason else [])


def test_what_a_bad_connection_costs_is_named_and_read_by_the_next_run(server: WebServer, tmp_path: Path) -> None:
    proxy = Proxy(server.url, ("none", "slow", "cut answer", "cut request", "no answer", "error"), seed=3)
    photos = make_photos(count=15)
    server.files |= {f"/{name}": data for name, data in photos.items()}
    write_folder(tmp_path, {"here.png": PNG})
    table = write_table(tmp_path / "a.csv", ["here.png", *(f"{proxy.url}/{name}" for name in photos)])
    expected = {f"{proxy.url}/{name}": digest_picture(data) for name, data in photos.items()}
    missing = {*expected}
    for _ in range(20):
        digested = digest_all(tmp_path / "cache", list_images(table), now=later)
        read = dict(zip(digested.listing.paths, map(bytes, digested.digests), strict=True))
        assert len(read) + len(digested.unreadable) == 1 + len(photos)
        assert all(expected[path] == digest for path, digest in read.items() if path in expected)
        assert all("\n" not in image.reason for image in digested.unreadable)
        missing -= {*read}
        if not missing:
            break
    assert not missing
    assert sum(proxy.counts.values()) > proxy.counts["none"]
    proxy.kill()


def test_a_slow_answer_is_waited_for_so_long_and_no_longer(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def hang(request: BaseHTTPRequestHandler) -> None:
        send(request, 200, PNG) if request.command == "HEAD" else ended.wait()

    monkeypatch.setattr("featx.storage.web.WEB_CLIENT", {"read_timeout": "300ms", "timeout": "20s"})
    server.answers["/slow.png"] = hang
    listing = list_images(write_table(tmp_path / "a.csv", [f"{server.url}/slow.png"]))
    assert read_row(listing, 0) == f"'{server.url}' cannot be reached: it does not answer in time"
    ended.set()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1/a.png", "'http://127.0.0.1:1' cannot be reached: it refuses connections"),
        ("http://no-such-host.invalid/a.png", "'http://no-such-host.invalid' cannot be reached"),
        ("https://[::1/a.png", "it is not an address as in https://HOST/PATH"),
        ("https://host:99999/a.png", "it is not an address as in https://HOST/PATH"),
        ("https://", "it is not an address as in https://HOST/PATH"),
        ("https://a b/c.png", "it is not an address as in https://HOST/PATH"),
    ],
)
def test_an_address_that_leads_nowhere_costs_no_other_row(tmp_path: Path, url: str, reason: str) -> None:
    write_folder(tmp_path, {"here.png": PNG})
    listing = list_images(write_table(tmp_path / "a.csv", [url, "here.png"]))
    assert read_row(listing, 0).startswith(reason)
    assert read_row(listing, 1) == ""
    with pytest.raises(DataError, match=re.escape(f"the only file that it names cannot be read. The first is '{url}'")):
        list_images(write_table(tmp_path / "b.csv", [url]))


def serve_photos(server: WebServer, tmp_path: Path) -> tuple[str, list[str]]:
    """Serve eight photos: a table of their addresses, and what they are asked for."""
    server.files |= {f"/{name}": data for name, data in make_photos().items()}
    return write_table(tmp_path / "a.csv", [f"{server.url}{path}" for path in server.files]), [*server.files]


@pytest.mark.parametrize("tells", ["tag", "date", "nothing"])
def test_digests_are_those_of_files_and_are_remembered_where_a_change_would_show(
    server: WebServer, tmp_path: Path, tells: str
) -> None:
    server.has_tags = tells == "tag"
    server.dates = "Wed, 21 Oct 2015 07:28:00 GMT" if tells == "date" else ""
    table, paths = serve_photos(server, tmp_path)
    folder = digest_all(tmp_path / "cache", list_images(str(write_folder(tmp_path / "photos", make_photos()))))
    heads = sorted(f"HEAD {path}" for path in paths)
    gets = sorted(f"GET {path}" for path in paths)
    first = digest_all(tmp_path / "cache", list_images(table), now=later)
    assert {*map(bytes, first.digests)} == {*map(bytes, folder.digests)}
    assert server.take_asked() == gets + heads
    digest_all(tmp_path / "cache", list_images(table), now=later)
    assert server.take_asked() == (gets + heads if tells == "nothing" else heads)
    server.files["/red/00.png"] = make_png(50)
    if tells == "date":
        server.dates = "Wed, 21 Oct 2015 07:28:01 GMT"
    changed = digest_all(tmp_path / "cache", list_images(table), now=later)
    assert np.any(changed.digests != first.digests, axis=1).sum() == 1
    if tells == "tag":
        assert server.take_asked() == ["GET /red/00.png", *heads]


def test_a_picture_that_changes_after_it_was_listed_is_not_read(server: WebServer, tmp_path: Path) -> None:
    table, _ = serve_photos(server, tmp_path)
    listing = list_images(table)
    server.files["/red/00.png"] = make_png(50)
    assert "it was changed after" in read_row(listing, 0)


def test_what_finds_a_picture_is_small_and_read_elsewhere(server: WebServer, tmp_path: Path) -> None:
    table, _ = serve_photos(server, tmp_path)
    listing = list_images(table)
    assert listing.files.are_far
    pickled = pickle.dumps(listing.files.find(listing.paths[3]))
    assert len(pickled) < 500
    assert pickle.loads(pickled).read() == listing.read(listing.paths[3])


def test_a_table_may_name_files_and_addresses_and_a_note_says_whose(
    server: WebServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.files["/a.png?x=SECRET"] = make_png(7)
    write_folder(tmp_path, {"here.png": make_png(5)})
    lines = [{"file_name": path, "label": "x"} for path in ("here.png", f"{server.url}/a.png?x=SECRET")]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    listing = list_images(str(tmp_path / "metadata.jsonl"))
    assert [listing.read(path) for path in listing.paths] == [make_png(5), make_png(7)]
    assert f"metadata.jsonl': images lie in '{server.url}'" in caplog.text
    assert "SECRET" not in caplog.text


def test_only_a_table_that_was_named_leads_to_an_address(
    server: WebServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    members = {"here.png": PNG, "metadata.csv": f"path,label\nhere.png,x\n{server.url}/1.png,y\n".encode()}
    folder = write_folder(tmp_path / "photos", members)
    for data in (folder, write_zip(tmp_path / "photos.zip", members)):
        caplog.clear()
        digested = digest_all(tmp_path / "cache", list_images(str(data)))
        assert [list(digested.listing.labels), len(digested.unreadable)] == [["x"], 1]
        assert "1 row that names an address of the web: not read" in caplog.text
    assert server.take_asked() == []


@pytest.mark.parametrize("url", ["https://me:SECRET@host.invalid/a.png", "HTTP:/SECRET@host.invalid/a.png"])
def test_an_address_with_a_user_is_refused_and_stands_nowhere(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    table = write_table(tmp_path / "a.csv", ["here.png", url])
    write_folder(tmp_path, {"here.png": PNG})
    tries: list[Callable[[], Any]] = [
        lambda: list_images(table),
        lambda: list_given_images([table]),
        lambda: list_given_images([url]),
        lambda: list_images(url),
        lambda: list_images(url.replace(".png", ".csv")),
    ]
    for list_one in tries:
        with pytest.raises(DataError, match="an address (names a user|with the name of a user)") as caught:
            list_one()
        assert "SECRET" not in str(caught.value)
    assert "SECRET" not in caplog.text
    # Such a name is part of a path.
    assert parse_address("https://host/@me/a.png") == ("https://host", "/@me/a.png")


def test_without_obstore_one_line_says_what_to_install(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, _ = serve_photos(server, tmp_path)
    listing = list_images(table)
    monkeypatch.setitem(sys.modules, "obstore", None)
    make_web_client.cache_clear()
    said = rf"'{server.url}' is asked by .*, which needs obstore: pip install 'featx\[cloud\]'"
    for data in (table, f"{server.url}/a.csv"):
        with pytest.raises(FeatxError, match=said):
            list_images(data)
    # One node of several: no picture is to be blamed.
    with pytest.raises(BucketLost, match=said):
        digest_all(tmp_path / "cache", listing)


@pytest.mark.parametrize(
    ("folder", "path", "joined"),
    [
        ("https://h", "a.png", "https://h/a.png"),
        ("https://h/x/y", "./b c#1?2%.png", "https://h/x/y/b%20c%231%3F2%25.png"),
        ("https://h/x%20y", "../z/é+.png", "https://h/z/é+.png"),
        ("https://h/x", "../../../a.png", "https://h/a.png"),
        ("https://h/x", "/a//b.png", "https://h/a/b.png"),
        ("https://h/x", "//other/a.png", "https://h/other/a.png"),
        ("https://h/x", r"a\b.png", "https://h/x/a/b.png"),
    ],
)
def test_a_path_counts_from_its_table_and_leads_to_no_other_host(folder: str, path: str, joined: str) -> None:
    assert join_address(folder, path) == joined


def test_no_client_is_made_of_a_picture_unless_its_address_needs_one() -> None:
    for path in ("/a/b.png", "/a%20é%C3%A9%25%23.png"):
        assert split_for_client(parse_address(f"https://h{path}"))[0] == "https://h/"
        assert split_for_client(parse_address(f"https://h{path}?x=1"))[0] == "https://h/?x=1"
