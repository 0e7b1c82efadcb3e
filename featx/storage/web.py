"""Reads files at addresses of the web: what a server says of one, and its bytes whole.

What is wrong with one address is wrong with that one only. obstore's errors are never shown as they are, nor chained.
"""

from __future__ import annotations

import errno
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar

from featx.errors import DataError, StoreError
from featx.storage.addresses import WebAddress, parse_address, split_for_client
from featx.storage.client import (
    FETCHING_THREADS,
    LostConnection,
    describe,
    find_status,
    heed_stop,
    import_stores,
    wait_for,
)
from featx.storage.reading import ObjectChanged, ObjectEntry

T = TypeVar("T")

MOST_CLIENTS = 64
"""Clients that are kept: each takes 0.1 MB, and 4 ms to make."""

WEB_CLIENT = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "5m"}
"""The last is of a whole answer."""

WEB_RETRY = {"max_retries": 2, "retry_timeout": timedelta(seconds=20)}
"""Of single requests, as for buckets: fewer, since a list may name thousands of addresses that are no more."""

PAUSE = 1.0
"""Seconds before a request is made once more that failed half-way."""

MOST_LOST = 4
"""Requests in a row that find no way to a host, after which it is not asked for `LOST_SECONDS`."""

LOST_SECONDS = 60.0
"""So a host that is down costs a list of a million rows no more than its first few."""


class HostLost(LostConnection):
    """There is no way to a host, or it does not answer."""


@lru_cache(maxsize=MOST_CLIENTS)
def make_web_client(base: str) -> Any:
    """Make the client of a host.

    Raises
    ------
    RequestError
        If obstore is not installed.
    StoreError
        If there can be no such host.
    """
    # What is needed is said without a query, which may hold a signature.
    host = "/".join(base.split("/")[:3])
    store = import_stores(f"'{host}' is asked by a client for object stores")
    import featx

    # An encrypted address never leads to one that is not.
    options = {**WEB_CLIENT, "allow_http": base.startswith("http:"), "user_agent": f"featx/{featx.__version__}"}
    try:
        return store.HTTPStore.from_url(base, client_options=options, retry_config=WEB_RETRY)
    # obstore has errors of its own for each kind of mistake.
    except Exception:
        raise StoreError(f"'{host}' is not the name of a host") from None


class LostHosts:
    """Counts, by host, requests in a row that found no way to it."""

    def __init__(self) -> None:
        self.counts: dict[str, tuple[int, float, str]] = {}

    def check(self, host: str) -> None:
        """Refuse a host that was lost just now.

        Raises
        ------
        HostLost
            With what was wrong.
        """
        count, since, reason = self.counts.get(host, (0, 0.0, ""))
        if count >= MOST_LOST and time.monotonic() - since < LOST_SECONDS:
            raise HostLost(reason)

    def note_loss(self, host: str, reason: str) -> None:
        """Count a request."""
        count = self.counts.get(host, (0, 0.0, ""))[0]
        self.counts[host] = (count + 1, time.monotonic(), reason)

    def note_answer(self, host: str) -> None:
        """Forget what was counted of a host that answers."""
        self.counts.pop(host, None)


LOST_HOSTS = LostHosts()
"""Of all threads of this process."""


def ask_web(address: WebAddress, request: Callable[[], T]) -> T:
    """Make a request, once more where it failed half-way, and word its errors.

    Raises
    ------
    FileNotFoundError
        If the server has nothing there.
    StoreError
        If the server refuses, or cannot be reached.
    """
    try:
        return ask_web_once(address, request)
    except HostLost:
        raise
    except LostConnection:
        time.sleep(PAUSE)
    return ask_web_once(address, request)


def ask_web_once(address: WebAddress, request: Callable[[], T]) -> T:
    """Make a request and word its errors."""
    LOST_HOSTS.check(address.host)
    try:
        answer = wait_for(request)
    except (StoreError, KeyboardInterrupt):
        raise
    # Built-in errors and those of obstore, which are not derived from anything but Exception.
    except Exception as error:
        worded = explain(str(error), address.host)
        if isinstance(worded, HostLost):
            LOST_HOSTS.note_loss(address.host, str(worded))
        raise worded from None
    LOST_HOSTS.note_answer(address.host)
    return answer


PERMANENT = (
    (r"Content-Length Header missing|Invalid content length", "the server does not say how long its answer is"),
    (r"TooManyRedirects", "the server sends from one address to the next without end"),
    (r"redirect without LOCATION", "the server sends to another address and does not say to which"),
    (r"kind: Builder|BadScheme", "the server sends to an address that is not https://"),
)
"""Parts of errors that come again, and what they mean."""

LOST = (
    (r"[Cc]ertificate", "its certificate is not trusted"),
    (r"dns error", "there is no host of this name"),
    (r"ConnectionRefused", "it refuses connections"),
    (r"kind: Connect\b", "no connection can be made"),
    (r"kind: Request,\s+source: TimedOut", "it does not answer in time"),
)
"""Parts of errors of which the host is the cause, and what they mean."""


def explain(text: str, host: str) -> OSError:
    """Word an error of obstore, without addresses and signatures that it may hold."""
    status = find_status(text)
    if status in (404, 410):
        return FileNotFoundError(errno.ENOENT, f"the server has nothing there ({describe(text)})")
    if status in (401, 403):
        return StoreError(f"the server refuses access ({describe(text)})")
    if status is not None:
        # obstore has asked again already where that may help.
        return StoreError(f"the server answers '{describe(text)}'")
    for pattern, meaning in PERMANENT:
        if re.search(pattern, text):
            return StoreError(meaning)
    for pattern, meaning in LOST:
        if re.search(pattern, text):
            return HostLost(f"'{host}' cannot be reached: {meaning}")
    if re.search(r"TimedOut|kind: Timeout", text):
        return LostConnection("the answer did not come to its end in time")
    return LostConnection("the connection was cut")


def read_entry(meta: Any, address: WebAddress) -> ObjectEntry:
    """Take what a server says of a file; without a tag where nothing would show a change."""
    modified = int(meta["last_modified"].timestamp() * 1e9)
    # Weak tags are for bytes that may differ in what no reader sees, and some servers give both kinds.
    tag = (meta["e_tag"] or "").removeprefix("W/") or (str(modified) if modified > 0 else "")
    return ObjectEntry(address.path, meta["size"], tag, modified)


def is_head_unknown(text: str) -> bool:
    """Whether an error may come of asking for what is said of a file, and not for the file itself.

    Some servers know no such request, or refuse it, since the signature of an address is for one kind of request; some
    answer it without a length.
    """
    return (
        find_status(text) in (400, 401, 403, 405, 406, 501)
        or re.search("content.length", text, re.IGNORECASE) is not None
    )


def look_at(url: str) -> ObjectEntry:
    """Ask for length and tag of a file.

    Raises
    ------
    DataError
        If it is no address.
    FileNotFoundError
        If the server has nothing there.
    StoreError
        If it refuses, or cannot be reached.
    RequestError
        If obstore is not installed.
    """
    address = parse_address(url)
    base, name = split_for_client(address)
    client = make_web_client(base)

    def ask_head() -> Any:
        try:
            meta = client.head(name)
        except Exception as error:
            if is_head_unknown(str(error)):
                return client.get(name).meta
            raise
        # Some answer it without the length that they would send.
        return meta if meta["size"] else client.get(name).meta

    return read_entry(ask_web(address, ask_head), address)


def look_at_all(urls: Sequence[str]) -> list[ObjectEntry | OSError | DataError]:
    """Ask for files, several at a time: what a server says of each, or why it says nothing.

    Raises
    ------
    RequestError
        If obstore is not installed.
    """
    stop = threading.Event()

    def look(url: str) -> ObjectEntry | OSError | DataError:
        try:
            return look_at(url)
        except (OSError, DataError) as error:
            return error

    pool = ThreadPoolExecutor(FETCHING_THREADS, "look", initializer=heed_stop, initargs=(stop,))
    try:
        return list(pool.map(look, urls))
    except BaseException:
        # Such as Ctrl-C: nobody waits for answers any more.
        stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def read_address(url: str, tag: str, size: int) -> bytes:
    """Read a file whole, if it still is what the server said of it.

    Raises
    ------
    ObjectChanged
        If it is not; nothing is read then, so it never takes more memory than was said.
    OSError
        As `look_at` does.
    RequestError
        If obstore is not installed.
    """
    address = parse_address(url)
    base, name = split_for_client(address)
    client = make_web_client(base)

    def read() -> bytes | None:
        result = client.get(name)
        entry = read_entry(result.meta, address)
        if (entry.tag, entry.size) != (tag, size):
            return None
        data = bytes(result.bytes())
        if len(data) != size:
            raise LostConnection("the connection was cut")
        return data

    data = ask_web(address, read)
    if data is None:
        raise ObjectChanged("it was changed after the server was asked for its length: run the command again")
    return data
