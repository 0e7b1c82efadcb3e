"""Zip files as data sets: with class folders in them, and folders of splits, like any folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.data.listing import ImageFile, Listing
from featx.data.sources.archives.member_place import MemberPlace, holds_tables
from featx.data.sources.archives.member_tree import MemberTree
from featx.data.sources.archives.members import Archive, ArchivedFiles, number_paths
from featx.data.sources.archives.zip_index import ZipIndex, read_zip_index
from featx.data.sources.archives.zip_member import OVERLAPPING, ZipMember
from featx.data.sources.columns import ColumnChoice, check_unchosen
from featx.data.sources.content import HEAD_BYTES
from featx.data.sources.folder import list_all_pictures, list_tree
from featx.data.sources.image_files import read_stamp
from featx.data.sources.metadata import list_metadata
from featx.data.sources.passed_over import REPEATED_NAME, describe_passed_over
from featx.log import note
from featx.paths import is_file

log = logging.getLogger(__name__)

ZIP_SUFFIX = ".zip"


@dataclass(frozen=True)
class ZipFiles(ArchivedFiles):
    """Members of a zip file.

    Attributes
    ----------
    packed, crcs, flags, methods : (n,) integers
        As the directory states them.
    """

    packed: NDArray[np.int64]
    crcs: NDArray[np.int64]
    flags: NDArray[np.uint16]
    methods: NDArray[np.uint16]

    def make_file(self, archive: Archive, row: int) -> ZipMember:
        """Say what the directory states of a member."""
        return ZipMember(
            archive,
            int(self.places[row]),
            int(self.packed[row]),
            int(self.sizes[row]),
            int(self.crcs[row]),
            int(self.flags[row]),
            int(self.methods[row]),
        )

    def read_head(self, path: str) -> bytes:
        """Read the first bytes of a member.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        member: ImageFile = self.find(path)
        return member.read_head(HEAD_BYTES) if isinstance(member, ZipMember) else member.read()


def is_zip(data: str) -> bool:
    """Whether DATA is a file whose name ends in `.zip`."""
    return data.lower().endswith(ZIP_SUFFIX) and is_file(data)


def list_zip(data: str, strict: bool = False, choice: ColumnChoice | None = None) -> Listing:
    """List the pictures in a zip file as those of a folder; a folder around all of them counts for nothing.

    Parameters
    ----------
    data : str
        DATA as the user gave it.
    strict : bool
        Whether members that are not pictures are listed all the same, and so fail.
    choice : ColumnChoice, optional
        Columns that the user named of a table in it.

    Raises
    ------
    DataError
        If its directory cannot be read, it holds no pictures, or its folders may be read in two ways.
    OSError
        If the file cannot be read.
    """
    choice = ColumnChoice() if choice is None else choice
    tree, index, files = open_zip(data, strict)
    if holds_tables(index.names):
        place = MemberPlace(str(Path(data)), index.names, files)
        listing = list_metadata(data, choice, place, place.find_root())
        if listing is not None:
            # Of members of one name the first is read, be it a picture or the table itself.
            repeated = describe_passed_over([skip for skip in tree.skipped if skip.reason == REPEATED_NAME])
            if repeated:
                note(log, f"'{data}': {repeated}")
            return listing
    check_unchosen(data, choice)
    tree.descend()
    return list_tree(data, tree, files)


def list_zip_pictures(data: str) -> Listing:
    """List every picture in a zip file, whatever folder it lies in, without labels.

    Raises
    ------
    DataError
        If its directory cannot be read.
    OSError
        If the file cannot be read.
    """
    tree, _, files = open_zip(data)
    return list_all_pictures(data, tree, files)


def open_zip(data: str, strict: bool = False) -> tuple[MemberTree, ZipIndex, ZipFiles]:
    """Read the directory of a zip file: its members as a tree, by their names, and how they are read.

    Raises
    ------
    DataError
        If its directory cannot be read.
    OSError
        If the file cannot be read.
    """
    root = str(Path(data))
    archive = Archive(root, read_stamp(root))
    index = read_zip_index(archive)
    paths = [f"{root}/{name}" for name in index.names]
    files = make_files(archive, index, paths)
    tree = MemberTree(root, index.names, paths, files.read_head, strict)
    for name in index.repeated:
        tree.skip(f"{root}/{name}", REPEATED_NAME)
    return tree, index, files


def make_files(archive: Archive, index: ZipIndex, paths: Sequence[str]) -> ZipFiles:
    """Make the files of a listing of what the directory states."""
    headers = np.array(index.headers, np.int64)
    packed = np.array(index.packed, np.int64)
    methods = np.array(index.methods, np.uint16)
    methods[find_overlapping(headers, packed)] = OVERLAPPING
    return ZipFiles(
        [archive],
        np.zeros(len(paths), np.int32),
        number_paths(paths),
        headers,
        np.array(index.sizes, np.int64),
        packed,
        np.array(index.crcs, np.int64),
        np.array(index.flags, np.uint16),
        methods,
    )


def find_overlapping(headers: NDArray[np.int64], packed: NDArray[np.int64]) -> NDArray[np.intp]:
    """Find the members that reach into the one behind them, so that a small file states a great many of large ones.

    Parameters
    ----------
    headers, packed : (n,) int64
        Where each member begins, and the bytes that it has at least.

    Returns
    -------
    (m,) intp
    """
    order = np.argsort(headers, kind="stable")
    room = np.diff(headers[order])
    return order[:-1][packed[order][:-1] > room]
