"""Google Cloud Storage: what goes wrong is one clear line. Its objects are in the contract tests, on an S3 server."""

from __future__ import annotations

from pathlib import Path

import pytest

from featx.errors import StoreError
from featx.storage import client
from featx.storage.client import make_client
from featx.storage.paths import parse_cache
from featx.store.store import FeatureStore
from tests.storage.conftest import forget_clients
from tests.store.samples import KEY, make_digests


def test_a_wrong_bucket_is_named(gs: str) -> None:
    with pytest.raises(StoreError, match="there is no bucket 'gs://nosuchbucket': make it, or correct its name"):
        FeatureStore(parse_cache("gs://nosuchbucket/x")).missing(KEY, make_digests(2))


def test_without_credentials_the_line_says_which_to_set(
    gs: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GOOGLE_BEARER_TOKEN")
    # A machine that gives none.
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("GCE_METADATA_IP", "127.0.0.1:9")
    # Nor has this user any.
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("APPLICATION_CREDENTIALS", "SERVICE_ACCOUNT", "SERVICE_ACCOUNT_PATH", "SERVICE_ACCOUNT_KEY"):
        monkeypatch.delenv(f"GOOGLE_{name}", raising=False)
    forget_clients()
    with pytest.raises(
        StoreError, match="no credentials for 'gs://.*': set GOOGLE_APPLICATION_CREDENTIALS, or run `gc"
    ):
        FeatureStore(parse_cache(gs)).missing(KEY, make_digests(2))


def test_a_server_that_is_not_there_is_named(gs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("GOOGLE_BASE_URL", "http://127.0.0.1:9")
    forget_clients()
    with pytest.raises(StoreError, match=r"'gs://.*' cannot be reached: error sending request"):
        FeatureStore(parse_cache(gs)).missing(KEY, make_digests(2))


@pytest.mark.parametrize(
    "content", ["secret-key", '"secret-key"', '{"type": "service_account", "private_key": "secret']
)
def test_a_file_of_credentials_that_cannot_be_read_is_not_quoted(
    gs: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    (tmp_path / "account.json").write_text(content)
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "account.json"))
    forget_clients()
    with pytest.raises(StoreError, match="credentials for 'gs://.*' cannot be read: check GOOGLE_APPL") as raised:
        make_client(gs.removesuffix("/some/folder"))
    assert "secret" not in str(raised.value)
