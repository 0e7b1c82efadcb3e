from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from featx.data.digest_cache import digest_all
from featx.data.listing import DigestedListing
from featx.data.sources import list_images
from featx.finetuning.batches import CachedBatches, ImageBatches, PooledBatches, SplitBatches
from featx.finetuning.unfreeze import divide
from featx.keys import FeatureKey
from featx.store.store import FeatureStore
from tests.conftest import load_base, picture


@pytest.fixture
def listed(photos: Path, cache: Path) -> DigestedListing:
    return digest_all(cache, list_images(str(photos)), False)


def make_image_batches(listed: DigestedListing, workers: int = 2) -> ImageBatches:
    plan = divide(load_base("tiny", "random"), "layer3")
    return ImageBatches(plan, listed.listing, listed.digests, torch.device("cpu"), workers, 8, "standard", 1)


def make_cached_batches(cache: Path, digests: NDArray[np.uint8], views: int = 3) -> CachedBatches:
    """Every activation says which view of which row it is: view * 100 + row."""
    store = FeatureStore(cache)
    base = load_base("tiny", "random").id
    keys = [FeatureKey(base, "layer2", "flat", view=view) for view in range(views)]
    for view, key in enumerate(keys):
        values = 100.0 * view + np.arange(len(digests))
        store.add(key, digests, np.tile(values[:, None, None, None], (1, 2, 3, 3)).astype(np.float32), {})
    return CachedBatches(store, keys, digests, views, 4, 1)


@pytest.mark.slow
def test_an_epoch_is_the_same_whatever_the_threads_and_another_one_is_not(listed: DigestedListing) -> None:
    rows = np.arange(20)
    first = list(make_image_batches(listed, 1).train_batches(rows, 0))
    again = list(make_image_batches(listed, 3).train_batches(rows, 0))
    later = list(make_image_batches(listed, 1).train_batches(rows, 1))
    assert [len(chosen) for _, chosen in first] == [8, 8, 4]
    for (x, chosen), (same_x, same_rows) in zip(first, again, strict=True):
        assert torch.equal(x, same_x)
        assert np.array_equal(chosen, same_rows)
    assert not np.array_equal(first[0][1], later[0][1])
    assert sorted(np.concatenate([chosen for _, chosen in later])) == rows.tolist()


def test_images_that_broke_or_changed_are_left_out_with_the_reason(listed: DigestedListing) -> None:
    paths = listed.listing.paths
    Path(paths[3]).write_bytes(b"broken")
    Path(paths[5]).unlink()
    picture(999, 1).save(paths[6])
    batches = make_image_batches(listed)
    read = np.concatenate([rows for _, rows in batches.eval_batches(np.arange(10), 0)])
    assert read.tolist() == [0, 1, 2, 4, 7, 8, 9]
    assert batches.skipped == {
        3: "not an image, or of an unknown format",
        5: "No such file or directory",
        6: "it changed after training began",
    }


def test_each_epoch_shows_another_view_until_all_were_shown(cache: Path, digests: object) -> None:
    all_digests: NDArray[np.uint8] = digests(50)  # type: ignore[operator]
    batches = make_cached_batches(cache, all_digests)
    rows = np.arange(10, 50)
    views: dict[int, list[int]] = {row: [] for row in rows.tolist()}
    for epoch in range(3):
        for x, chosen in batches.train_batches(rows, epoch):
            view, row = np.divmod(x[:, 0, 0, 0].numpy().astype(int), 100)
            assert np.array_equal(row, chosen)
            for number, shown in zip(row.tolist(), view.tolist(), strict=True):
                views[number].append(shown)
    assert all(sorted(shown) == [0, 1, 2] for shown in views.values())
    assert len({shown[0] for shown in views.values()}) == 3


def test_cached_activations_are_read_in_batches_in_the_order_of_the_rows(cache: Path, digests: object) -> None:
    batches = make_cached_batches(cache, digests(50))  # type: ignore[operator]
    rows = np.arange(49, -1, -1)
    read = list(batches.eval_batches(rows, 2))
    assert [len(chosen) for _, chosen in read] == [4] * 12 + [2]
    assert np.array_equal(np.concatenate([chosen for _, chosen in read]), rows)
    assert torch.equal(torch.cat([x for x, _ in read])[:, 1, 2, 2], 200.0 + torch.from_numpy(rows))
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x, _ in read)


def test_labels_go_with_their_rows(cache: Path, digests: object) -> None:
    source = make_cached_batches(cache, digests(50))  # type: ignore[operator]
    labels = torch.arange(50) * 2
    data = SplitBatches(source, labels, np.arange(30), np.arange(30, 50), 4)
    assert data.steps == 8 == len(list(data.train_batches(0)))
    for x, y in [*data.train_batches(1), *data.eval_batches()]:
        assert torch.equal(x[:, 0, 0, 0] % 100 * 2, y.float())
    assert torch.equal(torch.cat([y for _, y in data.eval_batches()]), labels[30:])


def test_an_epoch_of_features_shows_every_row_once() -> None:
    X = torch.arange(21.0)[:, None]
    y = torch.arange(21)
    data = PooledBatches(X, y, X[:4], y[:4], 8, 1)
    batches = list(data.train_batches(0))
    assert [len(labels) for _, labels in batches] == [8, 8, 5]
    assert data.steps == 3
    assert all(torch.equal(x[:, 0], labels.float()) for x, labels in batches)
    assert torch.equal(torch.cat([labels for _, labels in batches]).sort().values, y)
