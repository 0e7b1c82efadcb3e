"""Ctrl-C while images are read from a bucket."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from featx.data.digest_cache import digest_all
from featx.data.listing import Listing
from featx.data.loader import Loader
from featx.data.sources import list_images
from featx.storage.interface import storage_of
from featx.storage.paths import ObjectPath, parse_cache
from featx.storage.reading import find_objects
from featx.store.part import measure_header
from featx.store.paths import list_parts
from featx.store.store import FeatureStore
from featx.timing import Clock
from tests.data.sources.archives.making import make_photos
from tests.data.sources.buckets.test_buckets import put
from tests.storage.conftest import forget_clients, s3, s3_server
from tests.store.samples import KEY, features_of, fill

__all__ = ["s3", "s3_server"]


def hash_images(listing: Listing, cache: Path) -> None:
    digest_all(cache, listing)


def load_images(listing: Listing, cache: Path) -> None:
    loader = Loader(listing, lambda digest, row: True, lambda picture, digest: {0: np.asarray(picture)}, 2, Clock())
    list(loader.decoded(range(len(listing))))


@pytest.fixture
def heeded() -> Iterator[None]:
    """Heed SIGINT, which a shell has those ignore that it starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def ended_by_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a server that never answers while the block runs, and press Ctrl-C: the block must end soon."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        forget_clients()
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            yield
        # An answer is waited for 30 seconds, and asked for more than once.
        assert time.monotonic() - started < 10


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("read", [hash_images, load_images])
def test_ctrl_c_waits_for_no_image_of_a_server_that_hangs(
    s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, read: Callable[[Listing, Path], None]
) -> None:
    listing = list_images(put(s3, make_photos(count=20)))
    with ended_by_ctrl_c(monkeypatch):
        read(listing, tmp_path / "cache")


@pytest.mark.usefixtures("heeded")
def test_ctrl_c_waits_for_no_object_that_is_looked_up(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ended_by_ctrl_c(monkeypatch):
        find_objects([ObjectPath(s3.removesuffix("/some/folder"), f"{number}.png") for number in range(40)])


@pytest.mark.usefixtures("heeded")
def test_ctrl_c_waits_for_no_header_of_a_cache_and_loses_nothing(
    s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store, rows = fill(parse_cache(s3), parts=40)
    listed = list_parts(store.folder(KEY))
    monkeypatch.setenv("FEATX_LOCAL_CACHE", str(tmp_path / "others"))
    with ended_by_ctrl_c(monkeypatch):
        storage_of(parse_cache(s3)).fetch_heads(listed, measure_header)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    forget_clients()
    again = FeatureStore(parse_cache(s3))
    assert not again.missing(KEY, rows).any()
    assert np.array_equal(again.get(KEY, rows), features_of(rows))
