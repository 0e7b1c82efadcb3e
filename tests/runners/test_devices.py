"""Several devices of one machine; here every one of them is a CPU."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featx.base_choice import BaseChoice
from featx.bases.loading import open_base
from featx.data.digest_cache import digest_all
from featx.data.listing import FailedImage
from featx.data.sources import list_images
from featx.errors import UnknownName
from featx.processes.machine import count_cores
from featx.processes.workers import WorkerEnded, Workers
from featx.requests import ExtractRequest
from featx.runners.devices import collect_summaries, divide_request
from featx.runners.local import list_feature_keys
from featx.runners.summary import ExtractSummary, merge_summaries
from featx.store.store import FeatureStore
from featx.workflows.extract import extract_features

pytestmark = pytest.mark.slow


@pytest.fixture
def request_(photos: Path, cache: Path) -> ExtractRequest:
    (photos / "red" / "broken.png").write_bytes(b"no picture")
    (photos / "red" / "gone.png").symlink_to(photos / "nowhere.png")
    return ExtractRequest(str(photos), BaseChoice("tiny", "random"), ("layer1",), cache=cache, device="cpu,cpu")


def test_two_processes_store_what_one_does(request_: ExtractRequest, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    summary = extract_features(request_, lambda done, total: told.append((done, total)))
    alone = replace(request_, cache=tmp_path / "alone", device="cpu")
    expected = extract_features(alone)
    assert (summary.images, summary.extracted, summary.duplicates) == (
        expected.images,
        expected.extracted,
        expected.duplicates,
    )
    assert summary.failed == expected.failed
    assert len(summary.failed) == 2
    assert summary.device == "cpu, cpu"
    done, total = told[-1]
    assert done == total >= expected.images
    (key,) = list_feature_keys(open_base(alone.base), alone)
    listing = list_images(alone.data)
    digests = digest_all(alone.cache, listing).digests
    digests = digests[~FeatureStore(alone.cache).missing(key, digests)]
    got = FeatureStore(request_.cache).get(key, digests)
    assert np.array_equal(got, FeatureStore(alone.cache).get(key, digests))
    assert len(got) == expected.extracted
    again = extract_features(replace(request_, device="cpu"))
    assert (again.cached, again.extracted) == (expected.extracted, 0)


def test_a_shard_is_divided_further_and_cores_among_the_devices(request_: ExtractRequest) -> None:
    shared = divide_request(replace(request_, shard=(2, 3), workers=None), ["cuda:0", "cuda:1"])
    assert [part.device for part in shared] == ["cuda:0", "cuda:1"]
    for number in range(24):
        owners = [part for part in shared if part.shard and number % part.shard[1] == part.shard[0] - 1]
        assert len(owners) == (number % 3 == 1)
    assert {part.workers for part in shared} == {max(1, count_cores() // 2)}


def test_a_wrong_layer_is_refused_before_anything_is_hashed(request_: ExtractRequest) -> None:
    with pytest.raises(UnknownName, match="unknown layer of tiny 'layer7'. Did you mean 'layer4'"):
        extract_features(replace(request_, layers=("layer7",)))
    assert not request_.cache.exists()


def test_a_process_that_the_system_ends_is_one_clear_line() -> None:
    with Workers(1) as workers:
        workers.call(0, os._exit, 9)
        with pytest.raises(WorkerEnded, match="ended one of the processes.* with a smaller --batch-size"):
            collect_summaries(workers, None)


def test_summaries_of_shards_add_up() -> None:
    gone = FailedImage("gone.png", "No such file or directory")
    first = ExtractSummary(7, 3, 2, 1, [gone], layers=["layer1"], device="cuda:0", time={"read": 1.0})
    second = ExtractSummary(4, 0, 4, 0, [], layers=["layer1"], device="cuda:1", engine="torch", time={"read": 0.5})
    merged = merge_summaries([first, second])
    assert (merged.images, merged.extracted, merged.cached, merged.duplicates) == (11, 3, 6, 1)
    assert (merged.failed, merged.layers, merged.device) == ([gone], ["layer1"], "cuda:0, cuda:1")
    assert (merged.engine, merged.time) == ("torch", {"read": 1.5})
