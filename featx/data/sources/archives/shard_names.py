"""Which shards DATA names, and the split of each: by its folder, or by its own name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

from featx.data.listing import WORDS, find_split
from featx.data.sources.content import PICTURE_SUFFIXES, find_suffix
from featx.data.sources.layout import describe_splits
from featx.data.sources.side_files import is_hidden, is_side_folder
from featx.data.sources.tree import leads_to_folder
from featx.errors import DataError, shorten
from featx.paths import exists, is_file, is_folder

BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")

MOST_SHARDS = 100_000
"""Shards that a pattern may name: it may be a slip of the pen."""

SHOWN = 3
"""Shards that a line names."""


@dataclass(frozen=True)
class Shards:
    """Files that make a data set together.

    Attributes
    ----------
    paths : list of str
    splits : list of str
        One for each of them; "" where nothing says it.
    notes : list of str
        What says the splits.
    """

    paths: list[str]
    splits: list[str]
    notes: list[str]


def is_pattern(data: str, suffix: str) -> bool:
    """Whether DATA is a pattern such as `{000..099}.tar`, and no file of this very name."""
    return data.lower().endswith(suffix) and bool(BRACES.search(data)) and not exists(data)


def expand_braces(pattern: str) -> list[str]:
    """List what a pattern names: `{000..099}` stands for numbers of as many digits, `{a,b}` for either.

    Raises
    ------
    DataError
        If it names more than `MOST_SHARDS`.
    """
    pieces = BRACES.split(pattern)
    choices: list[Sequence[str]] = []
    total = 1
    for place, piece in enumerate(pieces):
        choice = list_choices(piece, pattern) if place % 2 else [piece]
        total *= len(choice)
        check_count(total, pattern)
        choices.append(choice)
    return ["".join(parts) for parts in product(*choices)]


def list_choices(piece: str, pattern: str) -> Sequence[str]:
    """List what the text between braces stands for.

    Raises
    ------
    DataError
        If it is a range of too many numbers.
    """
    numbers = RANGE.fullmatch(piece)
    if numbers is None:
        return piece.split(",")
    first, last = int(numbers[1]), int(numbers[2])
    check_count(abs(last - first) + 1, pattern)
    digits = len(numbers[1]) if numbers[1].startswith("0") else 0
    step = 1 if last >= first else -1
    return [f"{number:0{digits}}" for number in range(first, last + step, step)]


def check_count(count: int, pattern: str) -> None:
    """Refuse a pattern that names too many shards.

    Raises
    ------
    DataError
        With the limit.
    """
    if count > MOST_SHARDS:
        raise DataError(f"'{pattern}' names more than {MOST_SHARDS:,} shards")


def find_pattern(pattern: str) -> list[str]:
    """List the shards that a pattern names.

    Raises
    ------
    DataError
        If some do not exist.
    """
    paths = expand_braces(pattern)
    report_missing(pattern, paths, [path for path in paths if not is_file(path)])
    return list(dict.fromkeys(paths))


def report_missing(pattern: str, paths: Sequence[str], missing: Sequence[str]) -> None:
    """Refuse a pattern some of whose shards do not exist.

    Raises
    ------
    DataError
        With their names.
    """
    if not missing:
        return
    if paths == [pattern]:
        raise DataError(f"'{pattern}' does not exist")
    do = "does" if len(missing) == 1 else "do"
    names = shorten((f"'{path}'" for path in missing), SHOWN)
    raise DataError(f"'{pattern}': {len(missing)} of its {len(paths)} shards {do} not exist: {names}")


def list_shard_files(folder: str, suffix: str) -> list[str]:
    """List the shards in a folder, or in its folders of splits; none where it holds pictures or other folders.

    A folder `data` is looked into where there is nothing else, as data sets of Hugging Face have it.
    """
    found = scan_shards(folder, suffix)
    if found is None or (found.shards and found.folders):
        return []
    if found.shards:
        return found.shards
    if [Path(inner).name for inner in found.folders] == ["data"]:
        return list_shard_files(found.folders[0], suffix)
    shards: list[str] = []
    for inner in found.folders:
        in_split = scan_shards(inner, suffix) if find_split(Path(inner).name) else None
        if in_split is None or in_split.folders or not in_split.shards:
            return []
        shards += in_split.shards
    return shards


class FoundShards(NamedTuple):
    """Paths of the shards and of the visible folders in a folder, sorted."""

    shards: list[str]
    folders: list[str]


def scan_shards(folder: str, suffix: str) -> FoundShards | None:
    """List the shards and folders in a folder; None where it holds pictures, or may not be read."""
    shards: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_hidden(entry.name) or is_side_folder(entry.name):
                    continue
                # The first picture tells: there may be a million more.
                if find_suffix(entry.name) in PICTURE_SUFFIXES and not leads_to_folder(entry):
                    return None
                path = str(Path(folder) / entry.name)
                if leads_to_folder(entry):
                    folders.append(path)
                elif entry.name.lower().endswith(suffix):
                    shards.append(path)
    except OSError:
        return None
    return FoundShards(sorted(shards), sorted(folders))


def find_shards(data: str, suffix: str) -> Shards:
    """Find the shards that DATA names, and the split of each.

    Parameters
    ----------
    data : str
        A file, a folder of files, or a pattern.
    suffix : str
        Of their names, with its dot.

    Raises
    ------
    DataError
        If shards of a pattern are missing, or only some have the name of a split.
    """
    if is_pattern(data, suffix):
        paths = find_pattern(data)
    else:
        paths = list_shard_files(data, suffix) if is_folder(data) else [data]
    return divide_shards(data, [str(Path(path)) for path in paths])


def divide_shards(data: str, paths: list[str]) -> Shards:
    """Find the split of each shard.

    Raises
    ------
    DataError
        If only some have the name of a split.
    """
    for where, name in (("folder names", name_folder), ("shard names", name_shard)):
        words = [name(path) for path in paths]
        splits = [find_split(word) or "" for word in words]
        # Shards of one split only are all that there is, as is a folder that is called so.
        if len(set(splits)) > 1:
            check_splits(data, paths, splits)
            return Shards(paths, splits, [describe_splits(words).replace("folder names", where)])
    return Shards(paths, [""] * len(paths), [])


def check_splits(data: str, paths: Sequence[str], splits: Sequence[str]) -> None:
    """Refuse shards of which only some have the name of a split.

    Raises
    ------
    DataError
        With their names.
    """
    if all(splits):
        return
    named = next(path for path, split in zip(paths, splits, strict=True) if split)
    others = [f"'{Path(path).name}'" for path, split in zip(paths, splits, strict=True) if not split]
    raise DataError(
        f"'{data}' mixes shards of splits with others: '{Path(named).name}' is one of a split, unlike "
        f"{shorten(others, SHOWN)}. Name every shard train, val or test, or choose some by a pattern such as "
        "'train-{000..099}.tar'"
    )


def name_folder(path: str) -> str:
    """Give the name of the folder that a shard lies in."""
    return Path(path).parent.name


def name_shard(path: str) -> str:
    """Find the word in the name of a shard that is the name of a split; "" if there is none, or several."""
    words = {word for word in list_words(Path(path).name) if find_split(word)}
    return words.pop() if len(words) == 1 else ""


def list_words(name: str) -> Iterator[str]:
    """Yield the words in a name."""
    for match in WORDS.finditer(name.partition(".")[0]):
        yield match[0]
