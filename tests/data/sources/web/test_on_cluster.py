"""Photos at addresses of the web, extracted on a Ray cluster: items hold addresses, and workers fetch."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from featx.base_choice import BaseChoice
from featx.bases.loading import open_base
from featx.data.digest_cache import digest_all
from featx.data.sources import list_images
from featx.requests import ExtractRequest
from featx.runners.local import list_feature_keys
from featx.store.store import FeatureStore
from featx.workflows.extract import extract_features
from tests.data.sources.archives.making import make_photos
from tests.data.sources.web.server import WebServer, answer_with_length
from tests.data.sources.web.test_web_files import server, write_table
from tests.runners.clusters import started

__all__ = ["server"]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")]


def test_workers_of_a_cluster_fetch_what_rows_name(server: WebServer, tmp_path: Path) -> None:
    photos = make_photos(count=40)
    server.files |= {f"/{name}": data for name, data in photos.items()}
    server.answers["/cut.png"] = answer_with_length(1000, b"x")
    table = write_table(tmp_path / "rows.csv", [f"{server.url}/{name}" for name in [*photos, "cut.png", "none.png"]])
    alone = ExtractRequest(table, BaseChoice("tiny", "random"), ("layer1",), cache=tmp_path / "alone", workers=1)
    with started(1):
        on_cluster = ExtractRequest(table, alone.base, alone.layers, cache=tmp_path / "cache", runner="ray")
        summary = extract_features(on_cluster)
    assert {failed.path: failed.reason for failed in summary.failed} == {
        f"{server.url}/cut.png": "the connection was cut",
        f"{server.url}/none.png": "the server has nothing there (404 Not Found)",
    }
    extract_features(alone)
    key = list_feature_keys(open_base(alone.base), alone)[0]
    digests = digest_all(tmp_path / "alone", list_images(table)).digests
    assert len(digests) == len(photos)
    ours, expected = (FeatureStore(cache).get(key, digests) for cache in (on_cluster.cache, alone.cache))
    assert np.array_equal(ours, expected)
