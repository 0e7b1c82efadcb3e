"""Tar shards in a bucket: their headers are read once, by requests of some megabytes, and pictures by their places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from featx.data.listing import ImageFile, Listing
from featx.data.sources.archives.members import Archive, ArchivedFiles, check_span
from featx.data.sources.archives.remembered_index import load_index, save_index
from featx.data.sources.archives.samples import ShardIndex
from featx.data.sources.archives.shard_names import BRACES, divide_shards, expand_braces, report_missing
from featx.data.sources.archives.shards import TAR_SUFFIX, OpenedShards, index_shard, list_opened, open_shards
from featx.data.sources.buckets.bucket_files import (
    BucketFiles,
    find_named_objects,
    make_object_stamp,
    read_span_of,
)
from featx.data.sources.content import PICTURE_SUFFIXES, find_suffix
from featx.data.sources.image_files import MAX_IMAGE_BYTES
from featx.storage.paths import ObjectPath
from featx.storage.reading import ObjectEntry

CHUNK_BYTES = 2**23
"""Bytes of a shard that one request reads for its headers, which lie all over it."""

Found = Mapping[str, tuple[ObjectPath, ObjectEntry]]
"""URLs of shards, and what a list says of each."""


class ObjectRange(NamedTuple):
    """An image that lies as it is at a place in a shard."""

    bucket: str
    name: str
    tag: str
    archive: Archive
    place: int
    size: int

    def find_size(self) -> int:
        """Say what the shard states; 0 where it is too large to be read."""
        return self.size if 0 <= self.size <= MAX_IMAGE_BYTES else 0

    def read(self) -> bytes:
        """Read it.

        Raises
        ------
        OSError
            If the shard is gone or changed, or the image is too large or not there.
        BucketLost
            If the bucket refuses, or cannot be reached.
        """
        check_span(self.archive, self.place, self.size)
        return read_span_of(ObjectPath(self.bucket, self.name), self.tag, self.place, self.place + self.size)

    def check_access(self) -> None:
        """Read the first byte of the shard; raises as `read` does."""
        read_span_of(ObjectPath(self.bucket, self.name), self.tag, 0, 1)


@dataclass(frozen=True)
class BucketShardFiles(ArchivedFiles):
    """Members of shards in a bucket.

    Attributes
    ----------
    found : mapping of str to (ObjectPath, ObjectEntry)
    """

    found: Found

    are_far = True

    def make_file(self, archive: Archive, row: int) -> ImageFile:
        """Say where a member lies."""
        path, entry = self.found[archive.path]
        place = int(self.places[row])
        return ObjectRange(path.bucket, path.name_in_bucket, entry.tag, archive, place, int(self.sizes[row]))

    def find_stamp(self, archive: Archive) -> tuple[int, int, int, int]:
        """Give what the list said, which is as old as this command."""
        return archive.stamp


class ChunkReader:
    """Reads a shard from its begin to its end, some megabytes at a time.

    Parameters
    ----------
    path : ObjectPath
    entry : ObjectEntry
    """

    def __init__(self, path: ObjectPath, entry: ObjectEntry) -> None:
        self.path = path
        self.entry = entry
        self._begin = 0
        self._chunk = b""

    def read(self, place: int, count: int) -> bytes:
        """Give so many bytes from a place.

        Raises
        ------
        OSError
            If they are not all there.
        """
        if place + count > self.entry.size:
            raise OSError("it ends beyond the end of the archive, which is cut short or damaged")
        if not self._begin <= place <= place + count <= self._begin + len(self._chunk):
            end = min(self.entry.size, place + max(count, CHUNK_BYTES))
            self._chunk = read_span_of(self.path, self.entry.tag, place, end)
            self._begin = place
        return self._chunk[place - self._begin :][:count]


def find_named_shards(url: str) -> Found:
    """Find the tar files that a URL names: one, or those of a pattern.

    Raises
    ------
    DataError
        If some do not exist.
    BucketLost
        If the bucket cannot be read.
    """
    named = list(dict.fromkeys(expand_braces(url))) if BRACES.search(url) else [url]
    objects = find_named_objects(named)
    report_missing(url, named, [name for name in named if name not in objects.rows])
    return {name: locate(*objects.objects[objects.rows[name]]) for name in named}


def find_shards_in(files: BucketFiles) -> Found:
    """Find the tar files in a folder; none where it holds pictures."""
    found: dict[str, tuple[ObjectPath, ObjectEntry]] = {}
    for url, (folder, entry) in zip(files.rows, files.objects, strict=True):
        # The first picture tells: there may be a million more.
        if find_suffix(entry.name) in PICTURE_SUFFIXES:
            return {}
        if entry.name.lower().endswith(TAR_SUFFIX):
            found[url] = locate(folder, entry)
    return found


def locate(folder: ObjectPath, entry: ObjectEntry) -> tuple[ObjectPath, ObjectEntry]:
    """Give the path of an object that lies below a folder."""
    return folder / entry.name, entry


def list_bucket_shards(data: str, found: Found, cache: Path | None, strict: bool) -> Listing:
    """List the pictures of shards as those of shards on disk.

    Raises
    ------
    DataError
        If they are compressed or hold no pictures.
    BucketLost
        If the bucket cannot be read.
    """
    return list_opened(data, open_bucket_shards(data, found, cache), strict)


def open_bucket_shards(data: str, found: Found, cache: Path | None) -> OpenedShards:
    """Read the indexes of shards, or take those that are remembered.

    Raises
    ------
    DataError
        If they are compressed or hold no pictures.
    BucketLost
        If the bucket cannot be read.
    """
    archives = [Archive(url, make_object_stamp(entry)) for url, (_, entry) in found.items()]
    indexes = [find_index(archive, *found[archive.path], cache) for archive in archives]
    shards = divide_shards(data, list(found))
    return open_shards(data, shards, indexes, partial(BucketShardFiles, archives, found=found))


def find_index(archive: Archive, path: ObjectPath, entry: ObjectEntry, cache: Path | None) -> ShardIndex:
    """Take the remembered index of a shard, or read its headers."""
    index = load_index(cache, archive) if cache else None
    if index is None:
        index = index_shard(archive, ChunkReader(path, entry).read)
        if cache:
            save_index(cache, archive, index)
    return index
