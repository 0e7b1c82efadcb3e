"""Places that a cache may lie in: a folder, and buckets in memory, in a folder, of an S3 server and of Azurite."""

from __future__ import annotations

import logging
import os
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from featx.storage.client import make_client
from featx.storage.objects import storage_of_bucket
from featx.storage.paths import CachePath, parse_cache
from tests.storage import azure

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


GOOGLE_LACKS = "moto knows neither copies nor conditions of Google's, nor does any emulator that lists objects"
"""Why tests of moving objects are skipped there."""


def forget_clients() -> None:
    """Let the next request read the environment again."""
    make_client.cache_clear()
    storage_of_bucket.cache_clear()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """An S3 server on this machine: its address."""
    server_module = pytest.importorskip("moto.server", reason="moto or flask is not installed: no S3 server here")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty folder in a bucket of that server, whose credentials stand in the environment."""
    pytest.importorskip("obstore", reason="obstore is not installed: no object store can be reached")
    import boto3

    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": s3_server}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FEATX_LOCAL_CACHE", str(tmp_path / "copies"))
    forget_clients()
    bucket = f"features-{uuid.uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1").create_bucket(Bucket=bucket)
    yield f"s3://{bucket}/some/folder"
    forget_clients()


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An Azurite on this machine: its address."""
    program = azure.find_azurite()
    if program is None:
        pytest.skip("Azurite is not installed: npm ci --prefix .ci/azurite, or name azurite-blob in FEATX_AZURITE")
    with azure.running(program, tmp_path_factory.mktemp("azurite")) as address:
        yield address


@pytest.fixture
def az(azure_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty folder in a container of that server, whose credentials stand in the environment."""
    pytest.importorskip("obstore", reason="obstore is not installed: no object store can be reached")
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", azure_server)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", azure.ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", azure.KEY)
    monkeypatch.setenv("FEATX_LOCAL_CACHE", str(tmp_path / "copies"))
    forget_clients()
    container = f"features-{uuid.uuid4().hex[:12]}"
    azure.make_container(azure_server, container)
    yield f"az://{container}/some/folder"
    forget_clients()


@pytest.fixture
def gs(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty folder by Google's protocol, which the S3 server speaks except for copies and conditions."""
    pytest.importorskip("obstore", reason="obstore is not installed: no object store can be reached")
    monkeypatch.setenv("GOOGLE_BASE_URL", s3_server)
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "not-a-secret")
    monkeypatch.setenv("FEATX_LOCAL_CACHE", str(tmp_path / "copies"))
    forget_clients()
    # obstore writes a hyphen as %2D, which the server does not read in names of buckets.
    bucket = f"features{uuid.uuid4().hex[:12]}"
    with urllib.request.urlopen(urllib.request.Request(f"{s3_server}/{bucket}", method="PUT"), timeout=60) as answer:
        assert answer.status == 200
    yield f"gs://{bucket}/some/folder"
    forget_clients()


@pytest.fixture(params=["folder", "memory", "file", "s3", "az", "gs"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CachePath]:
    """An empty cache of each kind."""
    if request.param == "folder":
        yield tmp_path / "cache"
        return
    pytest.importorskip("obstore", reason="obstore is not installed: no object store can be reached")
    monkeypatch.setenv("FEATX_LOCAL_CACHE", str(tmp_path / "copies"))
    forget_clients()
    urls = {"memory": f"memory://{uuid.uuid4().hex}/some/folder", "file": f"file://{tmp_path}/bucket"}
    url = urls[request.param] if request.param in urls else request.getfixturevalue(request.param)
    yield parse_cache(url)
    forget_clients()


@pytest.fixture
def place_of_moves(place: CachePath) -> CachePath:
    """An empty cache of each kind that objects can be moved in."""
    if str(place).startswith("gs://"):
        pytest.skip(GOOGLE_LACKS)
    return place


def list_copies() -> list[Path]:
    """List the copies that the local cache holds."""
    return sorted(path for path in (Path(os.environ["FEATX_LOCAL_CACHE"]) / "parts").rglob("part-*"))
