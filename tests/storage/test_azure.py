"""Azure Blob Storage, as Azurite speaks it: what goes wrong is one clear line, and no key is ever printed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from featx.errors import StoreError
from featx.storage import client
from featx.storage.interface import storage_of
from featx.storage.paths import ObjectPath, parse_cache
from featx.storage.reading import list_objects, read_object
from featx.store.store import FeatureStore
from tests.storage import azure
from tests.storage.conftest import forget_clients
from tests.store.samples import KEY, fill, make_digests

Featx = Callable[..., Any]
EXTRACT = ("extract", "digits", "--base", "tiny", "-l", "layer4")


@pytest.mark.parametrize(
    ("container", "said"),
    [
        ("no-such-container", "there is no bucket 'az://no-such-container': make it, or correct its name"),
        ("Capitals", "there is no bucket 'az://Capitals', since none may have this name: correct it"),
        ("no", "there is no bucket 'az://no', since none may have this name: correct it"),
    ],
)
def test_a_wrong_container_is_one_line(az: str, featx: Featx, container: str, said: str) -> None:
    for words in (("cache", "ls"), ("cache", "verify"), EXTRACT):
        result = featx(*words, "--cache", f"az://{container}/features")
        assert result.exit_code == 1
        assert result.error == said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ACCOUNT_KEY", "c2VjcmV0LWtleQ==", "'az://.*' refuses access (403 Forbidden, AuthorizationFailure): check"),
        ("ACCOUNT_KEY", "secret-key!", "the credentials for 'az://.*' cannot be read: check AZURE_STORAGE_ACCOUNT_N"),
        ("ACCOUNT_NAME", None, "there are no credentials for 'az://.*': set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STO"),
        ("ENDPOINT", "http://127.0.0.1:9/secret-path", "'az://.*' cannot be reached: error sending request"),
    ],
)
def test_credentials_and_servers_that_are_wrong_are_one_line_without_secrets(
    az: str, featx: Featx, monkeypatch: pytest.MonkeyPatch, name: str, value: str | None, said: str
) -> None:
    monkeypatch.setattr(client.time, "sleep", lambda seconds: None)
    if value is None:
        monkeypatch.delenv(f"AZURE_STORAGE_{name}")
    else:
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    forget_clients()
    result = featx("cache", "ls", "--cache", az)
    assert result.exit_code == 1
    assert re.match(re.escape(said).replace(r"\.\*", ".*"), result.error)
    assert "\n" not in result.error
    for secret in ("secret", "c2Vj", azure.KEY):
        assert secret not in result.output


def test_without_a_key_the_machine_is_asked_and_then_the_line_says_which_to_set(
    az: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    # A machine that gives none.
    monkeypatch.setenv("AZURE_MSI_ENDPOINT", "http://127.0.0.1:9/metadata/identity/oauth2/token")
    forget_clients()
    with pytest.raises(StoreError, match="no credentials for 'az://.*': set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STOR"):
        FeatureStore(parse_cache(az)).missing(KEY, make_digests(2))


def test_a_token_that_gives_some_rights_only_reads_and_is_refused_the_rest(
    az: str, featx: Featx, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rows = fill(parse_cache(az), parts=2)
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", azure.make_token(az.split("/")[2], "rl"))
    forget_clients()
    assert not store.missing(KEY, rows).any()
    refused = featx("cache", "rm", KEY.folder, "--yes", "--cache", az)
    # Azure deletes by requests of several, which succeed; each deletion in them has a code of its own.
    assert re.match(r"'az://.*' refuses access \(403\): check the credentials and their rights", refused.error)
    refused = featx(*EXTRACT, "--cache", az)
    assert "refuses access (403 Forbidden, AuthorizationPermissionMismatch)" in refused.error
    assert "sig" not in refused.output


@pytest.mark.parametrize("length", [5, 50])
def test_an_object_that_is_shorter_now_has_changed(az: str, length: int) -> None:
    place = parse_cache(az)
    assert isinstance(place, ObjectPath)
    storage_of(place).write_file(place / "a", [bytes(100)])
    (entry,) = list_objects(place).entries
    storage_of(place).write_file(place / "a", [bytes(length)])
    # Not the bucket is to blame, which would end a run.
    with pytest.raises(FileNotFoundError, match="no such object"):
        read_object(place / "a", entry.tag, 50, 60)
