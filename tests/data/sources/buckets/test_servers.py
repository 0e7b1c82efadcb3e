"""Images on servers that speak the protocols of Amazon, Azure and Google are those of files on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from featx.data.digest_cache import digest_all
from featx.data.sources import list_images
from tests.data.sources.archives.making import make_photos, make_png, write_folder
from tests.data.sources.archives.test_zip_file import summarize
from tests.data.sources.buckets.test_buckets import put, write_shards
from tests.storage.conftest import az, azure_server, gs, s3, s3_server

__all__ = ["az", "azure_server", "gs", "s3", "s3_server"]

SERVERS = ("s3", "az", "gs")
"""Fixtures of servers on this machine."""


@pytest.mark.parametrize("kind", SERVERS)
def test_a_folder_on_a_server_is_read_as_one_on_disk(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = request.getfixturevalue(kind)
    made = {f"%20 {name}": data for name, data in make_photos("ü+&=?# red", 3).items()}
    on_disk = list_images(str(write_folder(tmp_path / "photos", made)))
    listing = list_images(put(url, made))
    assert summarize(listing) == summarize(on_disk)
    put(url, {"%20 red/00.png": make_png(99)})
    with pytest.raises(OSError, match="was changed after it was listed"):
        listing.read(f"{url}/%20 red/00.png")


@pytest.mark.parametrize("kind", SERVERS)
def test_shards_and_tables_on_a_server_are_read(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = request.getfixturevalue(kind)
    put(url, {f"shards/{name}": data for name, data in write_shards(tmp_path / "shards").items()})
    put(url, {"1.png": make_png(1), "a.csv": f"path,label\n1.png,a\n{url}/1.png,b\n".encode()})
    on_disk = digest_all(tmp_path / "cache", list_images(str(tmp_path / "shards")))
    on_server = digest_all(tmp_path / "cache", list_images(f"{url}/shards"))
    assert np.array_equal(on_server.digests, on_disk.digests)
    table = list_images(f"{url}/a.csv")
    assert [table.read(path) for path in table.paths] == [make_png(1), make_png(1)]
