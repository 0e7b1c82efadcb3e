"""Tar files as data sets: shards in the layout of WebDataset, or class folders that were packed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from featx.data.class_names import warn_of_similar_classes
from featx.data.listing import FailedImage, Listing
from featx.data.sources.archives.member_tree import MemberTree
from featx.data.sources.archives.members import (
    SIZE,
    Archive,
    ArchivedFiles,
    RangedFiles,
    check_span,
    number_paths,
    opened,
    read_span,
)
from featx.data.sources.archives.remembered_index import load_index, save_index
from featx.data.sources.archives.samples import MOST_LABEL_BYTES, ShardIndex, index_samples
from featx.data.sources.archives.shard_names import Shards, find_shards, is_pattern, list_shard_files
from featx.data.sources.archives.tar_index import ReadSpan, TarMember, read_members
from featx.data.sources.folder import list_all_pictures, list_tree
from featx.data.sources.image_files import read_stamp
from featx.errors import DataError, shorten
from featx.files import show_size
from featx.log import note
from featx.paths import URL, is_file, is_folder

log = logging.getLogger(__name__)

TAR_SUFFIX = ".tar"

COMPRESSED_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tar.lz4")

COMPRESSED_MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
"""How gzip, bzip2, xz and zstd begin, whatever the file is called."""

NO_SAMPLE_LABEL = "sample without a label"

MakeFiles = Callable[..., ArchivedFiles]

SHOWN = 3
"""Shards, or pictures, that a line names."""


@dataclass
class ShardRows:
    """The pictures of all shards, as columns of n entries each.

    Attributes
    ----------
    names, paths, splits : list of str
        The name in its shard, the path in the listing, and the split of its shard.
    labels : list of str or None
    archive_of, places, sizes : list of int
    """

    names: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    archive_of: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)


class OpenedShards(NamedTuple):
    """What the indexes of some shards say.

    Attributes
    ----------
    rows : ShardRows
    files : ArchivedFiles
        How the pictures are read.
    split_notes, remarks : list of str
        What says the splits, and what was passed over.
    """

    rows: ShardRows
    files: ArchivedFiles
    split_notes: list[str]
    remarks: list[str]


def is_shards(data: str) -> bool:
    """Whether DATA is a tar file, a pattern that names some, or a folder that holds them and no pictures."""
    lower = data.lower()
    if lower.endswith((TAR_SUFFIX, *COMPRESSED_SUFFIXES)) and is_file(data):
        return True
    return is_pattern(data, TAR_SUFFIX) or (is_folder(data) and bool(list_shard_files(data, TAR_SUFFIX)))


def list_shards(data: str, cache: Path | None = None, strict: bool = False) -> Listing:
    """List the pictures in tar files.

    Labels are from the members beside the pictures (`.cls`, `.json`, `.txt`); where no shard has any, names of members
    are read as those of folders. What was taken for what is logged in one line each.

    Parameters
    ----------
    data : str
        DATA as the user gave it.
    cache : pathlib.Path, optional
        The feature store in use, where the index of each shard is remembered.
    strict : bool
        Whether pictures without a label are listed all the same.

    Raises
    ------
    DataError
        If shards are missing, compressed or hold no pictures.
    OSError
        If one cannot be read at all.
    """
    return list_opened(data, read_shards(data, cache), strict)


def list_opened(data: str, shards: OpenedShards, strict: bool) -> Listing:
    """List the pictures of shards by the labels beside them, else by the folders in their names.

    Raises
    ------
    DataError
        If folders may be read in two ways.
    """
    if any(label is not None for label in shards.rows.labels):
        return list_samples(data, shards, strict)
    return list_packed(data, shards)


def list_shard_pictures(data: str, cache: Path | None = None) -> Listing:
    """List every picture in tar files in their order, with or without a label, without labels.

    Raises
    ------
    DataError
        If shards are missing, compressed or hold no pictures.
    OSError
        If one cannot be read at all.
    """
    return list_opened_pictures(data, read_shards(data, cache))


def list_opened_pictures(data: str, shards: OpenedShards) -> Listing:
    """List every picture of shards in their order, without labels."""
    tree = make_tree(data, shards)
    listing = list_all_pictures(data, tree, shards.files)
    if shards.remarks:
        note(log, f"'{data}': {'; '.join(shards.remarks)}")
    kept = set(listing.paths)
    return replace(listing, paths=[path for path in shards.rows.paths if path in kept])


def read_shards(data: str, cache: Path | None) -> OpenedShards:
    """Read the indexes of tar files, and warn of what is damaged.

    Raises
    ------
    DataError
        If shards are missing, compressed or hold no pictures.
    OSError
        If one cannot be read at all.
    """
    if data.lower().endswith(COMPRESSED_SUFFIXES):
        raise compressed(data)
    shards = find_shards(data, TAR_SUFFIX)
    archives = [Archive(path, read_stamp(path)) for path in shards.paths]
    return open_shards(
        data, shards, [find_index(archive, cache) for archive in archives], partial(RangedFiles, archives)
    )


def open_shards(data: str, shards: Shards, indexes: Sequence[ShardIndex], make_files: MakeFiles) -> OpenedShards:
    """Join the indexes of shards, and warn of what is damaged.

    Parameters
    ----------
    data : str
        DATA as the user gave it.
    shards : Shards
    indexes : sequence of ShardIndex
        One a shard.
    make_files : callable
        Numbers of shards, rows of paths, places and sizes to how the pictures are read.

    Raises
    ------
    DataError
        If they hold no pictures.
    """
    rows = join_indexes(shards, indexes)
    if not rows.paths:
        raise DataError(f"'{data}' holds no pictures{describe_emptiness(indexes)}")
    files = make_files(
        np.array(rows.archive_of, np.int32),
        number_paths(rows.paths),
        np.array(rows.places, np.int64),
        np.array(rows.sizes, np.int64),
    )
    warn_of_damage(shards, indexes)
    return OpenedShards(rows, files, shards.notes, describe_indexes(shards, indexes))


def make_tree(data: str, shards: OpenedShards) -> MemberTree:
    """Show the names in shards as folders."""
    root = data if URL.match(data) else str(Path(data))
    return MemberTree(root, shards.rows.names, shards.rows.paths, lambda path: b"")


def compressed(path: str) -> DataError:
    """Build the error for a tar that is compressed."""
    return DataError(
        f"'{path}' is compressed, and featx reads pictures where they lie, from any place: unpack it to a plain .tar "
        "(gunzip, unxz, zstd -d) or to a folder"
    )


def find_index(archive: Archive, cache: Path | None) -> ShardIndex:
    """Take the remembered index of a shard, or read its headers.

    Raises
    ------
    DataError
        If it is compressed.
    OSError
        If it cannot be read.
    """
    index = load_index(cache, archive) if cache else None
    if index is not None:
        return index
    with opened(archive) as handle:
        index = index_shard(archive, partial(read_span, handle))
    if cache:
        save_index(cache, archive, index)
    return index


def index_shard(archive: Archive, read: ReadSpan) -> ShardIndex:
    """Read the headers of a shard.

    Raises
    ------
    DataError
        If it is compressed.
    OSError
        If it cannot be read.
    """
    size = archive.stamp[SIZE]
    if read(0, min(6, size)).startswith(COMPRESSED_MAGIC):
        raise compressed(archive.path)

    def read_member(member: TarMember) -> bytes:
        if member.size > MOST_LABEL_BYTES:
            raise OSError(f"{show_size(member.size)} are too many for a label")
        check_span(archive, member.place, member.size)
        return read(member.place, member.size)

    return index_samples(read_members(read, size), read_member)


def join_indexes(shards: Shards, indexes: Sequence[ShardIndex]) -> ShardRows:
    """Join the pictures of all shards, in their order."""
    rows = ShardRows()
    for number, (path, split, index) in enumerate(zip(shards.paths, shards.splits, indexes, strict=True)):
        count = len(index.names)
        rows.names += index.names
        rows.paths += [f"{path}/{name}" for name in index.names]
        rows.splits += [split] * count
        rows.labels += index.labels
        rows.archive_of += [number] * count
        rows.places += index.places
        rows.sizes += index.sizes
    return rows


def list_samples(data: str, shards: OpenedShards, strict: bool = False) -> Listing:
    """List samples by the labels that stand beside the pictures."""
    rows = shards.rows
    labels = [label or "" for label in rows.labels]
    kept = [row for row, label in enumerate(labels) if label or strict]
    skipped = [FailedImage(rows.paths[row], NO_SAMPLE_LABEL) for row, label in enumerate(labels) if not label]
    lines = ["labels are from the members beside the pictures", *shards.split_notes, *shards.remarks]
    if skipped and not strict:
        lacking = "1 picture has" if len(skipped) == 1 else f"{len(skipped)} pictures have"
        are = "is" if len(skipped) == 1 else "are"
        lines.append(f"{lacking} no label and {are} passed over, such as '{skipped[0].path}'")
    notes = (f"'{data}': {'; '.join(lines)}",)
    note(log, notes[0])
    warn_of_similar_classes(set(labels), data)
    listing = Listing(data, rows.paths, labels, rows.splits, shards.files, skipped=tuple(skipped), notes=notes)
    return listing if len(kept) == len(labels) else listing.subset(kept)


def list_packed(data: str, shards: OpenedShards) -> Listing:
    """List the pictures by the folders that their names say; a shard's own split goes before that of a folder."""
    rows = shards.rows
    tree = make_tree(data, shards)
    tree.descend()
    listing = list_tree(data, tree, shards.files, [*shards.split_notes, *shards.remarks])
    split_of = {path: split for path, split in zip(rows.paths, rows.splits, strict=True) if split}
    splits = [split_of.get(path, split) for path, split in zip(listing.paths, listing.splits, strict=True)]
    return replace(listing, splits=splits)


def describe_indexes(shards: Shards, indexes: Sequence[ShardIndex]) -> list[str]:
    """Say what was passed over in the shards."""
    lines = []
    others = sum(index.other_files for index in indexes)
    if others:
        what = "1 member that is" if others == 1 else f"{others} members that are"
        lines.append(f"{what} neither a picture nor a label")
    passed_over = []
    for path, index in zip(shards.paths, indexes, strict=True):
        passed_over += [(f"{path}/{name}", reason) for name, reason in index.passed_over]
    if passed_over:
        path, reason = passed_over[0]
        count = "1 member" if len(passed_over) == 1 else f"{len(passed_over)} members"
        lines.append(f"{count} passed over, such as '{path}' ({reason})")
    return lines


def warn_of_damage(shards: Shards, indexes: Sequence[ShardIndex]) -> None:
    """Warn of shards that are damaged, in one line: what is readable in them is used."""
    damaged = [
        f"'{path}' ({shorten(index.damage, 1)}; {len(index.names)} pictures are listed)"
        for path, index in zip(shards.paths, indexes, strict=True)
        if index.damage
    ]
    if damaged:
        are = "1 shard is" if len(damaged) == 1 else f"{len(damaged)} shards are"
        log.warning("%s damaged, and what is readable is used: %s", are, shorten(damaged, SHOWN))


def describe_emptiness(indexes: Sequence[ShardIndex]) -> str:
    """Say what is wrong with shards without pictures."""
    damage = [reason for index in indexes for reason in index.damage]
    return f": {damage[0]}" if damage else ""
