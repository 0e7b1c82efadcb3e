"""Which rows of a listing belong together: pictures of one patient, site or burst, by a column, by path or as given."""

from __future__ import annotations

import logging
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from featx.base_choice import GroupChoice
from featx.data.listing import Listing, RowGroups, find_split, looks_like_split
from featx.errors import DataError, RequestError, shorten
from featx.log import note
from featx.paths import URL, is_folder
from featx.storage.addresses import take_out_query

log = logging.getLogger(__name__)

NO_GROUP = frozenset({"", "nan", "null", "n/a", "<na>", "#n/a", "None", "NA"})
"""What tables and programs write where a picture has no group, in small letters unless it might well be a word."""


def clean_group(value: str) -> str:
    """Take the blanks off the name of a group; "" where it says that there is none."""
    name = value.strip()
    return "" if name in NO_GROUP or name.lower() in NO_GROUP else name


def as_groups(groups: Any) -> Mapping[str, str] | Sequence[str] | None:
    """Write groups as Python users give them, of any type, as texts.

    Parameters
    ----------
    groups : sequence, mapping or None
        A group for each row, or by path. None and NaN mean no group.

    Raises
    ------
    RequestError
        If it is neither.
    """
    if groups is None:
        return None
    if isinstance(groups, Mapping):
        return {str(path): write_group(group) for path, group in groups.items()}
    if isinstance(groups, str | bytes) or not isinstance(groups, Iterable):
        raise RequestError(f"'groups' must be a group for each image, or groups by path, not {groups!r}")
    return tuple(write_group(group) for group in groups)


def write_group(group: Any) -> str:
    """Write a group as text; "" where there is none."""
    is_missing = group is None or (isinstance(group, float) and math.isnan(group))
    return "" if is_missing else clean_group(str(group))


def group_listing(listing: Listing, choice: GroupChoice) -> Listing:
    """Group the rows of a listing as a request says, where it does not name a column; what is taken is said.

    Raises
    ------
    DataError
        If no path matches the pattern, or the groups given are not of these images.
    """
    if choice.group_by is not None:
        return replace(listing, groups=group_by_path(listing, choice.group_by))
    if choice.groups is not None:
        return replace(listing, groups=take_given(listing, choice.groups))
    if listing.groups is None:
        hint = suggest_groups(listing)
        if hint:
            note(log, hint)
    return listing


def group_by_path(listing: Listing, pattern: str) -> RowGroups:
    """Group rows by what a regular expression finds in their paths.

    Paths count from the folder of DATA, with slashes. The text of the first capture group that took part names the
    group, or the whole match where the pattern has none. A path that does not match is a group of its own.

    Raises
    ------
    DataError
        If no path matches.
    """
    search = re.compile(pattern).search
    names = []
    unmatched = []
    for path in list_relative_paths(listing):
        name = name_match(search(path))
        names.append(name)
        if not name:
            unmatched.append(path)
    if len(unmatched) == len(names):
        raise DataError(
            f"'{listing.name}': not one of {len(names)} paths matches --group-by '{pattern}', such as "
            f"'{unmatched[0]}': write a regular expression that finds the name of the group"
        )
    if unmatched:
        log.warning(
            "%s --group-by '%s', such as '%s': each of them is a group of its own",
            "1 path does not match" if len(unmatched) == 1 else f"{len(unmatched)} paths do not match",
            *(pattern, unmatched[0]),
        )
    return RowGroups(names, f"--group-by '{pattern}'")


def name_match(match: re.Match[str] | None) -> str:
    """Give the text of the first capture group that took part, of the whole match without such groups; else ""."""
    if match is None:
        return ""
    if not match.re.groups:
        return match[0]
    return next((part for part in match.groups() if part is not None), "")


def list_relative_paths(listing: Listing) -> list[str]:
    """Write the paths of a listing from the folder of DATA or in its archive, with slashes; others stay whole."""
    is_url = URL.match(listing.name) is not None
    own = take_out_query(listing.name).rstrip("/") if is_url else str(Path(listing.name))
    is_above = is_folder(own) or any(path.startswith(f"{own}/") for path in listing.paths[:1])
    folder = (own if is_above else own.rpartition("/")[0] if is_url else str(Path(own).parent)).replace("\\", "/")
    start = "" if folder == "." else f"{folder.rstrip('/')}/"
    return [path.replace("\\", "/").removeprefix(start) for path in listing.paths]


def take_given(listing: Listing, groups: Mapping[str, str] | Sequence[str]) -> RowGroups:
    """Take groups that a user gave in Python.

    Parameters
    ----------
    groups : mapping of str to str, or sequence of str
        By path, as listed or from the folder of DATA on; or one for each row, in the order of the table, or in that in
        which a folder is listed.

    Raises
    ------
    DataError
        If there are more or fewer than rows, or paths have none.
    """
    if not isinstance(groups, Mapping):
        if len(groups) != len(listing):
            raise DataError(
                f"'groups' has {len(groups)} entries, but '{listing.name}' lists {len(listing)} images: give one for "
                "each, in the order of the table, or a mapping from paths to groups"
            )
        return RowGroups(list(groups), "groups=")
    names = []
    absent = []
    for path, relative in zip(listing.paths, list_relative_paths(listing), strict=True):
        if path not in groups and relative not in groups:
            absent.append(f"'{relative}'")
        names.append(groups.get(path, groups.get(relative, "")))
    if absent:
        raise DataError(
            f"'groups' says nothing of {len(absent)} of {len(listing)} images of '{listing.name}': "
            f"{shorten(absent, 3)}. Give each path a group; None for a picture that belongs to no other"
        )
    return RowGroups(names, "groups=")


NUMBERED = re.compile(r"(.*[^0-9])[0-9]+\.[^.]*")
"""A name that ends in a number: what is before it."""

BY_PREFIX = r"([^/]*[^0-9/])[0-9]+[.][^./]*$"
"""A pattern that finds the same in a path."""

BY_FOLDER = r"([^/]+)/[^/]+$"
"""A pattern that finds the folder that a picture lies in."""

FEWEST_GROUPS = 3
"""Groups that names must show before they are pointed out."""

FEWEST_PICTURES = 2.5
"""Pictures that a group must have on average."""

MOST_ALONE = 0.1
"""Share of the pictures that may lie in no group with others."""


@dataclass(frozen=True)
class NamedGroups:
    """Groups that names of files suggest: a name for each row, and the pattern that finds it."""

    names: Sequence[str]
    pattern: str


def suggest_groups(listing: Listing) -> str:
    """Say that names suggest groups where none were given: `patient12_03.png`, `p12/3.png`; "" where it is doubtful."""
    if not listing.is_labelled or not listing.files.are_stored:
        return ""
    paths = list_relative_paths(listing)
    for suggested in (group_by_inner_folder(paths, listing.labels), group_by_prefix(paths)):
        if suggested is None or not look_like_groups(suggested.names, listing.labels):
            continue
        count = len(set(suggested.names))
        example = next(path for path, name in zip(paths, suggested.names, strict=True) if name)
        return (
            f"names such as '{example}' suggest {count} groups of pictures (patients, sites, bursts), and pictures of "
            f"one group may be trained on and held out: if so, keep them together with --group-by '{suggested.pattern}'"
        )
    return ""


def group_by_inner_folder(paths: Sequence[str], labels: Sequence[str]) -> NamedGroups | None:
    """Group rows by the folder that they lie in, where it is below the folder of their class and no split."""
    names = []
    for path, label in zip(paths, labels, strict=True):
        *folders, _ = path.split("/")
        is_below_class = len(folders) > 1 and label in folders[:-1] and not names_split(folders[-1])
        names.append(folders[-1] if is_below_class else "")
    return NamedGroups(names, BY_FOLDER) if any(names) else None


def names_split(folder: str) -> bool:
    """Whether a folder is called as a split, or much like one."""
    return find_split(folder) is not None or looks_like_split(folder)


def group_by_prefix(paths: Sequence[str]) -> NamedGroups | None:
    """Group rows by what stands before the number at the end of their names."""
    names = []
    for path in paths:
        match = NUMBERED.fullmatch(path.rpartition("/")[2])
        names.append(match[1] if match else "")
    return NamedGroups(names, BY_PREFIX) if any(names) else None


def look_like_groups(names: Sequence[str], labels: Sequence[str]) -> bool:
    """Whether names divide the pictures as patients or bursts would.

    Almost every picture has company, there are several groups, and most classes have several of them: a prefix for each
    class is the class. Names without a number lie in one class each, since words such as `image` and `photo` turn up in
    all of them and say nothing.
    """
    sizes = Counter(name for name in names if name)
    in_company = sum(size for size in sizes.values() if size > 1)
    if len(sizes) < FEWEST_GROUPS or in_company < (1 - MOST_ALONE) * len(names):
        return False
    if sum(sizes.values()) < FEWEST_PICTURES * len(sizes):
        return False
    groups_of_class: defaultdict[str, set[str]] = defaultdict(set)
    classes_of_group: defaultdict[str, set[str]] = defaultdict(set)
    for name, label in zip(names, labels, strict=True):
        if name:
            groups_of_class[label].add(name)
            classes_of_group[name].add(label)
    divided = sum(len(groups) > 1 for groups in groups_of_class.values())
    if 2 * divided <= len(groups_of_class):
        return False
    are_numbered = all(any(character.isdigit() for character in name) for name in sizes)
    return are_numbered or all(len(classes) == 1 for classes in classes_of_group.values())
