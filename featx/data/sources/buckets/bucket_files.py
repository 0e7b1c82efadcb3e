"""Objects as image files: each read by a request of its own."""

from __future__ import annotations

import logging
import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from featx.data.listing import ImageFile, ImageFiles
from featx.data.sources.archives.members import NoMember
from featx.data.sources.buckets.lost import BucketLost
from featx.data.sources.image_files import LARGEST_STAMP, MAX_IMAGE_BYTES, ON_DISK, refuse_large
from featx.data.sources.web.web_files import WebFile, find_addresses, refuse_users
from featx.data.sources.written_paths import TablePlace, describe_absence
from featx.errors import DataError, RequestError, StoreError, shorten
from featx.log import note
from featx.storage.addresses import parse_address
from featx.storage.paths import ObjectPath, is_object_url, is_web_url, parse_cache
from featx.storage.reading import ObjectEntry, ObjectList, find_objects, list_objects, read_object, search_objects

log = logging.getLogger(__name__)

BUCKET_URL = re.compile(r"[a-z0-9]+:/+[^/]+/+")
"""A URL up to where the name of an object begins."""

MOST_ASKED = 256
"""Objects of a bucket that are asked for one by one; of more the folder that they share is listed."""

LISTED_FOR_ONE = 10
"""Objects of the shared folder that are listed for each that is named, before these are asked for one by one after all.

An S3 server (moto) that took 30 ms for each answer was asked for 340 to 400 objects a second, and listed 4,100: so the
worst folder takes twice as long as the better of both ways would.
"""

NO_OBJECT = "there is no such object in the bucket"


def parse_object(url: str) -> ObjectPath:
    """Read the URL of an object or a folder.

    Raises
    ------
    DataError
        If it names no bucket, or leads out of it.
    """
    path = None
    with suppress(RequestError):
        path = parse_cache(take_out_dots(url))
    # What is left of "s3://" without its slashes is a path on disk.
    if not isinstance(path, ObjectPath):
        raise DataError(f"'{url}' is not a place in a bucket: write it as s3://BUCKET/FOLDER")
    return path


def take_out_dots(url: str) -> str:
    """Take `.` and `..` out of the name of an object; a URL that would lead out of its bucket stays as it is."""
    match = BUCKET_URL.match(url)
    if match is None or "." not in url[match.end() :]:
        return url
    name = posixpath.normpath(url[match.end() :])
    return url if name.startswith("..") and name[2:3] in ("", "/") else f"{match[0]}{name}"


def read_span_of(path: ObjectPath, tag: str, begin: int, end: int) -> bytes:
    """Read some bytes of an object.

    Raises
    ------
    OSError
        If it is gone or changed.
    BucketLost
        If the bucket refuses, or cannot be reached.
    """
    try:
        return read_object(path, tag, begin, end)
    # Of another kind where obstore is missing, as it may be on one node of several.
    except (StoreError, RequestError) as error:
        raise BucketLost(str(error)) from None


def list_bucket_objects(folder: ObjectPath) -> ObjectList:
    """List all objects below a folder.

    Raises
    ------
    BucketLost
        If the bucket is not there, refuses, or cannot be reached.
    """
    try:
        return list_objects(folder)
    except StoreError as error:
        raise BucketLost(str(error)) from None


def make_object_stamp(entry: ObjectEntry) -> tuple[int, int, int, int]:
    """Make the stamp of an object: size, times, and a number made of its tag in place of an inode; none without tag."""
    if not entry.tag:
        return (-1, -1, -1, -1)
    tag = xxhash.xxh64_intdigest(entry.tag.encode()) & LARGEST_STAMP
    return entry.size, entry.modified, entry.modified, tag


class ObjectFile(NamedTuple):
    """An object as a list has it: where it lies, its bytes and its tag."""

    bucket: str
    name: str
    size: int
    tag: str

    def find_size(self) -> int:
        """Say how many bytes it has; 0 where it is too large to be read."""
        return self.size if self.size <= MAX_IMAGE_BYTES else 0

    def read(self) -> bytes:
        """Read it.

        Raises
        ------
        OSError
            If it is too large, gone or changed.
        BucketLost
            If the bucket refuses, or cannot be reached.
        """
        refuse_large(self.size)
        return read_span_of(ObjectPath(self.bucket, self.name), self.tag, 0, self.size)

    def check_access(self) -> None:
        """Read its first byte; raises as `read` does."""
        # Not only ask for its size: an answer to that does not say why it was refused.
        read_span_of(ObjectPath(self.bucket, self.name), self.tag, 0, 1)


@dataclass(frozen=True)
class BucketFiles:
    """Objects and pictures of the web by their URLs.

    Attributes
    ----------
    rows : mapping of str to int
        URL to the place among the objects.
    objects : sequence of (ObjectPath, ObjectEntry)
    reasons : mapping of str to str
        Why there is nothing at other addresses of the web.
    refused : sequence of str
        URLs of objects beside these whose names cannot be read.
    """

    rows: Mapping[str, int]
    objects: Sequence[tuple[ObjectPath, ObjectEntry]]
    reasons: Mapping[str, str] = field(default_factory=dict)
    refused: Sequence[str] = ()

    are_stored = True
    are_shareable = True
    are_far = True

    def find(self, path: str) -> ImageFile:
        """Find an object by its URL."""
        row = self.rows.get(path)
        if row is None:
            return NoMember(path, self.reasons.get(path, NO_OBJECT))
        folder, entry = self.objects[row]
        if is_web_url(path):
            return WebFile(path, entry.size, entry.tag)
        return ObjectFile(folder.bucket, (folder / entry.name).name_in_bucket, entry.size, entry.tag)

    def read_stamps(self, paths: Sequence[str]) -> NDArray[np.int64]:
        """Give what the list said: (n, 4) int64."""
        stamps = np.full((len(paths), 4), -1, np.int64)
        for number, path in enumerate(paths):
            row = self.rows.get(path)
            if row is not None:
                stamps[number] = make_object_stamp(self.objects[row][1])
        return stamps


class MixedFiles:
    """Files on disk, and objects, as a table on disk may name both."""

    are_stored = True
    are_shareable = True
    are_far = True

    def __init__(self, objects: BucketFiles) -> None:
        self.objects = objects

    def find_owner(self, path: str) -> ImageFiles:
        """Tell which of both a path is of."""
        return self.objects if is_object_url(path) else ON_DISK

    def find(self, path: str) -> ImageFile:
        """Find a file or an object."""
        return self.find_owner(path).find(path)

    def read_stamps(self, paths: Sequence[str]) -> NDArray[np.int64]:
        """Give the stamps of both: (n, 4) int64."""
        is_object = np.array([is_object_url(path) for path in paths], bool)
        stamps = np.empty((len(paths), 4), np.int64)
        for mask, files in ((is_object, self.objects), (~is_object, ON_DISK)):
            stamps[mask] = files.read_stamps([paths[row] for row in np.flatnonzero(mask).tolist()])
        return stamps


def make_bucket_files(url: str, folder: ObjectPath, listed: ObjectList) -> BucketFiles:
    """Make the files of a folder that was listed."""
    rows = {f"{url}/{entry.name}": row for row, entry in enumerate(listed.entries)}
    objects = [(folder, entry) for entry in listed.entries]
    return BucketFiles(rows, objects, refused=[f"{url}/{name}" for name in listed.refused])


def find_named_objects(urls: Sequence[str]) -> BucketFiles:
    """Find the objects that a table or a command names; what is not there, or no URL of an object, has no row.

    Raises
    ------
    DataError
        If an address of the web names a user.
    BucketLost
        If a bucket cannot be read.
    """
    refuse_users(urls)
    by_bucket: defaultdict[str, dict[str, ObjectPath]] = defaultdict(dict)
    web_urls = [url for url in urls if is_web_url(url)]
    for url in urls:
        if is_web_url(url):
            continue
        with suppress(DataError):
            path = parse_object(url)
            by_bucket[path.bucket][url] = path
    rows: dict[str, int] = {}
    objects: list[tuple[ObjectPath, ObjectEntry]] = []
    for named in by_bucket.values():
        found = find_in_bucket(set(named.values()))
        for url, path in named.items():
            if path in found:
                rows[url] = len(objects)
                objects.append(found[path])
    addresses, reasons = find_addresses(web_urls) if web_urls else ({}, {})
    rows |= {url: row for row, url in enumerate(addresses, len(objects))}
    objects += addresses.values()
    return BucketFiles(rows, objects, reasons=reasons)


def find_in_bucket(paths: Collection[ObjectPath]) -> dict[ObjectPath, tuple[ObjectPath, ObjectEntry]]:
    """Find objects of one bucket: by a request each, or by a list of the folder that they share where that is short.

    Returns
    -------
    dict of ObjectPath to (ObjectPath, ObjectEntry)
        Of those that are there: a folder, and the object as it lies in it.

    Raises
    ------
    BucketLost
        If the bucket cannot be read.
    """
    try:
        if len(paths) > MOST_ASKED:
            shared = posixpath.commonprefix([path.name_in_bucket for path in paths]).rpartition("/")[0]
            folder = replace(next(iter(paths)), name_in_bucket=shared)
            names = {path.name_in_bucket.removeprefix(f"{shared}/" if shared else "") for path in paths}
            listed = search_objects(folder, names, LISTED_FOR_ONE * len(paths))
            if listed is not None:
                return {folder / entry.name: (folder, entry) for entry in listed}
        entries = find_objects([*paths])
    except StoreError as error:
        raise BucketLost(str(error)) from None
    return {path: (path.parent, entry) for path, entry in zip(paths, entries, strict=True) if entry is not None}


def note_buckets(file: str, paths: Sequence[str], place: TablePlace) -> None:
    """Say which buckets and hosts the rows of a table name before one is asked, or that these rows are not followed."""
    urls = [path for path in paths if is_object_url(path.strip())]
    if urls and not place.takes_urls:
        log.warning("'%s': %s: not read, since only a table given by itself may do so", file, describe_rows(urls))
        return
    buckets: dict[str, None] = {}
    for url in urls:
        with suppress(DataError):
            place_of_url = parse_address(url).host if is_web_url(url) else parse_object(url).bucket
            buckets[f"'{place_of_url}'"] = None
    if buckets:
        note(log, f"'{file}': images lie in {shorten(buckets)}")


def describe_rows(urls: Sequence[str]) -> str:
    """Say how many rows of a table name what does not lie beside it."""
    is_web = all(is_web_url(url.strip()) for url in urls)
    if len(urls) == 1:
        return f"1 row that names {'an address of the web' if is_web else 'an object of a bucket'}"
    return f"{len(urls)} rows that name {'addresses of the web' if is_web else 'objects of a bucket'}"


def find_table_files(file: str, paths: Sequence[str], place: TablePlace) -> ImageFiles:
    """Say how the files are read that a table names: as those around it, or as objects of the buckets in their URLs.

    Parameters
    ----------
    file : str
        The table.
    paths : sequence of str
    place : TablePlace
        Where it lies.

    Raises
    ------
    DataError
        If all are objects, and not one of them exists, or an address of the web names a user.
    BucketLost
        If a bucket cannot be read.
    """
    urls = [path for path in paths if is_object_url(path)] if place.takes_urls else []
    if not urls:
        return place.files
    objects = find_named_objects(urls)
    is_all = len(urls) == len(paths)
    if is_all and not objects.rows:
        reason = objects.reasons.get(urls[0])
        if reason is None:
            raise DataError(f"'{file}': {describe_absence(len(urls))}. The first is '{urls[0]}'")
        none_is = "the only file that it names cannot" if len(urls) == 1 else f"none of its {len(urls)} files can"
        raise DataError(f"'{file}': {none_is} be read. The first is '{urls[0]}': {reason}")
    return objects if is_all else MixedFiles(objects)
