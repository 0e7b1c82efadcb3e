"""Extraction on a Ray cluster of images that lie in buckets, which a node may be unable to read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from featx.base_choice import BaseChoice
from featx.data.sources import list_images
from featx.processes.node_check import NodeError
from featx.requests import ExtractRequest
from featx.runners.cluster import find_far_images
from featx.workflows.extract import extract_features
from tests.data.sources.archives.making import make_photos, make_png, write_tar
from tests.data.sources.buckets.test_buckets import put
from tests.runners.clusters import TestCluster, started, wait_for_node
from tests.storage.conftest import CREDENTIALS, forget_clients, s3, s3_server

__all__ = ["s3", "s3_server"]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")]

POOR_NODES: dict[str, tuple[dict[str, str | None], str]] = {
    "without-credentials": (
        # A machine that gives none.
        {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_METADATA_ENDPOINT": "http://127.0.0.1:9"},
        "there are no credentials for 's3://features-[0-9a-f]+': set AWS_ACCESS_KEY_ID",
    ),
    "without-server": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "'s3://.*' cannot be reached: "),
    "without-obstore": ({"PYTHONPATH": "{blind}"}, "'s3://.*' lies in an object store, which needs obstore"),
}
"""Name of a node, its environment, and what is said of it."""


@pytest.fixture(scope="module")
def cluster(s3_server: str) -> Iterator[TestCluster]:
    """A node that reaches the server."""
    before = dict(os.environ)
    os.environ |= {**CREDENTIALS, "AWS_ENDPOINT_URL": s3_server}
    try:
        with started(1) as cluster:
            yield cluster
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def hidden_obstore(tmp_path: Path) -> str:
    """A search path of modules on which obstore cannot be imported."""
    (tmp_path / "blind" / "obstore").mkdir(parents=True)
    (tmp_path / "blind" / "obstore" / "__init__.py").write_text("raise ImportError('hidden by a test')")
    return os.pathsep.join([str(tmp_path / "blind"), os.environ.get("PYTHONPATH", "")])


def make_request(data: str, cache: Path) -> ExtractRequest:
    return ExtractRequest(data, BaseChoice("tiny", "random"), ("layer1",), cache=cache, runner="ray")


@pytest.mark.parametrize("name", POOR_NODES)
def test_a_node_that_cannot_read_the_bucket_of_the_data_is_refused_by_its_name(
    cluster: TestCluster, s3: str, cache: Path, hidden_obstore: str, name: str
) -> None:
    request = make_request(put(s3, make_photos()), cache)
    environment, reason = POOR_NODES[name]
    environment = {variable: value and value.format(blind=hidden_obstore) for variable, value in environment.items()}
    with cluster.node_with(name, environment):
        wait_for_node(name)
        bucket = s3.removesuffix("/some/folder")
        expected = rf"^node '{name}' \([\d.]+\) cannot read images in '{bucket}': {reason}.*nothing was computed$"
        with pytest.raises(NodeError, match=expected):
            extract_features(request)
    assert list(cache.rglob("*.h5")) == []


def test_nodes_that_can_read_it_extract_from_it(cluster: TestCluster, s3: str, cache: Path) -> None:
    summary = extract_features(make_request(put(s3, make_photos()), cache))
    assert summary.extracted == len(make_photos())


def test_one_image_of_each_bucket_is_asked_for_that_is_there(s3: str, tmp_path: Path) -> None:
    forget_clients()
    shard = write_tar(tmp_path / "a.tar", make_photos()).read_bytes()
    put(s3, {"1.png": make_png(1), "2.png": make_png(2), "shards/a.tar": shard})
    put("memory://other", {"3.png": make_png(3)})
    (tmp_path / "here.png").write_bytes(make_png(4))
    rows = ["here.png", f"{s3}/gone.png", f"{s3}/2.png", f"{s3}/1.png", "memory://other/3.png"]
    (tmp_path / "a.csv").write_text("\n".join(["path,label", *(f"{row},x" for row in rows)]))
    listing = list_images(str(tmp_path / "a.csv"))
    root = s3.removesuffix("/some/folder")
    found = dict(find_far_images(listing, np.arange(len(listing))))
    assert found == {root: listing.files.find(f"{s3}/2.png"), "memory://other": listing.files.find(rows[-1])}
    # Only of what has to be read.
    assert list(dict(find_far_images(listing, np.array([0, 4])))) == ["memory://other"]
    shards = list_images(f"{s3}/shards")
    assert list(dict(find_far_images(shards, np.arange(len(shards))))) == [root]
    for file in (*found.values(), shards.files.find(shards.paths[0])):
        file.check_access()
