from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from featx.errors import BrokenPart, MissingFeatures, NotFinite, StoreError
from featx.keys import FeatureKey
from featx.store.compact import compact
from featx.store.header import CHECKSUM_BLOCK_BYTES
from featx.store.store import FeatureStore
from tests.store.samples import BASE, KEY, OTHER, WIDTH, features_of, fill, make_digests, part_files


def test_what_was_added_is_got_in_any_order_with_repetitions(cache: Path) -> None:
    store, every = fill(cache)
    order = np.random.default_rng(1).integers(0, len(every), 200)
    assert np.array_equal(store.get(KEY, every[order]), features_of(every[order]))
    assert np.array_equal(store.get(KEY, every), features_of(every))


def test_one_image_requested_a_thousand_times_is_got_a_thousand_times(cache: Path) -> None:
    store, every = fill(cache)
    requested = np.concatenate([np.repeat(every[7:8], 1000, axis=0), every[[50, 7, 3]]])
    assert np.array_equal(store.get(KEY, requested), features_of(requested))


def test_maps_and_float16_come_back(cache: Path) -> None:
    key = FeatureKey(BASE, "layer3", "flat", "float16")
    digests = make_digests(5)
    store = FeatureStore(cache)
    store.add(key, digests, features_of(digests, (2, 3, 4)), {})
    got = store.get(key, digests[::-1])
    assert got.dtype == np.float16
    assert np.array_equal(got, features_of(digests[::-1], (2, 3, 4)).astype(np.float16))


def test_missing_tells_which_rows_no_part_holds(cache: Path) -> None:
    store, every = fill(cache)
    requested = np.concatenate([every[:3], make_digests(4, seed=9), every[-2:]])
    assert store.missing(KEY, requested).tolist() == [False] * 3 + [True] * 4 + [False] * 2
    assert store.missing(OTHER, requested).all()
    assert store.missing(KEY, requested[:0]).tolist() == []


def test_digests_that_begin_alike_are_told_apart(cache: Path) -> None:
    digests = make_digests(40)
    digests[:, :8] = digests[0, :8]
    store = FeatureStore(cache)
    store.add(KEY, digests[:30], features_of(digests[:30]), {})
    assert np.array_equal(store.get(KEY, digests[29::-1]), features_of(digests[29::-1]))
    assert store.missing(KEY, digests).tolist() == [False] * 30 + [True] * 10


def test_getting_missing_rows_says_how_many(cache: Path) -> None:
    store, every = fill(cache)
    with pytest.raises(MissingFeatures, match="holds no features of tiny-.* for 2 of 5 images"):
        store.get(KEY, np.concatenate([every[:3], make_digests(2, seed=9)]))
    with pytest.raises(MissingFeatures, match="holds no features of tiny-.*: run featx extract"):
        store.get(OTHER, every[:0])


def test_getting_nothing_gives_rows_of_the_right_shape(cache: Path) -> None:
    store, every = fill(cache)
    assert store.get(KEY, every[:0]).shape == (0, WIDTH)


@pytest.mark.parametrize(
    ("shape", "provenance", "match"),
    [((1,), {"host": {"name": "here"}}, "wrong type"), ((2**27,), {}, "537 MB of one image are more than 268 MB")],
)
def test_what_would_not_be_read_again_is_not_written(
    cache: Path, shape: tuple[int, ...], provenance: dict[str, object], match: str
) -> None:
    features = np.broadcast_to(np.float32(1), (1, *shape))
    with pytest.raises(StoreError, match=f"features of tiny-.* cannot be stored: .*{match}"):
        FeatureStore(cache).add(KEY, make_digests(1), features, provenance)
    assert part_files(cache) == []


@pytest.mark.parametrize(("digests", "features"), [(0, 0), (3, 2)])
def test_adding_unequal_numbers_of_rows_is_refused(cache: Path, digests: int, features: int) -> None:
    with pytest.raises(ValueError, match=f"{digests} digests for {features} features"):
        FeatureStore(cache).add(KEY, make_digests(digests), features_of(make_digests(features)), {})


def test_features_that_are_not_finite_leave_nothing_behind(cache: Path) -> None:
    with pytest.raises(NotFinite, match="not stored"):
        FeatureStore(cache).add(KEY, make_digests(2), np.full((2, 3), np.nan), {})
    assert not part_files(cache)


def test_a_damaged_row_is_never_handed_out(cache: Path) -> None:
    store, every = fill(cache, parts=1, rows=3 * CHECKSUM_BLOCK_BYTES // (WIDTH * 4))
    (path,) = part_files(cache)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert np.array_equal(store.get(KEY, every[:10]), features_of(every[:10]))
    with pytest.raises(BrokenPart, match=r"damaged: features of rows .* Run `featx cache clean`, then extract again"):
        store.get(KEY, every)


def test_a_damaged_row_is_taken_from_another_part_that_holds_it(cache: Path) -> None:
    store, every = fill(cache, parts=2)
    for path in part_files(cache):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    store.add(KEY, every[::-1], features_of(every[::-1]), {})
    assert np.array_equal(store.get(KEY, every), features_of(every))


def test_a_broken_header_makes_rows_missing_and_is_warned_of_once(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, every = fill(cache)
    path = part_files(cache)[0]
    path.write_bytes(path.read_bytes()[:200])
    for _ in range(2):
        assert store.missing(KEY, every).sum() == 20
    assert [record.message for record in caplog.records if "skipped" in record.message] == [
        f"'{path}' is cut short: 200 bytes, its header alone has {header_bytes(cache)}. "
        "The part is skipped: run `featx cache verify` for details"
    ]


def header_bytes(cache: Path) -> int:
    return int(part_files(cache)[1].read_bytes().split(b"header of ")[1][:12])


def test_a_part_in_another_keys_folder_is_not_used(cache: Path) -> None:
    store, every = fill(cache)
    shutil.copytree(store.folder(KEY), store.folder(OTHER))
    assert store.missing(OTHER, every).all()
    with pytest.raises(MissingFeatures, match="60 of 60"):
        store.get(OTHER, every)


def test_a_part_replaced_while_the_store_lives_is_read_anew(cache: Path) -> None:
    store, every = fill(cache, parts=1)
    store.get(KEY, every)
    store.add(KEY, every, features_of(every) + 1, {"other": "provenance of another length"})
    assert np.array_equal(store.get(KEY, every), features_of(every) + 1)


def test_parts_merged_or_removed_while_the_store_lives_are_followed(cache: Path) -> None:
    store, every = fill(cache)
    store.get(KEY, every)
    compact(cache)
    assert not store.missing(KEY, every).any()
    assert np.array_equal(store.get(KEY, every), features_of(every))
    shutil.rmtree(cache)
    assert store.missing(KEY, every).all()


def test_keys_sums_up_the_parts(cache: Path) -> None:
    store, every = fill(cache)
    store.add(KEY, every[:5], features_of(every[:5]), {"seconds": 0.5})
    (summary,) = store.keys()
    assert (summary.key, summary.images, summary.shape, summary.parts) == (KEY, 60, (WIDTH,), 4)
    assert summary.seconds == 5
    assert summary.bytes == sum(path.stat().st_size for path in part_files(cache))


def test_keys_skips_broken_parts(cache: Path) -> None:
    store, _ = fill(cache)
    for path in part_files(cache):
        path.write_bytes(b"")
    assert store.keys() == []


def test_a_store_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "nowhere")
    assert store.keys() == []
    assert store.bases() == []
    assert store.missing(KEY, make_digests(2)).all()


def test_remove_takes_a_key_and_leaves_the_others(cache: Path) -> None:
    store, every = fill(cache)
    fill(cache, key=OTHER)
    assert store.remove(KEY) == 3
    assert store.missing(KEY, every).all()
    assert np.array_equal(store.get(OTHER, every), features_of(every, layer="layer4"))
    assert store.remove(OTHER) == 3
    assert list(cache.iterdir()) == []


def test_remove_leaves_foreign_files_alone(cache: Path) -> None:
    store, _ = fill(cache)
    note = store.folder(KEY) / "note.txt"
    note.write_text("mine")
    store.remove(KEY)
    assert note.read_text() == "mine"


def test_a_file_in_the_place_of_the_cache_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("x")
    with pytest.raises(StoreError, match="cannot be written: a file is in the way"):
        FeatureStore(tmp_path / "cache").add(KEY, make_digests(1), features_of(make_digests(1)), {})


def test_a_damaged_base_description_is_written_again(cache: Path) -> None:
    store, _ = fill(cache)
    (description,) = store.bases()
    file = cache / BASE.folder / "base.json"
    file.write_text("{")
    assert store.bases() == []
    store.describe(description)
    assert store.bases() == [description]


def test_an_unreadable_folder_is_not_taken_for_empty(cache: Path) -> None:
    store, every = fill(cache)
    if os.geteuid() == 0:
        pytest.skip("the superuser may read every folder")
    store.folder(KEY).chmod(0)
    try:
        with pytest.raises(StoreError, match="cannot be read"):
            store.missing(KEY, every)
    finally:
        store.folder(KEY).chmod(0o755)
