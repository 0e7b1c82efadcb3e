from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from featx.data.digest_cache import digest_all, load_digests
from featx.data.listing import Listing
from featx.data.sources import list_images


def counting(listing: Listing) -> tuple[Listing, list[str]]:
    """The same listing, and a list of every path that is read."""
    from dataclasses import replace

    reads: list[str] = []

    def read(path: str) -> bytes:
        reads.append(path)
        return listing.read(path)

    return replace(listing, read=read), reads


def test_digests_are_those_of_the_bytes(photos: Path, cache: Path) -> None:
    digested = digest_all(cache, list_images(str(photos)))
    assert len(digested) == 36
    for path, digest in zip(digested.listing.paths, digested.digests, strict=True):
        assert digest.tobytes() == hashlib.sha256(Path(path).read_bytes()).digest()


def test_a_second_scan_reads_nothing(photos: Path, cache: Path) -> None:
    first = digest_all(cache, list_images(str(photos)))
    listing, reads = counting(list_images(str(photos)))
    second = digest_all(cache, listing)
    assert reads == []
    assert np.array_equal(first.digests, second.digests)


def test_rehash_reads_everything(photos: Path, cache: Path) -> None:
    digest_all(cache, list_images(str(photos)))
    listing, reads = counting(list_images(str(photos)))
    digest_all(cache, listing, rehash=True)
    assert len(reads) == 36


@pytest.mark.parametrize("change", ["contents", "time"])
def test_a_changed_file_is_read_again(photos: Path, cache: Path, change: str) -> None:
    digest_all(cache, list_images(str(photos)))
    changed = photos / "red" / "03.png"
    if change == "contents":
        changed.write_bytes(changed.read_bytes() + b"more")
    else:
        os.utime(changed, ns=(1, 1))
    listing, reads = counting(list_images(str(photos)))
    digest_all(cache, listing)
    assert reads == [str(changed)]


def test_a_damaged_cache_costs_time_but_no_truth(photos: Path, cache: Path) -> None:
    first = digest_all(cache, list_images(str(photos)))
    (file,) = (cache / "scans").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert not load_digests(cache, list_images(str(photos))).known.any()
    assert np.array_equal(digest_all(cache, list_images(str(photos))).digests, first.digests)


def test_a_file_that_vanished_is_named_and_the_rest_kept(photos: Path, cache: Path) -> None:
    listing = list_images(str(photos))
    (photos / "red" / "00.png").unlink()
    digested = digest_all(cache, listing)
    assert len(digested) == 35
    assert [file.reason for file in digested.unreadable] == ["No such file or directory"]
