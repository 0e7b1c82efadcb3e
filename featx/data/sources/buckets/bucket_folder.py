"""What a URL of an object store names as a data set: a folder, tar shards, or a table whose rows name objects."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from featx.data.listing import FailedImage, Listing
from featx.data.sources.archives.member_place import MemberPlace, holds_tables
from featx.data.sources.archives.member_tree import MemberTree
from featx.data.sources.archives.shards import COMPRESSED_SUFFIXES, TAR_SUFFIX, list_opened_pictures
from featx.data.sources.buckets.bucket_files import (
    BucketFiles,
    find_named_objects,
    list_bucket_objects,
    make_bucket_files,
    parse_object,
    read_span_of,
    take_out_dots,
)
from featx.data.sources.buckets.bucket_shards import (
    Found,
    find_named_shards,
    find_shards_in,
    list_bucket_shards,
    open_bucket_shards,
)
from featx.data.sources.columns import ColumnChoice, check_unchosen
from featx.data.sources.content import PICTURE_SUFFIXES, find_suffix
from featx.data.sources.folder import list_all_pictures, list_tree
from featx.data.sources.metadata import TABLE_SUFFIXES, list_metadata, read_table
from featx.data.sources.table import list_paths, list_table
from featx.data.text_file import decode_text
from featx.errors import DataError, shorten
from featx.storage.paths import is_object_url

log = logging.getLogger(__name__)

UNREADABLE_NAME = "an object of this name cannot be read"

COPIED_SUFFIXES = (".zip", ".parquet")
"""Kinds of files that are read on this machine only: they are read in many small pieces."""


def is_bucket(data: str) -> bool:
    """Whether DATA is the URL of an object store."""
    return is_object_url(data)


def list_bucket(data: str, cache: Path | None, strict: bool, choice: ColumnChoice) -> Listing:
    """List the pictures that lie in a bucket; names alone tell what is a picture.

    Parameters
    ----------
    data : str
        The URL of a folder, of tar shards or of a table.
    cache : pathlib.Path or None
        Where the index of each shard is remembered.
    strict : bool
        Whether objects that are not pictures are listed all the same, and so fail.
    choice : ColumnChoice
        Columns that the user named of a table.

    Raises
    ------
    DataError
        If the bucket cannot be read, or holds no such pictures.
    """
    url = data.rstrip("/")
    check_kind(url)
    if url.lower().endswith(TABLE_SUFFIXES):
        table = read_table(url, choice, BucketTables())
        return list_table(table, choice, data)
    files, shards = open_url(url)
    if shards:
        check_unchosen(data, choice)
        return name_refused(list_bucket_shards(data, shards, cache, strict), files)
    names = [entry.name for _, entry in files.objects]
    if holds_tables(names):
        listing = list_metadata(data, choice, MemberPlace(url, names, files), url)
        if listing is not None:
            return name_refused(listing, files)
    check_unchosen(data, choice)
    return name_refused(list_tree(data, make_tree(url, files, strict), files), files)


def list_bucket_pictures(data: str, path_column: str | None, cache: Path | None) -> Listing:
    """List every picture in a folder or in shards of a bucket, or those that a table names, without labels.

    Raises
    ------
    DataError
        If the bucket cannot be read, or holds none.
    """
    url = data.rstrip("/")
    check_kind(url)
    if url.lower().endswith(TABLE_SUFFIXES):
        choice = ColumnChoice(path_column)
        paths = list_paths(read_table(url, choice, BucketTables()), choice)
        nothing = [""] * len(paths)
        return Listing(data, paths, nothing, nothing, find_named_objects(paths))
    files, shards = open_url(url)
    if shards:
        return list_opened_pictures(data, open_bucket_shards(data, shards, cache))
    return list_all_pictures(data, make_tree(url, files), files)


def open_url(url: str) -> tuple[BucketFiles, Found]:
    """Find the objects of a folder, and the tar shards that are to be read in place of them, if there are any.

    Raises
    ------
    DataError
        If there is nothing.
    BucketLost
        If the bucket cannot be read.
    """
    if url.lower().endswith(TAR_SUFFIX):
        return BucketFiles({}, []), find_named_shards(url)
    files = open_folder(url)
    shards = find_shards_in(files)
    if not shards:
        check_names(url, [entry.name for _, entry in files.objects])
    return files, shards


def open_folder(url: str) -> BucketFiles:
    """List a folder in a bucket.

    Raises
    ------
    DataError
        If it holds nothing.
    BucketLost
        If the bucket cannot be read.
    """
    folder = parse_object(url)
    listed = list_bucket_objects(folder)
    if listed.refused:
        log.warning("'%s': %s", url, describe_refused(listed.refused))
    if not listed.entries:
        why = describe_refused(listed.refused) if listed.refused else "there is no such folder in the bucket"
        raise DataError(f"'{url}' holds no objects: {why}")
    return make_bucket_files(url, folder, listed)


def describe_refused(names: Sequence[str]) -> str:
    """Name the objects whose names cannot be read."""
    several = "1 object is" if len(names) == 1 else f"{len(names)} objects are"
    return f"{several} passed over, since no object may have a name like {shorten(map(ascii, names), 3)}: rename them"


def name_refused(listing: Listing, files: BucketFiles) -> Listing:
    """Count the objects whose names cannot be read among those that are passed over."""
    refused = [FailedImage(escape(path), UNREADABLE_NAME) for path in files.refused]
    return replace(listing, skipped=(*listing.skipped, *refused))


def escape(path: str) -> str:
    """Write control characters as escapes, which others may print."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in path)


def make_tree(url: str, files: BucketFiles, strict: bool = False) -> MemberTree:
    """Show the names of objects as folders; what is not called a picture is none, since a look would be a request."""
    names = [entry.name for _, entry in files.objects]
    return MemberTree(url, names, list(files.rows), lambda path: b"", strict)


def check_kind(url: str) -> None:
    """Refuse what is read on this machine only.

    Raises
    ------
    DataError
        With what to do.
    """
    if url.lower().endswith((*COPIED_SUFFIXES, *COMPRESSED_SUFFIXES)):
        raise DataError(
            f"'{url}' lies in a bucket, where folders, plain tar shards (.tar) and tables of paths are read: copy it "
            "to this machine"
        )


def check_names(url: str, names: Sequence[str]) -> None:
    """Refuse a folder of files that are read on this machine only.

    Raises
    ------
    DataError
        With what to do, if there are such files and neither pictures nor tables.
    """
    has_others = any(find_suffix(name) in (*PICTURE_SUFFIXES, *TABLE_SUFFIXES) for name in names)
    copied = [name for name in names if name.lower().endswith(COPIED_SUFFIXES)]
    if copied and not has_others:
        raise DataError(
            f"'{url}' holds no pictures, but '{copied[0]}', and zip and Parquet files are not read in a bucket: copy "
            "the folder to this machine"
        )


class BucketTables:
    """Tables in buckets; what they name is listed once all rows are known."""

    is_on_disk = False
    takes_urls = True
    files = BucketFiles({}, [])

    def is_file(self, path: str) -> bool:
        """Nothing is looked up row by row, which would be a request each."""
        return False

    def exists(self, path: str) -> bool:
        """Nothing is looked up row by row."""
        return False

    def list_folders(self, folder: str) -> list[str]:
        """No folder is looked into."""
        return []

    def read_text(self, file: str) -> str:
        """Read a table.

        Raises
        ------
        DataError
            If it is not there, cannot be read, or is not UTF-8.
        BucketLost
            If the bucket cannot be read.
        """
        files = find_named_objects([file])
        if file not in files.rows:
            raise DataError(f"'{file}' does not exist")
        folder, entry = files.objects[0]
        try:
            return decode_text(file, read_span_of(folder / entry.name, entry.tag, 0, entry.size))
        except OSError as error:
            raise DataError(f"'{file}' cannot be read: {error.strerror or error}") from None

    def name_path(self, path: str) -> str:
        """Take `..` out of the path of an object; what leads out of the bucket is never found."""
        return take_out_dots(path)
