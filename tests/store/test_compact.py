from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from featx.store.compact import compact
from featx.store.part import PART_BYTES, Part
from featx.store.store import FeatureStore
from featx.store.verify import verify
from tests.store.samples import KEY, OTHER, features_of, fill, make_digests, part_files


def test_small_parts_become_one_with_the_same_rows(cache: Path) -> None:
    store, every = fill(cache, parts=7)
    (merge,) = compact(cache)
    assert (merge.before, merge.after) == (7, 1)
    assert len(part_files(cache)) == 1
    assert np.array_equal(store.get(KEY, every), features_of(every))
    assert verify(cache).problems == []


def test_rows_stand_in_the_order_in_which_they_were_computed(cache: Path) -> None:
    _, every = fill(cache, parts=4)
    compact(cache)
    with Part.open(part_files(cache)[0]) as part:
        assert np.array_equal(part.header.digests, every)


def test_costs_and_origin_are_kept(cache: Path) -> None:
    store, _ = fill(cache, parts=3)
    before = store.keys()[0].seconds
    compact(cache)
    with Part.open(part_files(cache)[0]) as part:
        assert part.header.provenance == {
            "created": 0.0,
            "host": "here",
            "merged": 3,
            "seconds": before,
            "seconds_alone": before,
        }
    assert store.keys()[0].seconds == before


def test_repeated_rows_are_kept_once(cache: Path) -> None:
    store, every = fill(cache, parts=2)
    store.add(KEY, every[5:30], features_of(every[5:30]), {"created": 9.0})
    compact(cache)
    with Part.open(part_files(cache)[0]) as part:
        assert np.array_equal(part.header.digests, every)


def test_the_result_does_not_depend_on_who_merges(tmp_path: Path) -> None:
    for name in ("a", "b"):
        fill(tmp_path / name, parts=5)
        compact(tmp_path / name)
    (a,) = part_files(tmp_path / "a")
    (b,) = part_files(tmp_path / "b")
    assert a.name == b.name
    assert a.read_bytes() == b.read_bytes()


def test_a_second_time_there_is_nothing_to_do(cache: Path) -> None:
    fill(cache)
    compact(cache)
    assert compact(cache) == []


def test_keys_are_not_mixed(cache: Path) -> None:
    store, every = fill(cache)
    fill(cache, key=OTHER)
    compact(cache)
    assert np.array_equal(store.get(KEY, every), features_of(every))
    assert np.array_equal(store.get(OTHER, every), features_of(every, layer="layer4"))


def test_large_parts_are_left_alone_and_merged_ones_stay_small_enough(cache: Path) -> None:
    store = FeatureStore(cache)
    width = 64 * 1024
    rows = PART_BYTES // (4 * width)
    digests = make_digests(rows * 2)
    for low, high in ((0, rows // 2 + 1), (rows // 2 + 1, rows), (rows, rows + 50), (rows + 50, rows + 100)):
        some = digests[low:high]
        store.add(KEY, some, features_of(some, (width,)), {"created": float(low)})
    before = {path.name for path in part_files(cache)}
    compact(cache)
    after = part_files(cache)
    assert len(after) == 3
    assert len({path.name for path in after} & before) >= 1
    assert all(path.stat().st_size < PART_BYTES * 1.1 for path in after)


def test_a_damaged_part_stays_where_it_is_and_nothing_else_is_lost(cache: Path) -> None:
    store, every = fill(cache, parts=3)
    path = part_files(cache)[1]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert compact(cache) == []
    assert len(part_files(cache)) == 3
    assert store.missing(KEY, every).sum() == 0


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(3))
def test_readers_see_every_row_while_several_merge(cache: Path, attempt: int) -> None:
    _, every = fill(cache, parts=40, rows=3)
    failures: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        store = FeatureStore(cache)
        try:
            while not done.is_set():
                assert not store.missing(KEY, every).any()
                assert np.array_equal(store.get(KEY, every), features_of(every))
        except BaseException as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    mergers = [threading.Thread(target=compact, args=(cache,)) for _ in range(3)]
    reader.start()
    for merger in mergers:
        merger.start()
    for merger in mergers:
        merger.join()
    done.set()
    reader.join()
    assert not failures
    assert np.array_equal(FeatureStore(cache).get(KEY, every), features_of(every))
    assert verify(cache).problems == []
