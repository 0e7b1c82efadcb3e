"""Clients of object stores, and what goes wrong with them in words.

Credentials are obstore's own business: it finds them in the environment, or asks the machine it runs on. Its errors are
never shown as they are, nor chained: they may hold addresses with signatures.
"""

from __future__ import annotations

import errno
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

from featx.errors import RequestError, StoreError
from featx.storage.paths import ObjectPath

T = TypeVar("T")

FETCHING_THREADS = 16
"""Requests that are made at a time: each takes some 20 ms, wherever a bucket is, and hardly any work."""

TRIES = 4
"""How often a request is made anew that failed half-way, each time with obstore's own retries."""

LISTEN_SECONDS = 0.25
"""How long Ctrl-C goes unheard at most."""

FIRST_PAUSE = 0.5
"""Seconds before the second try; each later pause is twice as long."""

MOST_SECONDS = 90.0
"""After this long no further try is begun."""

RETRY = {"max_retries": 4, "retry_timeout": timedelta(seconds=45)}
"""Of single requests: connections that are refused or cut, errors of the server, too many requests."""

CLIENT = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "15m"}
"""The last is of a whole request: 256 MiB at 0.3 MB/s."""

NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist", re.IGNORECASE)

NO_CREDENTIALS = re.compile(
    r"169\.254\.|metadata\.google|computeMetadata|/metadata/|/latest/|credentials? (not|were not) found|No credential|"
    r"Account must be specified"
)
"""Parts of errors that come where obstore has looked everywhere for credentials: at last it asks the machine itself."""


BAD_CREDENTIALS = re.compile(r"Invalid Access Key|SAS query|decode service account|CryptoProvider")
"""Parts of errors about keys that are none, which may quote some of them."""

BAD_BUCKET = re.compile(r"InvalidBucketName|InvalidResourceName|OutOfRangeInput")
"""Codes of errors about buckets of names that the service gives to none."""

NO_BYTES = re.compile(r"status code: 416|object was only \d+ bytes long")
"""Parts of errors about ranges beyond the end of an object: it has changed, or has no bytes, which stands for none."""

OTHER_REGION = re.compile(r"redirect without LOCATION|PermanentRedirect|AuthorizationHeaderMalformed")
"""Parts of errors of S3 about buckets that lie in another region than requests are made for."""

BAD_NAME = re.compile(r"invalid path|Could not parse path")
"""Parts of errors about names that obstore refuses: those with empty parts, `..` or control characters."""

CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (`aws configure export-credentials --format env` gives them)",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_USE_AZURE_CLI=true after `az login`",
}
"""Where the services' own tools and obstore look for them."""


OF_THREAD = threading.local()
"""What each thread has by itself: the event that ends its waiting."""


class LostConnection(StoreError):
    """A request that may work when it is made again."""


class BadName(StoreError):
    """A name that obstore refuses."""


@cache
def make_client(bucket: str) -> Any:
    """Make the client of a bucket, once in a process.

    Parameters
    ----------
    bucket : str
        Such as "s3://bucket", "memory://name" or "file:///folder".

    Raises
    ------
    RequestError
        If obstore is not installed.
    StoreError
        If the environment says something about the store that cannot be.
    """
    store = import_stores(f"'{bucket}' lies in an object store")
    scheme, _, name = bucket.partition("://")
    try:
        if scheme == "memory":
            return store.MemoryStore()
        if scheme == "file":
            return store.LocalStore(name, mkdir=True)
        kind = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}[scheme]
        return kind(name, client_options={**CLIENT, "allow_http": is_http_wanted()}, retry_config=RETRY)
    # obstore has errors of its own for each kind of mistake.
    except Exception as error:
        raise translate_refusal(str(error), bucket) from None


def import_stores(where: str) -> Any:
    """Import the clients of obstore.

    Parameters
    ----------
    where : str
        What they are needed for, as the beginning of a sentence.

    Raises
    ------
    RequestError
        If it is not installed.
    """
    try:
        from obstore import store
    except ImportError as error:
        raise RequestError(f"{where}, which needs obstore: pip install 'featx[cloud]'") from error
    return store


def is_http_wanted() -> bool:
    """Whether the user named a server without encryption, such as one of this machine."""
    names = (
        *("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
        *("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT", "GOOGLE_BASE_URL"),
    )
    return any(os.environ.get(name, "").startswith("http://") for name in names)


def ask(path: ObjectPath, request: Callable[[], T]) -> T:
    """Make a request, again where it failed half-way, and word its errors.

    Raises
    ------
    FileNotFoundError
        If there is no such object.
    StoreError
        If the bucket is not there, refuses, or cannot be reached after `TRIES` tries.
    """
    pause = FIRST_PAUSE
    end = time.monotonic() + MOST_SECONDS
    for _ in range(TRIES - 1):
        try:
            return ask_once(path, request)
        except LostConnection:
            if time.monotonic() > end:
                raise
            time.sleep(pause)
            pause *= 2
    return ask_once(path, request)


def ask_once(path: ObjectPath, request: Callable[[], T]) -> T:
    """Make a request and word its errors."""
    try:
        return wait_for(request)
    except (StoreError, KeyboardInterrupt):
        raise
    # Built-in errors and those of obstore, which are not derived from anything but Exception.
    except Exception as error:
        raise translate(error, path) from None


def heed_stop(stop: threading.Event | None) -> None:
    """Let requests of the calling thread be waited for only until an event is set, so that the thread can be joined."""
    OF_THREAD.stop = stop


def find_stop_event() -> threading.Event | None:
    """Find the event that ends the waiting of the calling thread."""
    return getattr(OF_THREAD, "stop", None)


def wait_for(request: Callable[[], T]) -> T:
    """Make a request so that Ctrl-C ends the waiting: in the main thread obstore would hear of it at the end only."""
    stop = find_stop_event()
    if stop is None and threading.current_thread() is not threading.main_thread():
        return request()
    outcome: Future[T] = Future()

    def make() -> None:
        try:
            outcome.set_result(request())
        # Whatever it is, the main thread raises it.
        except BaseException as error:
            outcome.set_exception(error)

    # A daemon: Python does not wait for it when it ends.
    threading.Thread(target=make, name="ask", daemon=True).start()
    # A signal that comes just before a wait would be heard at its end only.
    while not wait([outcome], LISTEN_SECONDS).done:
        if stop is not None and stop.is_set():
            raise StoreError("nobody waits for the answer any more")
    return outcome.result()


def translate_refusal(text: str, bucket: str) -> StoreError:
    """Word an error of obstore about what the environment says of a store."""
    needed = CREDENTIALS.get(bucket.partition(":")[0], "them")
    if NO_CREDENTIALS.search(text):
        return StoreError(f"there are no credentials for '{bucket}': set {needed}")
    if BAD_CREDENTIALS.search(text):
        return StoreError(f"the credentials for '{bucket}' cannot be read: check {needed}")
    return StoreError(f"'{bucket}' cannot be reached: {describe(text)}")


def translate(error: Exception, path: ObjectPath) -> OSError:
    """Word an error of obstore, without addresses and signatures that it may hold."""
    text = str(error)
    if NO_BUCKET.search(text):
        return StoreError(f"there is no bucket '{path.bucket}': make it, or correct its name")
    if BAD_BUCKET.search(text):
        return StoreError(f"there is no bucket '{path.bucket}', since none may have this name: correct it")
    if isinstance(error, FileNotFoundError) or NO_BYTES.search(text):
        return FileNotFoundError(errno.ENOENT, "no such object", str(path))
    if OTHER_REGION.search(text):
        return StoreError(f"'{path.bucket}' lies in another region than AWS_REGION says: set that to its own")
    if BAD_NAME.search(text):
        named = re.search(r'"(.*?)"', text.partition("\n")[0])
        which = ascii(named[1]) if named else "one"
        return BadName(f"'{path}' cannot be read, since no object may have a name like {which}: rename it")
    kind = type(error).__name__
    status = find_status(text)
    if NO_CREDENTIALS.search(text):
        return translate_refusal(text, path.bucket)
    if is_refused(kind, status):
        return StoreError(f"'{path.bucket}' refuses access ({describe(text)}): check the credentials and their rights")
    what = f"'{path}' cannot be reached: {describe(text)}"
    return StoreError(what) if status is not None and 400 <= status < 500 else LostConnection(what)


def is_refused(kind: str, status: int | None) -> bool:
    """Whether an error says that the credentials do not suffice."""
    return kind in ("PermissionDeniedError", "UnauthenticatedError") or status in (401, 403)


def find_status(text: str) -> int | None:
    """Find the status of HTTP that an error states."""
    # Azure deletes by requests of several, whose answers have codes of their own.
    match = re.search(r"(?:status |\()code: (\d{3})", text)
    return int(match[1]) if match else None


def quote_tag(tag: str) -> str:
    """Write the tag of an object as answers to requests for it do: lists of Azure leave the quotes out."""
    return tag if tag.endswith('"') else f'"{tag}"'


def describe(text: str) -> str:
    """Give what an error says in a few words: the status and the server's code, or what happened on the way."""
    code = re.search(r"<Code>(\w{1,60})</Code>", text)
    status = re.search(r"status code: (\d{3}(?: [A-Z][a-z]+)*)", text)
    if status:
        return status[1] + (f", {code[1]}" if code else "")
    one_of_several = re.search(r"\(code: (\d{3})\)", text)
    if one_of_several:
        return one_of_several[1]
    way = re.search(r"HTTP error: ([a-z ]{1,60})", text)
    if way:
        return way[1].strip()
    # The first line, up to where addresses may begin.
    return text.partition("\n")[0].partition("http")[0].strip()[:120] or "an unknown error"
