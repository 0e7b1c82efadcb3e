"""Finds the members of an archive of weights, before any of them is unpacked."""

from __future__ import annotations

from featx.archives.zip_directory import (
    DEFLATED,
    IS_ENCRYPTED,
    STORED,
    DamagedDirectory,
    ZipEntry,
    find_bytes,
    find_directory,
    read_entries,
)
from featx.bases.weight_files.weights_file import NotWeights, Span, WeightsFile

MAX_DIRECTORY_BYTES = 2**25
"""An archive of a hundred thousand tensors has a directory of a third of that."""

DAMAGED = "it is truncated or damaged"


def find_span(file: WeightsFile, member: ZipEntry) -> Span:
    """Find the bytes of a member in the file.

    Raises
    ------
    NotWeights
        If they are not there, or packed in a way that is not read.
    """
    if member.flags & IS_ENCRYPTED:
        raise NotWeights("it is an archive with a password")
    if member.method not in (STORED, DEFLATED):
        raise NotWeights("it is compressed in a way that is not read: save it with torch.save")
    place = find_bytes(file.read, member.header)
    if place is None or place + member.packed > file.size:
        raise NotWeights(DAMAGED)
    if member.method == DEFLATED:
        return Span(file, place, member.size, member.packed)
    if member.size != member.packed:
        raise NotWeights("it is damaged: a member has another size than it states")
    return Span(file, place, member.size)


def list_members(file: WeightsFile) -> dict[str, ZipEntry]:
    """Read the directory of an archive: members by their names.

    Raises
    ------
    NotWeights
        If it is damaged, too large, or names a member twice.
    """
    members: dict[str, ZipEntry] = {}
    try:
        place = find_directory(file.read, file.size)
        if place.size > MAX_DIRECTORY_BYTES:
            raise NotWeights("it is an archive of more members than any network has")
        for member in read_entries(file.read(place.begin, place.size), place.shift):
            if member.name in members:
                raise NotWeights("it is an archive that holds a member twice")
            members[member.name] = member
    except DamagedDirectory as error:
        raise NotWeights(DAMAGED) from error
    return members
