"""What goes wrong with a bucket is one clear line, which holds no secret."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from featx.errors import RequestError, StoreError
from featx.storage import client
from featx.storage.client import ask, describe, translate
from featx.storage.paths import ObjectPath, parse_cache
from featx.store.store import FeatureStore
from tests.storage.conftest import CREDENTIALS, forget_clients
from tests.store.samples import KEY, make_digests

Featx = Callable[..., Any]
PATH = ObjectPath("s3://bucket", "features/x")
EXTRACT = ("extract", "digits", "--base", "tiny", "-l", "layer4")


def test_a_wrong_bucket_is_one_line_before_anything_is_computed(featx: Featx, s3: str) -> None:
    for words in (("cache", "ls"), ("cache", "verify"), EXTRACT):
        result = featx(*words, "--cache", "s3://no-such-bucket/features")
        assert result.exit_code == 1
        assert result.error == "there is no bucket 's3://no-such-bucket': make it, or correct its name"


def test_without_credentials_the_line_says_which_to_set(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    # A machine that gives none.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9/latest")
    forget_clients()
    with pytest.raises(StoreError, match="no credentials for 's3://features-.*': set AWS_ACCESS_KEY_ID and AWS_SECRET"):
        FeatureStore(parse_cache(s3)).missing(KEY, make_digests(2))


def test_a_server_that_is_not_there_is_tried_again_and_named_without_secrets(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(client.time, "sleep", pauses.append)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    forget_clients()
    with pytest.raises(StoreError, match=r"'s3://.*' cannot be reached: error sending request") as raised:
        FeatureStore(parse_cache(s3)).missing(KEY, make_digests(2))
    assert len(pauses) == client.TRIES - 1
    assert raised.value.__cause__ is None
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in str(raised.value)


def test_errors_of_servers_are_worded_without_addresses() -> None:
    denied = RuntimeError(
        "Generic S3 error: Error performing GET https://bucket/x?X-Amz-Signature=abc in 2ms - Server returned non-2xx "
        "status code: 403 Forbidden: <Error><Code>SignatureDoesNotMatch</Code></Error>"
    )
    line = str(translate(denied, PATH))
    assert line == (
        "'s3://bucket' refuses access (403 Forbidden, SignatureDoesNotMatch): check the credentials and their rights"
    )
    assert describe("Generic Azure error: https://account/x?sig=secret failed") == "Generic Azure error:"


def test_a_bucket_of_another_region_is_named_at_once() -> None:
    error = RuntimeError(
        "Generic S3 error: Error performing HEAD http://s3.eu-west-1.amazonaws.com/bucket/x in 2.6ms - Received "
        "redirect without LOCATION, this normally indicates an incorrectly configured region"
    )
    line = translate(error, PATH)
    assert str(line) == "'s3://bucket' lies in another region than AWS_REGION says: set that to its own"
    assert not isinstance(line, client.LostConnection)


def test_only_what_may_work_later_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.time, "sleep", lambda seconds: None)
    texts = {"status code: 503 Service Unavailable": client.TRIES, "status code: 400 Bad Request": 1}
    for text, expected in texts.items():
        calls = []

        def fail(text: str = text, calls: list[int] = calls) -> None:
            calls.append(1)
            raise RuntimeError(text)

        with pytest.raises(StoreError, match="cannot be reached"):
            ask(PATH, fail)
        assert len(calls) == expected


def test_without_obstore_the_line_names_the_extra(tmp_path: Path) -> None:
    script = (
        "import sys\nsys.modules['obstore'] = None\nfrom featx.cli.main import run\n"
        "run(['cache', 'ls', '--cache', 's3://bucket/x'])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    line = "error: 's3://bucket' lies in an object store, which needs obstore: pip install 'featx[cloud]'"
    assert done.stderr.strip() == line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["s3://", "s3:///", "s3://bucket/../other", "http://host/x", "S3://bucket"])
def test_urls_that_name_no_bucket_are_refused(url: str) -> None:
    with pytest.raises(RequestError, match="names no bucket|is a URL of an unknown kind"):
        parse_cache(url)


def test_a_url_is_written_again_as_it_was_read() -> None:
    assert str(parse_cache("s3://bucket/some/folder/")) == "s3://bucket/some/folder"
    assert str(parse_cache("gs://bucket")) == "gs://bucket"
    # As pathlib leaves them.
    assert parse_cache(Path("az://container/x")) == parse_cache("az://container/x")
    assert parse_cache("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")


def test_ctrl_c_does_not_wait_for_a_server_that_hangs(tmp_path: Path) -> None:
    pytest.importorskip("obstore", reason="obstore is not installed: no object store can be reached")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        script = "from featx.cli.main import run; run(['cache', 'ls', '--cache', 's3://bucket/x'])"
        process = subprocess.Popen(
            [sys.executable, "-c", script], env={**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": url}
        )
        # The request has come.
        silent.settimeout(60)
        connection, _ = silent.accept()
        assert connection.recv(10)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        connection.close()
