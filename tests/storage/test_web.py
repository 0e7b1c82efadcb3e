"""Requests to web servers: hosts that are lost are not asked again and again, and errors tell nothing secret."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from featx.errors import StoreError
from featx.storage.addresses import WebAddress
from featx.storage.web import LOST_HOSTS, MOST_LOST, HostLost, ask_web, explain, look_at_all

HOST = WebAddress("https://gone.invalid", "/a.png?sig=SECRET")


@pytest.fixture(autouse=True)
def no_lost_hosts() -> Iterator[None]:
    LOST_HOSTS.counts.clear()
    yield
    LOST_HOSTS.counts.clear()


def test_a_host_that_is_lost_is_asked_a_few_times_and_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def fail() -> None:
        tries.append(1)
        raise RuntimeError("HTTP error: error sending request\n kind: Connect,\n ConnectError(dns error)")

    for _ in range(20):
        with pytest.raises(
            HostLost, match=r"^'https://gone.invalid' cannot be reached: there is no host of this name$"
        ):
            ask_web(HOST, fail)
    assert len(tries) == MOST_LOST
    # Others are asked, and so is this one later.
    assert ask_web(WebAddress("https://other.invalid", "/"), lambda: 1) == 1
    monkeypatch.setattr("featx.storage.web.LOST_SECONDS", 0.0)
    assert ask_web(HOST, lambda: 2) == 2
    assert not LOST_HOSTS.counts


def test_a_host_that_answers_now_and_then_is_not_lost() -> None:
    def fail() -> None:
        raise RuntimeError("kind: Connect,")

    for _ in range(3 * MOST_LOST):
        with pytest.raises(HostLost, match="no connection can be made"):
            ask_web(HOST, fail)
        assert ask_web(HOST, lambda: 1) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Error performing GET https://me:SECRET@h/a?sig=SECRET - Server returned non-2xx status code: 418 SECRET-body",
        "Error performing GET https://h/a?sig=SECRET in 1s - HTTP error: error sending request",
        "Generic HTTP error at https://h/a?sig=SECRET",
    ],
)
def test_errors_tell_no_address_and_no_body(text: str) -> None:
    error = explain(text, "https://h")
    assert isinstance(error, StoreError)
    assert "SECRET" not in str(error)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "kind: Connect,\n source: Custom { error: InvalidCertificate(UnknownIssuer) }",
            "its certificate is not trusted",
        ),
        ("kind: Connect,\n Os { code: 111, kind: ConnectionRefused }", "it refuses connections"),
        ("kind: Timeout,\n source: reqwest::Error {\n kind: Request,\n source: TimedOut", "it does not answer in time"),
    ],
)
def test_why_a_host_is_lost_is_said(text: str, said: str) -> None:
    error = explain(f"HTTP error: error sending request\n{text}", "https://h")
    assert isinstance(error, HostLost)
    assert str(error) == f"'https://h' cannot be reached: {said}"


def test_ctrl_c_waits_for_no_answer() -> None:
    pytest.importorskip("obstore", reason="obstore is not installed: no address of the web can be read")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        started = time.monotonic()
        try:
            with pytest.raises(KeyboardInterrupt):
                look_at_all([f"{url}/{number}.png" for number in range(100)])
        finally:
            signal.signal(signal.SIGINT, before)
        # An answer is waited for 30 seconds, and sixteen are asked for at a time.
        assert time.monotonic() - started < 15
