"""Reads objects that are not of a cache, such as images: lists of them, and bytes at a place, without copies here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from featx.errors import StoreError
from featx.storage.bad_names import BAD_NAME, list_any_names
from featx.storage.client import FETCHING_THREADS, BadName, LostConnection, ask, make_client, quote_tag
from featx.storage.paths import ObjectPath
from featx.storage.threads import requesting_threads

NO_NAME = "no-such-folder-of-featx"
"""A name that no object has."""

MOST_WAITING = 4096
"""Requests that wait to be made at a time: each takes a kilobyte."""


class ObjectEntry(NamedTuple):
    """An object in a list.

    Attributes
    ----------
    name : str
        From the folder on that was listed.
    size : int
        In bytes.
    tag : str
        Changes whenever the object is written.
    modified : int
        When it was written, in ns since 1970.
    """

    name: str
    size: int
    tag: str
    modified: int


class ObjectList(NamedTuple):
    """The objects below a folder.

    Attributes
    ----------
    entries : list of ObjectEntry
        Sorted by name.
    refused : list of str
        Names from the folder on that obstore refuses, so that these objects cannot be read.
    """

    entries: list[ObjectEntry]
    refused: list[str]


class ObjectChanged(OSError):
    """An object is not what it was when it was listed."""


def list_objects(folder: ObjectPath) -> ObjectList:
    """List all objects below a folder; a request for each thousand of them.

    Raises
    ------
    StoreError
        If the bucket is not there, refuses, or cannot be reached.
    """
    client = make_client(folder.bucket)
    try:
        return ObjectList(sorted(ask(folder, lambda: list(list_anew(client, folder)))), [])
    except BadName:
        if not folder.bucket.startswith("s3:"):
            raise
        with suppress(StoreError):
            return list_all_but_bad_names(folder)
        raise


def list_all_but_bad_names(folder: ObjectPath) -> ObjectList:
    """List a folder of S3 that holds names that obstore refuses.

    Raises
    ------
    StoreError
        If the server does not answer as S3 does.
    """
    cut = len(folder.name_in_bucket) + 1 if folder.name_in_bucket else 0
    listed = ObjectList([], [])
    for name, meta in list_any_names(folder):
        if BAD_NAME.search(name):
            listed.refused.extend([name[cut:]] if meta["size"] else [])
        elif meta["size"]:
            listed.entries.append(make_entry(name[cut:], meta))
    listed.entries.sort()
    return listed


def search_objects(folder: ObjectPath, names: Collection[str], most: int) -> list[ObjectEntry] | None:
    """List a folder for some objects below it, up to a number of objects; None where it holds more, or bad names.

    Parameters
    ----------
    folder : ObjectPath
    names : collection of str
        From the folder on.
    most : int

    Raises
    ------
    StoreError
        If the bucket is not there, refuses, or cannot be reached.
    """
    client = make_client(folder.bucket)

    def search() -> list[ObjectEntry] | None:
        found = []
        for count, entry in enumerate(list_anew(client, folder)):
            if count == most:
                return None
            if entry.name in names:
                found.append(entry)
        return found

    try:
        return ask(folder, search)
    except BadName:
        return None


def list_anew(client: Any, folder: ObjectPath) -> Iterator[ObjectEntry]:
    """Yield the objects below a folder as a list gives them; raises what obstore raises."""
    prefix = folder.name_in_bucket
    cut = len(prefix) + 1 if prefix else 0
    for chunk in client.list(prefix or None):
        for meta in chunk:
            # Folders that a web page made are objects of no bytes.
            if meta["size"]:
                yield make_entry(meta["path"][cut:], meta)


def make_entry(name: str, meta: Any) -> ObjectEntry:
    """Take what obstore says of an object."""
    modified = int(meta["last_modified"].timestamp() * 1e9)
    return ObjectEntry(name, meta["size"], quote_tag(meta["e_tag"] or str(modified)), modified)


def find_object(path: ObjectPath) -> ObjectEntry | None:
    """Ask for one object; None if there is none.

    Raises
    ------
    StoreError
        If the bucket is not there, refuses, or cannot be reached.
    """
    client = make_client(path.bucket)

    def ask_head() -> Any:
        try:
            return client.head(path.name_in_bucket)
        except ValueError:
            # obstore refuses some names, such as those with control characters, and lists no such objects either.
            return None

    try:
        meta = ask(path, ask_head)
    except FileNotFoundError:
        return None
    if meta is None:
        return None
    return make_entry(path.name, meta)


def find_objects(paths: Sequence[ObjectPath]) -> list[ObjectEntry | None]:
    """Ask for objects one by one, several at a time; None where there is none.

    Raises
    ------
    StoreError
        If a bucket is not there, refuses, or cannot be reached.
    """
    found: list[ObjectEntry | None] = []
    with requesting_threads(FETCHING_THREADS, "find") as pool:
        for first in range(0, len(paths), MOST_WAITING):
            found += pool.map(find_object, paths[first : first + MOST_WAITING])
    if not any(found):
        check_buckets(paths)
    return found


def check_buckets(paths: Sequence[ObjectPath]) -> None:
    """Refuse buckets that are not there: asked for an object, they only say that there is none.

    Raises
    ------
    StoreError
        If a bucket is not there, refuses, or cannot be reached.
    """
    for bucket in {path.bucket for path in paths}:
        # Below this name there is nothing, so that the answer is short.
        objects = make_client(bucket).list(NO_NAME, chunk_size=1)
        ask(ObjectPath(bucket), partial(next, objects, None))


def read_object(path: ObjectPath, tag: str, begin: int, end: int) -> bytes:
    """Read some bytes of an object.

    Parameters
    ----------
    path : ObjectPath
    tag : str
        What a list said of it.
    begin, end : int

    Raises
    ------
    ObjectChanged
        If it was written since.
    FileNotFoundError
        If it is gone.
    StoreError
        If the bucket is not there, refuses, or cannot be reached.
    """
    if begin >= end:
        return b""
    client = make_client(path.bucket)
    # After it has said in one line if obstore is missing.
    from obstore import get

    def read() -> tuple[str, bytes]:
        result = get(client, path.name_in_bucket, options={"range": (begin, end)})
        data = bytes(result.bytes())
        modified = int(result.meta["last_modified"].timestamp() * 1e9)
        if len(data) < min(end, result.meta["size"]) - begin:
            raise LostConnection(f"'{path}' cannot be read: the answer ended after {len(data)} bytes")
        return quote_tag(result.meta["e_tag"] or str(modified)), data

    found, data = ask(path, read)
    if found != tag or len(data) < end - begin:
        raise ObjectChanged(f"'{path}' was changed after it was listed: run the command again")
    return data
