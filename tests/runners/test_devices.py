"""Several devices of one machine; here every one of them is a CPU."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from featx.bases.loading import open_base
from featx.data.digest_cache import digest_all
from featx.data.sources import list_images
from featx.engines.threads import cores
from featx.errors import RequestError, UnknownName
from featx.requests import BaseChoice, ExtractRequest
from featx.runners.devices import devices_of, extract_on_devices, results, share_out
from featx.runners.local import extract, feature_keys
from featx.store.store import FeatureStore


@pytest.fixture
def request_(photos: Path, cache: Path) -> ExtractRequest:
    (photos / "red" / "broken.png").write_bytes(b"no picture")
    (photos / "red" / "gone.png").symlink_to(photos / "nowhere.png")
    return ExtractRequest(str(photos), BaseChoice("tiny", "random"), ("layer1",), cache=cache, device="cpu,cpu")


def test_two_processes_store_what_one_does(request_: ExtractRequest, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    summary = extract_on_devices(request_, lambda done, total: told.append((done, total)))
    alone = replace(request_, cache=tmp_path / "alone", device="cpu")
    expected = extract(alone)
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
    (key,) = feature_keys(open_base(alone.base), alone)
    listing = list_images(alone.data)
    digests = digest_all(alone.cache, listing).digests
    digests = digests[~FeatureStore(alone.cache).missing(key, digests)]
    got = FeatureStore(request_.cache).get(key, digests)
    assert np.array_equal(got, FeatureStore(alone.cache).get(key, digests))
    assert len(got) == expected.extracted
    again = extract(replace(request_, device="cpu"))
    assert (again.cached, again.extracted) == (expected.extracted, 0)


def test_a_share_is_shared_out_further_and_cores_divided(request_: ExtractRequest) -> None:
    shared = share_out(replace(request_, shard=(2, 3), workers=None), ["cuda:0", "cuda:1"])
    assert [one.device for one in shared] == ["cuda:0", "cuda:1"]
    for number in range(24):
        owners = [one for one in shared if one.shard and number % one.shard[1] == one.shard[0] - 1]
        assert len(owners) == (number % 3 == 1)
    assert {one.workers for one in shared} == {max(1, cores() // 2)}


def test_what_is_wrong_with_a_request_is_said_as_ever(request_: ExtractRequest) -> None:
    with pytest.raises(UnknownName, match="unknown layer of tiny 'layer7'. Did you mean 'layer4'"):
        extract_on_devices(replace(request_, layers=("layer7",)))


def test_a_process_that_the_system_ends_is_one_clear_line() -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        ended = [pool.submit(os._exit, 9)]
        with pytest.raises(RequestError, match="ended one of the processes"):
            results(ended)


def test_devices_that_are_not_there_are_refused() -> None:
    with pytest.raises(RequestError, match="means every GPU, and this machine has none"):
        devices_of("all")
    with pytest.raises(RequestError, match="device 'cuda:7' is not on this machine"):
        devices_of("cpu, cuda:7")
