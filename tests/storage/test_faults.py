"""An S3 server behind a network that fails, and writers that are killed: no row is lost, no number is wrong."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from featx.errors import StoreError
from featx.storage.paths import parse_cache
from featx.store.base_json import StoredBase
from featx.store.compact import compact
from featx.store.store import FeatureStore
from featx.store.verify import verify
from tests.storage.conftest import forget_clients
from tests.storage.proxy import FAULTS, Proxy
from tests.store.samples import KEY, features_of, make_digests

IS_LONG = bool(os.environ.get("FEATX_STRESS"))
PROXY_KILLS = 20 if IS_LONG else 3
WRITER_KILLS = 50 if IS_LONG else 4
EXTRACTION_KILLS = 12 if IS_LONG else 2
PARTS = 60 if IS_LONG else 12
ROWS = make_digests(200)
WIDE = (500,)
ENDPOINTS = {"s3": "AWS_ENDPOINT_URL", "az": "AZURE_STORAGE_ENDPOINT"}
"""What a server is named by in the environment."""


@pytest.fixture
def proxy(s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    made = Proxy(s3_server, FAULTS)
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
    forget_clients()
    yield made
    made.kill()


def go_direct(s3_server: str, monkeypatch: pytest.MonkeyPatch, copies: Path) -> None:
    """Ask the server itself from now on, and have no copies."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("FEATX_LOCAL_CACHE", str(copies))
    forget_clients()


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_a_bad_network_loses_no_row_and_changes_no_number(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = request.getfixturevalue(kind)
    server = os.environ[ENDPOINTS[kind]]
    proxy = Proxy(server, FAULTS)
    monkeypatch.setenv(ENDPOINTS[kind], proxy.url + urlsplit(server).path)
    forget_clients()
    store = FeatureStore(parse_cache(url))
    store.describe(StoredBase(KEY.base, "random", (), True))
    digests = make_digests(20 * PARTS)
    reported = []
    for some in np.split(digests, PARTS):
        try:
            store.add(KEY, some, features_of(some, WIDE), {})
            reported.append(some)
        # A part that met nothing but faults is not reported.
        except StoreError:
            continue
    assert len(reported) >= 0.9 * PARTS
    rows = np.concatenate(reported)
    monkeypatch.setenv("FEATX_LOCAL_CACHE", str(tmp_path / "others"))
    forget_clients()
    assert np.array_equal(store.get(KEY, rows), features_of(rows, WIDE))
    # Faults are those of connections, which some servers keep for several requests.
    assert sum(proxy.counts.values()) - proxy.counts["none"] >= PARTS / 4
    proxy.kill()
    monkeypatch.setenv(ENDPOINTS[kind], server)
    monkeypatch.setenv("FEATX_LOCAL_CACHE", str(tmp_path / "more"))
    forget_clients()
    assert np.array_equal(store.get(KEY, rows), features_of(rows, WIDE))
    assert verify(store.root).problems == []


@pytest.mark.stress
def test_a_proxy_that_is_killed_again_and_again_only_costs_time(
    s3: str, s3_server: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    proxy.faults = ("none",)
    is_done = threading.Event()
    dice = random.Random(0)
    kills: list[float] = []

    def kill() -> None:
        while not is_done.wait(dice.uniform(0.1, 1.0)):
            proxy.kill()
            kills.append(time.time())
            time.sleep(0.2)
            proxy.start()

    killer = threading.Thread(target=kill)
    killer.start()
    store = FeatureStore(parse_cache(s3))
    written = []
    number = 0
    try:
        while len(kills) < PROXY_KILLS:
            number += 1
            some = make_digests(20, seed=number)
            # On a busy machine no request may come through between kills: what is not reported is not promised.
            with suppress(StoreError):
                store.add(KEY, some, features_of(some, WIDE), {})
                written.append(some)
                monkeypatch.setenv("FEATX_LOCAL_CACHE", str(tmp_path / f"copies{number}"))
                forget_clients()
                assert np.array_equal(store.get(KEY, some), features_of(some, WIDE))
    finally:
        is_done.set()
        killer.join()
    assert written
    rows = np.concatenate(written)
    go_direct(s3_server, monkeypatch, tmp_path / "direct")
    assert np.array_equal(store.get(KEY, rows), features_of(rows, WIDE))


@pytest.mark.stress
def test_writers_that_are_killed_lose_nothing_that_they_reported(
    s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import boto3

    place = parse_cache(s3)
    store = FeatureStore(place)
    dice = random.Random(1)
    reported: set[int] = set()
    kills = 0
    patience = 0.6
    while kills < WRITER_KILLS:
        works = ("add", "add") if dice.random() < 0.7 else ("add", "compact")
        writers = [start_writer(work, s3) for work in works]
        time.sleep(dice.uniform(0.2, patience))
        for writer in writers:
            writer.kill()
            output, _ = writer.communicate()
            kills += writer.returncode == -signal.SIGKILL
            reported |= {int(line) for line in output.splitlines()}
        done = [ROWS[10 * number : 10 * number + 10] for number in sorted(reported)]
        if done:
            rows = np.concatenate(done)
            assert np.array_equal(store.get(KEY, rows), features_of(rows)), "a wrong number"
        if len(reported) == 20:
            store.remove(KEY)
            reported.clear()
            patience = 0.6
        patience *= 1.2
    last = start_writer("add", s3)
    assert last.wait() == 0
    last.communicate()
    compact(place)
    go_direct(s3_server, monkeypatch, tmp_path / "direct")
    assert np.array_equal(store.get(KEY, ROWS), features_of(ROWS))
    assert [problem.problem for problem in verify(place).problems if "base.json" not in problem.path] == []
    bucket = boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1")
    assert "Uploads" not in bucket.list_multipart_uploads(Bucket=place.bucket.removeprefix("s3://"))


def start_writer(work: str, url: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(__file__).with_name("writing.py")), work, url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.stress
def test_an_extraction_that_is_killed_behind_a_bad_network_ends_with_the_features_of_a_folder(
    s3: str, s3_server: str, proxy: Proxy, photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    local = tmp_path / "local"
    assert start_extraction(photos, str(local)).wait() == 0
    dice = random.Random(0)
    kills = 0
    patience = 4.0
    while kills < EXTRACTION_KILLS:
        process = start_extraction(photos, s3)
        # Importing takes two seconds or so; then parts are written.
        try:
            process.wait(dice.uniform(1.5, patience))
            FeatureStore(parse_cache(s3)).remove(FeatureStore(local).keys()[0].key)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    # A network that is bad enough stops it with an error; then it goes on where it was.
    for _ in range(10):
        if start_extraction(photos, s3).wait() == 0:
            break
    go_direct(s3_server, monkeypatch, tmp_path / "direct")
    place = parse_cache(s3)
    assert verify(place).problems == []
    summaries = FeatureStore(local).keys()
    assert len(summaries) == 2
    for summary in summaries:
        rows = np.concatenate([header.digests.copy() for header in FeatureStore(local).headers(summary.key)])
        expected = FeatureStore(local).get(summary.key, rows)
        assert np.array_equal(FeatureStore(place).get(summary.key, rows), expected)


def start_extraction(photos: Path, cache: str) -> subprocess.Popen[bytes]:
    words = ["extract", str(photos), "--base", "tiny", "--weights", "random", "--layer", "layer2", "--layer", "layer4"]
    script = "from featx.cli.main import run; run()"
    return subprocess.Popen([sys.executable, "-c", script, *words, "--cache", cache, "-q"])
