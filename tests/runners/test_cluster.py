"""Extraction on a Ray cluster of two nodes on this machine, whose workers, nodes and driver are killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from featx.base_choice import BaseChoice
from featx.bases.loading import open_base
from featx.data.digest_cache import digest_all
from featx.data.sources import list_images
from featx.errors import FeatxError, RequestError
from featx.log import NOTE
from featx.processes.cluster import ClusterError, Node, Share, check_version, open_cluster
from featx.processes.machine import Machine
from featx.processes.node_check import NodeError
from featx.requests import ExtractRequest
from featx.runners.cluster import choose_share, count_room, count_workers
from featx.runners.local import list_feature_keys
from featx.runners.work_items import MOST_ATTEMPTS, ItemEndsWorkers, WorkQueue, choose_item_rows
from featx.storage.paths import parse_cache, side_folder
from featx.store.store import FeatureStore
from featx.workflows.extract import extract_features
from tests.runners.clusters import TestCluster, started, wait_for_node

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")]

CLASSES = ("a", "b")
IMAGES = 600
ITEM = 32
"""Rows of an item of so many images: one part."""

TRIALS = 5 if os.environ.get("FEATX_STRESS") else 1
"""How often a worker is killed."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[TestCluster]:
    with started(2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that take a while to decode, one of them twice, one broken."""
    root = tmp_path_factory.mktemp("cluster") / "photos"
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    for label in CLASSES:
        (root / label).mkdir(parents=True)
        for number in range(IMAGES // 2):
            noise[0, 0] = (number % 256, number // 256, ord(label))
            Image.fromarray(noise).save(root / label / f"{number:03}.png", compress_level=1)
    (root / "b" / "299.png").write_bytes((root / "a" / "000.png").read_bytes())
    (root / "b" / "100.png").write_bytes(b"no picture")
    return root


@pytest.fixture(scope="module")
def alone(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> ExtractRequest:
    """The request, carried out in this process."""
    cache = tmp_path_factory.mktemp("alone")
    request = ExtractRequest(str(photos), BaseChoice("tiny", "random"), ("layer1", "layer4"), cache=cache, workers=1)
    extract_features(request)
    return request


@pytest.fixture
def on_cluster(alone: ExtractRequest, cluster: TestCluster, cache: Path) -> ExtractRequest:
    return replace(alone, cache=cache, workers=None, runner="ray")


def read_all(request: ExtractRequest) -> list[NDArray[Any]]:
    """Read the features of all sound images at all layers."""
    base = open_base(request.base)
    digests = digest_all(side_folder(request.cache), list_images(request.data)).digests
    store = FeatureStore(request.cache)
    features = []
    for key in list_feature_keys(base, request):
        sound = digests[~store.missing(key, digests)]
        assert len(sound) == IMAGES - 1
        features.append(store.get(key, sound))
    return features


def check_same(got: ExtractRequest, alone: ExtractRequest) -> None:
    """Both caches hold the same features, bit for bit."""
    for ours, expected in zip(read_all(got), read_all(alone), strict=True):
        assert np.array_equal(ours, expected)


def test_two_nodes_store_what_one_process_does(
    on_cluster: ExtractRequest, alone: ExtractRequest, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    summary = extract_features(on_cluster, lambda done, total: told.append((done, total)))
    expected = extract_features(replace(alone, cache=tmp_path / "again"))
    for name in ("images", "extracted", "cached", "duplicates", "failed", "layers", "engine"):
        assert getattr(summary, name) == getattr(expected, name), name
    assert summary.device == "2 x cpu"
    assert summary.handed_out_again == 0
    assert told[-1] == (IMAGES, IMAGES)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    check_same(on_cluster, alone)
    # What is there is found without any cluster, and by this machine alone.
    again = extract_features(replace(on_cluster, runner="local"))
    assert (again.extracted, again.cached, len(again.failed)) == (0, IMAGES - 1, 1)


@pytest.mark.gpu
def test_workers_that_share_a_gpu_store_what_one_process_does_on_it(
    alone: ExtractRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    pytest.importorskip("ray", reason="Ray is not installed")
    on_gpu = replace(alone, device="cuda", cache=tmp_path / "gpu")
    extract_features(on_gpu)
    shared = replace(on_gpu, cache=tmp_path / "shared", workers=2, runner="ray", gpus_per_worker=0.5)
    summary = extract_features(shared)
    assert (summary.device, summary.extracted) == ("2 x cuda", IMAGES - 2)
    for ours, expected in zip(read_all(shared), read_all(on_gpu), strict=True):
        assert np.abs(ours - expected).max() < 1e-4 * np.abs(expected).max()


def test_nodes_share_a_cache_of_objects(on_cluster: ExtractRequest, alone: ExtractRequest, tmp_path: Path) -> None:
    pytest.importorskip("obstore", reason="obstore is not installed: no object store can be reached")
    got = replace(on_cluster, cache=parse_cache(f"file://{tmp_path}/bucket", tmp_path / "copies"))
    assert extract_features(got).extracted == IMAGES - 2
    assert any((tmp_path / "bucket").rglob("part-*"))
    check_same(got, alone)


def test_a_worker_that_is_killed_is_replaced_and_its_items_are_handed_out_again(
    on_cluster: ExtractRequest, alone: ExtractRequest, cluster: TestCluster
) -> None:
    kills: list[int] = []

    def kill(done: int, total: int) -> None:
        if len(kills) < TRIALS and done >= 3 * ITEM * (len(kills) + 1) and cluster.kill_worker():
            kills.append(done)

    summary = extract_features(on_cluster, kill)
    assert len(kills) == TRIALS
    assert summary.images == IMAGES
    # Where the worker had committed its item, its successor found it.
    assert summary.extracted + summary.cached + summary.duplicates == IMAGES - 1
    assert summary.handed_out_again <= TRIALS * ITEM
    check_same(on_cluster, alone)


def test_a_node_may_go_in_the_middle(on_cluster: ExtractRequest, alone: ExtractRequest, cluster: TestCluster) -> None:
    node = cluster.add_node()
    removed: list[int] = []

    def remove(done: int, total: int) -> None:
        if not removed and done >= 3 * ITEM:
            removed.append(done)
            cluster.remove_node(node)

    summary = extract_features(on_cluster, remove)
    assert removed
    assert summary.images == IMAGES
    assert summary.handed_out_again <= ITEM
    check_same(on_cluster, alone)


def test_a_driver_that_is_killed_loses_nothing_that_was_committed(
    on_cluster: ExtractRequest, alone: ExtractRequest, cluster: TestCluster
) -> None:
    cache = on_cluster.cache
    layers = ["--layer", "layer1", "--layer", "layer4"]
    words = ["extract", on_cluster.data, "--base", "tiny", "--weights", "random", *layers]
    words += ["--cache", str(cache), "--runner", "ray", "-q"]
    driver = subprocess.Popen([sys.executable, "-c", f"from featx.cli.main import run; run({words!r})"])
    deadline = time.monotonic() + 120
    while len(list(cache.rglob("*.h5"))) < 10 and driver.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    driver.kill()
    driver.wait()
    cluster.wait_for_no_worker()
    committed = min(count_rows(on_cluster))
    assert 0 < committed < IMAGES - 2
    summary = extract_features(on_cluster)
    # Nothing that was committed is computed again.
    assert summary.cached >= committed
    assert summary.extracted + summary.cached + summary.duplicates == IMAGES - 1
    check_same(on_cluster, alone)


def count_rows(request: ExtractRequest) -> list[int]:
    store = FeatureStore(request.cache)
    keys = list_feature_keys(open_base(request.base), request)
    return [sum(len(header.digests) for header in store.headers(key)) for key in keys]


def test_built_in_data_is_listed_by_the_workers(cluster: TestCluster, cache: Path) -> None:
    request = ExtractRequest("digits", BaseChoice("tiny", "random"), ("layer1",), cache=cache, runner="ray")
    assert extract_features(request).extracted == 1797


def test_a_wrong_layer_is_refused_before_there_is_a_cluster(on_cluster: ExtractRequest) -> None:
    with pytest.raises(FeatxError, match="unknown layer of tiny 'layer7'. Did you mean 'layer4'"):
        extract_features(replace(on_cluster, layers=("layer7",)))
    assert not on_cluster.cache.exists()


@pytest.mark.parametrize("hidden", ["images", "cache"])
def test_a_node_that_does_not_see_the_data_or_the_cache_is_refused_by_its_name(
    on_cluster: ExtractRequest, cluster: TestCluster, hidden: str
) -> None:
    on_cluster.cache.mkdir()
    folder = Path(on_cluster.data) if hidden == "images" else on_cluster.cache
    expected = "does not see the image '.*000.png'" if hidden == "images" else "has a folder of its own at '.*cache'"
    # A node that was killed is listed for a while: each has a name of its own.
    name = f"without-{hidden}"
    with cluster.blind_node(name, folder):
        wait_for_node(name)
        with pytest.raises(NodeError, match=rf"^node '{name}' \([\d.]+\) {expected}"):
            extract_features(on_cluster)
    assert list(on_cluster.cache.rglob("*.h5")) == []


def test_what_no_node_has_is_refused(on_cluster: ExtractRequest) -> None:
    with pytest.raises(RequestError, match=r"no node of the cluster has 1 cores and 1 GPUs for a worker \('.*1 cores"):
        extract_features(replace(on_cluster, gpus_per_worker=1))


@pytest.mark.parametrize(
    ("address", "match"),
    [
        ("127.0.0.1:1", "there is no Ray cluster at RAY_ADDRESS '127.0.0.1:1': Connection refused"),
        ("nowhere", "there is no Ray cluster at RAY_ADDRESS 'nowhere': expected HOST:PORT"),
        ("ray://127.0.0.1:10001", "ray://.* are not supported. Submit the command there: ray job submit"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_clear_line(
    address: str, match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ClusterError, match=match), open_cluster():
        pass


def test_an_old_ray_is_one_clear_line() -> None:
    with pytest.raises(ClusterError, match=r"Ray 2.9.3 is too old: featx needs 2.49 or newer. Run: pip install"):
        check_version("2.9.3")
    check_version("2.60.0")


def test_workers_get_a_gpu_and_its_part_of_the_cores_where_there_are_gpus(alone: ExtractRequest) -> None:
    request = replace(alone, runner="ray")
    plain = [Node("1", "'one' (10.0.0.1)", 16, 0)]
    mixed = [*plain, Node("2", "'two' (10.0.0.2)", 64, 8)]
    assert choose_share(plain, request) == Share(1, 0)
    assert choose_share(mixed, request) == Share(8, 1)
    assert choose_share(mixed, replace(request, device="cpu")) == Share(1, 0)
    assert choose_share(mixed, replace(request, gpus_per_worker=0.5)) == Share(4, 0.5)
    assert count_room(mixed, Share(8, 1)) == 8
    assert count_room(mixed, Share(4, 0.5)) == 16
    assert count_room(mixed, Share(1, 0)) == 80


def test_there_are_no_more_workers_than_cores(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(NOTE, "featx")
    nodes = [Node(str(number), f"'{number}' (10.0.0.1)", 1, 0) for number in range(4)]
    one, other = Machine("one", frozenset({0, 1})), Machine("other", frozenset({0, 1}))
    assert count_workers(nodes, Share(1, 0), {"0": one, "1": one, "2": other, "3": other}) == 4
    assert not caplog.records
    assert count_workers(nodes, Share(1, 0), dict.fromkeys("0123", one)) == 2
    assert "Ray has room for 4 workers on machines with cores for 2: 2 are started" in caplog.text
    # Nodes that were given cores of their own, one that joined meanwhile, and more cores than a worker can have.
    own = {str(number): Machine("one", frozenset({number})) for number in range(4)}
    assert count_workers(nodes, Share(1, 0), own) == 4
    assert count_workers(nodes, Share(1, 0), dict.fromkeys("012", one)) == 3
    assert count_workers([Node("0", "'big' (10.0.0.1)", 64, 0)], Share(4, 0), {"0": one}) == 1
    # What shares a GPU waits for it, mostly.
    assert count_workers([Node("0", "'gpu' (10.0.0.1)", 8, 8)], Share(1, 1), {"0": one}) == 8


def test_items_are_whole_parts_and_several_for_each_worker_of_small_data() -> None:
    assert choose_item_rows(600, 2, 32) == 32
    assert choose_item_rows(10**6, 8, 1024) == 2048
    assert choose_item_rows(20_000, 2, 1024) == 1024


def test_an_item_on_which_workers_end_is_given_up(alone: ExtractRequest) -> None:
    listing = list_images(alone.data)
    queue = WorkQueue(listing, np.arange(len(listing)), ITEM)
    for attempt in range(MOST_ATTEMPTS):
        item = queue.take()
        assert item.number == 0
        assert item.paths == listing.paths[:ITEM]
        if attempt < MOST_ATTEMPTS - 1:
            queue.put_back(item, "killed")
    assert queue.repeated == (MOST_ATTEMPTS - 1) * ITEM
    with pytest.raises(ItemEndsWorkers, match="3 workers ended in turn on the same 32 images, '.*000.png' and those"):
        queue.put_back(item, "killed")


def test_only_a_cluster_has_gpus_for_each_worker_and_chooses_which(alone: ExtractRequest) -> None:
    with pytest.raises(RequestError, match="are for a cluster: add --runner ray"):
        replace(alone, gpus_per_worker=1)
    with pytest.raises(RequestError, match="the cluster chooses which GPU"):
        replace(alone, runner="ray", device="cuda:1")
