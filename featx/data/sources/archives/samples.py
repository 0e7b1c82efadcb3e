"""Which members of a shard belong together, and the label that stands beside a picture.

Members whose names differ only after the first dot are one sample: `000/17.jpg` and `000/17.cls`. Source: the layout of
WebDataset.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from featx.data.class_names import clean_name
from featx.data.sources.archives.member_tree import clean_member_name
from featx.data.sources.archives.tar_index import TarMember, TarProblem
from featx.data.sources.columns import LABEL_NAMES
from featx.data.sources.content import PICTURE_SUFFIXES, find_suffix
from featx.data.sources.passed_over import UNSAFE_NAME
from featx.data.sources.side_files import is_system_file

LABEL_SUFFIXES = ("cls", "json", "txt")
"""What holds the label of a sample; the first of those that are there counts."""

JSON_LABELS = ("cls", *LABEL_NAMES)
"""Keys under which JSON holds the label."""

MOST_LABEL_BYTES = 2**20
"""Bytes of a member with a label; of one with more, nothing is read."""

MOST_LABEL_CHARACTERS = 1000
"""Characters of a label. What is longer is a text about the picture."""

NO_LABEL = "its label cannot be read"
SEVERAL = "its sample has another picture, which is taken"
REPEATED = "an earlier member of the shard has its name"
NO_TARGET = "it is a link to what is not in the shard before it"

ReadMember = Callable[[TarMember], bytes]
"""Member to its bytes."""


@dataclass
class ShardIndex:
    """The pictures of a shard, as columns of n entries each, and what is wrong with it.

    Attributes
    ----------
    names : list of str
    places, sizes : list of int
    labels : list of str or None
        None where nothing says the label.
    passed_over : list of (name, reason)
    damage : list of str
        What cannot be read.
    other_files : int
        Members that are neither pictures nor labels.
    """

    names: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    passed_over: list[tuple[str, str]] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    other_files: int = 0


@dataclass
class Sample:
    """Members with one key: pictures, and labels by their suffix."""

    key: str
    pictures: list[TarMember] = field(default_factory=list)
    labels: dict[str, TarMember] = field(default_factory=dict)


def index_samples(members: Iterable[TarMember | TarProblem], read: ReadMember) -> ShardIndex:
    """Group the members of a shard, and read their labels.

    Parameters
    ----------
    members : iterable of TarMember or TarProblem
        In the order of the shard.
    read : callable
        Reads the members that hold labels; raises OSError.
    """
    index = ShardIndex()
    rows: dict[str, int] = {}
    for sample in group_members(members, index, rows):
        label = read_label(sample, read, index)
        for number, picture in enumerate(sample.pictures):
            if picture.name in rows:
                index.passed_over.append((picture.name, REPEATED))
            elif number:
                index.passed_over.append((picture.name, SEVERAL))
            else:
                rows[picture.name] = len(index.names)
                index.names.append(picture.name)
                index.places.append(picture.place)
                index.sizes.append(picture.size)
                index.labels.append(label)
    return index


def group_members(
    members: Iterable[TarMember | TarProblem], index: ShardIndex, rows: Mapping[str, int]
) -> Iterator[Sample]:
    """Yield the samples that have a picture; what is wrong goes into the index.

    Parameters
    ----------
    members : iterable of TarMember or TarProblem
    index : ShardIndex
    rows : mapping of str to int
        Where the pictures of the samples before are in the index: the targets of hard links, which tar writes for files
        that have two names.
    """
    sample = Sample("")
    for member in members:
        if isinstance(member, TarProblem):
            index.damage.append(member.reason)
            continue
        name = clean_member_name(member.name)
        if name is None:
            index.passed_over.append((member.name, UNSAFE_NAME))
            continue
        folder, _, file = name.rpartition("/")
        if is_system_file(file):
            continue
        stem, _, suffix = file.partition(".")
        kind = find_kind(name, suffix)
        if not kind:
            index.other_files += 1
            continue
        if member.link is not None:
            row = rows.get(member.link.removeprefix("./"))
            if row is None:
                index.passed_over.append((name, NO_TARGET))
                continue
            member = TarMember(name, index.places[row], index.sizes[row])
        member = member._replace(name=name)
        key = f"{folder}/{stem}"
        if key != sample.key:
            if sample.pictures:
                yield sample
            sample = Sample(key)
        if kind == "picture":
            sample.pictures.append(member)
        else:
            sample.labels[kind] = member
    if sample.pictures:
        yield sample


def find_kind(name: str, suffix: str) -> str:
    """Tell what a member is: "picture", what kind of label, or "" for neither."""
    if find_suffix(name) in PICTURE_SUFFIXES:
        return "picture"
    return suffix.lower() if suffix.lower() in LABEL_SUFFIXES else ""


def read_label(sample: Sample, read: ReadMember, index: ShardIndex) -> str | None:
    """Read the label of a sample; None where nothing says it."""
    for suffix in LABEL_SUFFIXES:
        member = sample.labels.get(suffix)
        if member is None:
            continue
        try:
            data = read(member)
            label = find_json_label(data) if suffix == "json" else clean_name(data.decode("utf-8-sig"))
        except (OSError, ValueError, RecursionError):
            index.passed_over.append((member.name, NO_LABEL))
            continue
        if label is not None and 0 < len(label) <= MOST_LABEL_CHARACTERS:
            return label
    return None


def find_json_label(data: bytes) -> str | None:
    """Find the label in JSON: a value by itself, or under one of the names of labels.

    Raises
    ------
    ValueError
        If it is not JSON.
    """
    content: Any = json.loads(data)
    if isinstance(content, dict):
        content = next((content[key] for key in JSON_LABELS if key in content), None)
    if isinstance(content, bool) or not isinstance(content, str | int | float):
        return None
    return clean_name(str(content))
