"""Ctrl-C while images are read from a bucket."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from featx.data.digest_cache import digest_all
from featx.data.listing import Listing
from featx.data.loader import Loader
from featx.data.sources import list_images
from featx.timing import Clock
from tests.data.sources.archives.making import make_photos
from tests.data.sources.buckets.test_buckets import put
from tests.storage.conftest import forget_clients, s3, s3_server

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


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("read", [hash_images, load_images])
def test_ctrl_c_waits_for_no_image_of_a_server_that_hangs(
    s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, read: Callable[[Listing, Path], None]
) -> None:
    listing = list_images(put(s3, make_photos(count=20)))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        forget_clients()
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            read(listing, tmp_path / "cache")
        # An answer is waited for 30 seconds, and asked for more than once.
        assert time.monotonic() - started < 10
