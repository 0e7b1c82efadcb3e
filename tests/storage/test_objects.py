"""How objects are asked for: whole parts by one request each, headers without the features behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.errors import BrokenPart, StoreError
from featx.storage import client, objects
from featx.storage.interface import storage_of
from featx.storage.objects import ObjectStorage
from featx.storage.paths import CachePath, ObjectPath, parse_cache
from featx.store.part import Part
from featx.store.paths import list_parts
from featx.store.store import FeatureStore
from featx.store.verify import verify
from tests.storage.conftest import forget_clients
from tests.storage.proxy import Proxy
from tests.store.samples import KEY, features_of, fill, make_digests

WIDE = (4_000,)


def test_a_part_is_put_whole_so_that_nothing_can_stay_unfinished(s3: str, s3_server: str) -> None:
    import boto3

    place = parse_cache(s3)
    digests = make_digests(500)
    path = FeatureStore(place).add(KEY, digests, features_of(digests, WIDE), {})
    assert isinstance(path, ObjectPath)
    bucket = boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1")
    found = bucket.head_object(Bucket=path.bucket.removeprefix("s3://"), Key=path.name_in_bucket)
    assert found["ContentLength"] > 8_000_000
    # Tags of what was uploaded in pieces end with their number.
    assert "-" not in found["ETag"]


def test_what_is_missing_is_known_from_headers_alone_and_asked_once(
    s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = FeatureStore(parse_cache(s3))
    digests = make_digests(600)
    for some in np.split(digests, 3):
        store.add(KEY, some, features_of(some, WIDE), {})
    proxy = Proxy(s3_server, ("none",))
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    monkeypatch.setenv("FEATX_LOCAL_CACHE", str(tmp_path / "others"))
    forget_clients()
    assert not store.missing(KEY, digests).any()
    forget_clients()
    proxy.kill()
    first = proxy.answered
    assert 3 * 2**16 < first < 300_000
    proxy.start()
    assert not store.missing(KEY, digests).any()
    forget_clients()
    proxy.kill()
    # A listing.
    assert proxy.answered - first < 20_000


def test_a_header_longer_than_the_first_request_is_read_by_a_second_one(place: CachePath, tmp_path: Path) -> None:
    store = FeatureStore(place)
    digests = make_digests(5_000)
    path = store.add(KEY, digests, features_of(digests, (2,)), {})
    forget = store.storage.forget_copy(path)
    assert forget == isinstance(path, ObjectPath)
    with Part.open(path) as part:
        assert np.array_equal(part.header.digests, digests)
    assert np.array_equal(store.get(KEY, digests), features_of(digests, (2,)))


@pytest.mark.parametrize("place", ["memory", "file", "s3", "az", "gs"], indirect=True)
def test_what_was_read_is_not_read_again_once_it_is_listed(place: ObjectPath) -> None:
    storage = storage_of(place)
    assert isinstance(storage, ObjectStorage)
    storage.write_file(place / "read", [b"1"])
    storage.open_file(place / "read").close()
    storage.write_file(place / "written", [b"2"], is_read_again=True)
    for listed in storage.list_files(place):
        assert listed.meta is not None
        assert storage.copies.has(listed, listed.meta)


def test_what_is_not_copied_yet_is_not_taken_away(gs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.time, "sleep", lambda seconds: None)
    place = parse_cache(gs)
    storage = storage_of(place)
    storage.write_file(place / "part", [b"broken"])
    # The server makes an object of no bytes, as Azure does before it copies.
    with storage.holding(place / "part") as state, pytest.raises(StoreError, match="/aside' has not been copied yet"):
        storage.move_file(place / "part", place / "aside", state)
    assert storage.read_file(place / "part", 9, "a part") == b"broken"


def test_readers_find_rows_that_are_merged_while_they_read(place: CachePath) -> None:
    from featx.store.compact import compact

    store, rows = fill(place, parts=4)
    parts = store.parts(KEY)
    first = next(parts)
    assert len(compact(place)) == 1
    # Those that it has not opened yet are gone; whoever misses their rows lists again.
    assert len([first, *parts]) >= 1
    assert np.array_equal(store.get(KEY, rows), features_of(rows))


def test_an_object_larger_than_any_part_is_broken_before_it_is_read(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, rows = fill(parse_cache(s3), parts=2)
    (path, _) = list_parts(store.folder(KEY))
    assert path.meta is not None
    monkeypatch.setattr(objects, "MOST_OBJECT_BYTES", path.meta.size - 1)
    store.storage.forget_copy(path)
    problems = verify(store.root).problems
    assert [problem.is_broken for problem in problems] == [True, True]
    assert "more than the" in problems[0].problem
    with pytest.raises(BrokenPart, match="more than the .* of a part"):
        store.get(KEY, rows)


def test_a_part_that_is_put_aside_while_it_is_listed_is_gone_for_readers(place_of_moves: CachePath) -> None:
    place = place_of_moves
    store, rows = fill(place, parts=3)
    listed = list_parts(store.folder(KEY))
    with store.storage.holding(listed[1]) as state:
        assert store.storage.move_file(listed[1], place / "quarantine" / listed[1].name, state)
    assert len(list(store.parts(KEY, listed))) == 2
    assert store.missing(KEY, rows).sum() == 20
    store.add(KEY, *_rows_of(rows, store.missing(KEY, rows)), {})
    assert np.array_equal(store.get(KEY, rows), features_of(rows))


def _rows_of(rows: NDArray[np.uint8], which: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    return rows[which], features_of(rows[which])
