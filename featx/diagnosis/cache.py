"""The feature store: what it holds, what of it cannot be read, and whether it can be written."""

from __future__ import annotations

import os
from pathlib import Path

from featx.diagnosis.file_system import TOPIC, check_file_system, check_space
from featx.diagnosis.finding import Finding
from featx.errors import BrokenPart, FeatxError, StoreError
from featx.storage.paths import CachePath, ObjectPath
from featx.store.part import Part, fetch_headers
from featx.store.paths import list_base_folders, list_key_folders, list_parts
from featx.store.verify import check_bases


def check_cache(root: CachePath) -> list[Finding]:
    """Look at a cache: the headers of all parts, the file system, and the room that is left.

    Parameters
    ----------
    root : pathlib.Path or ObjectPath
        It need not be there.
    """
    if isinstance(root, ObjectPath):
        return check_bucket(root)
    if not root.exists():
        return check_missing(root)
    if not root.is_dir():
        advice = "choose a folder with --cache or FEATX_CACHE"
        return [Finding(TOPIC, "problem", "a file is in the place of the cache", advice)]
    try:
        findings = check_parts(root)
    except StoreError as error:
        findings = [Finding(TOPIC, "problem", str(error), "have the permissions of the cache changed")]
    return [*findings, *check_file_system(root)]


def check_bucket(root: ObjectPath) -> list[Finding]:
    """Look at a cache in an object store: whether it can be read, and the headers of all parts; nothing is written."""
    try:
        return check_parts(root)
    # Without obstore, bucket or credentials.
    except FeatxError as error:
        return [Finding(TOPIC, "problem", str(error), "choose another cache with --cache or FEATX_CACHE")]


def check_missing(root: Path) -> list[Finding]:
    """Say that there is no cache yet, and whether one could be made; nothing is written."""
    above = root.absolute().parent
    while not above.exists():
        above = above.parent
    if not os.access(above, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        advice = "choose another folder with --cache or FEATX_CACHE"
        return [Finding(TOPIC, "problem", "there is no cache, and its folder cannot be made", advice)]
    return [Finding(TOPIC, "ok", "there is no cache yet: featx extract makes it"), check_space(above)]


def check_parts(root: CachePath) -> list[Finding]:
    """Open every part of a cache: its header is checked, the features are not."""
    parts = 0
    size = 0
    broken = 0
    unreadable = 0
    for folder in list_key_folders(root):
        paths = list_parts(folder)
        fetch_headers(paths)
        for path in paths:
            parts += 1
            try:
                with Part.open(path) as part:
                    size += part.header.file_bytes
            except BrokenPart:
                broken += 1
            # Removed meanwhile, or not ours to read.
            except OSError:
                unreadable += 1
    bases = len(list_base_folders(root))
    held = f"features of {count_of(bases, 'base')} in {count_of(parts, 'part')}, {size / 1e6:.0f} MB"
    findings = [Finding(TOPIC, "ok", held)]
    if broken:
        text = f"{broken} of {parts} parts are broken: their features are computed again"
        findings.append(
            Finding(TOPIC, "problem", text, "featx cache verify names them, featx cache clean removes them")
        )
    if unreadable:
        text = f"{unreadable} of {parts} parts cannot be read"
        findings.append(
            Finding(TOPIC, "problem", text, "have their permissions changed; featx cache verify names them")
        )
    odd = check_bases(root)
    if odd:
        text = f"{len(odd)} of {bases} bases have no readable base.json"
        findings.append(Finding(TOPIC, "note", text, "extract anything with these bases, and it is written again"))
    return findings


def count_of(number: int, noun: str) -> str:
    """Write a number with its noun in singular or plural."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
