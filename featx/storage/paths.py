"""Paths in a cache: of this machine, or of an object store."""

from __future__ import annotations

import os
import re
from abc import ABC
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from featx.errors import RequestError
from featx.paths import URL, expand_home

SCHEMES = ("s3", "gs", "az", "memory", "file")
"""Object stores that a cache may lie in; the last two are for tests."""

IMAGE_SCHEMES = ("s3", "gs", "az", "memory")
"""Those that images may lie in: `file:` in a table means a path of some other machine."""

WEB_URL = re.compile(r"(?P<scheme>https?):/+", re.IGNORECASE)
"""How addresses of the web begin. One slash is enough: paths lose the second one."""

OBJECT_URL = re.compile(r"(?P<scheme>[a-z0-9]+):/{1,3}(?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True)
class ObjectMeta:
    """What a listing says of an object.

    Attributes
    ----------
    size : int
        In bytes.
    tag : str
        Changes whenever the object is written.
    modified : float
        When it was written, in seconds since 1970.
    version : str
        Its number, where the store counts versions.
    """

    size: int
    tag: str
    modified: float
    version: str = ""


@dataclass(frozen=True, order=True)
class ObjectPath:
    """A name in an object store, with the few operations of `pathlib.Path` that need no look at the store.

    Attributes
    ----------
    bucket : str
        Such as "s3://bucket": everything that a client is made of.
    name_in_bucket : str
        Names joined by "/"; may be empty.
    copies : pathlib.Path or None
        Folder for copies of what was read; None: the usual one.
    meta : ObjectMeta or None
        What a listing said of it.
    """

    bucket: str
    name_in_bucket: str = ""
    copies: Path | None = field(default=None, compare=False)
    meta: ObjectMeta | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.bucket}/{self.name_in_bucket}" if self.name_in_bucket else self.bucket

    def __truediv__(self, name: str) -> ObjectPath:
        joined = f"{self.name_in_bucket}/{name}" if self.name_in_bucket else name
        return replace(self, name_in_bucket=joined, meta=None)

    @property
    def name(self) -> str:
        """The last name."""
        return self.name_in_bucket.rpartition("/")[2]

    @property
    def parent(self) -> ObjectPath:
        """The folder that it lies in."""
        return replace(self, name_in_bucket=self.name_in_bucket.rpartition("/")[0], meta=None)

    def with_name(self, name: str) -> ObjectPath:
        """Give another name in the same folder."""
        return self.parent / name


if TYPE_CHECKING:
    CachePath = Path | ObjectPath
else:
    # One class, since msgspec takes one of a union's members only to be its own.
    class CachePath(ABC):  # noqa: B024
        """A path in a cache: a `pathlib.Path` or an `ObjectPath`."""

    CachePath.register(Path)
    CachePath.register(ObjectPath)


def parse_cache(cache: str | CachePath, copies: Path | None = None) -> CachePath:
    """Read where a cache is: a folder, `~` being the home folder, or the URL of an object store.

    Parameters
    ----------
    cache : str, pathlib.Path or ObjectPath
        Such as "features", "s3://bucket/features", "gs://bucket/features" or "az://container/features".
    copies : pathlib.Path, optional
        Where copies of parts are kept that were read from an object store.

    Raises
    ------
    RequestError
        If it is a URL of another kind, or names no bucket.
    """
    if isinstance(cache, ObjectPath):
        return cache if copies is None else replace(cache, copies=copies)
    text = os.fspath(cache)
    if not URL.match(text):
        return Path(expand_home(text))
    match = OBJECT_URL.fullmatch(text)
    if match is None or match["scheme"] not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES[:3])
        raise RequestError(f"the cache '{text}' is a URL of an unknown kind: there are folders, {known}")
    if match["scheme"] == "file":
        return ObjectPath(f"file:///{match['rest'].strip('/')}", copies=copies)
    names = [name for name in match["rest"].split("/") if name]
    if not names or {".", ".."} & set(names):
        raise RequestError(f"the cache '{text}' names no bucket: write it as s3://BUCKET/FOLDER")
    return ObjectPath(f"{match['scheme']}://{names[0]}", "/".join(names[1:]), copies)


def is_object_url(text: str) -> bool:
    """Whether a text is the URL of an object store that images may lie in, or an address of the web."""
    # Most texts are paths, and there may be a million of them.
    if ":/" not in text:
        return False
    match = OBJECT_URL.fullmatch(text)
    return (match is not None and match["scheme"] in IMAGE_SCHEMES) or is_web_url(text)


def is_web_url(text: str) -> bool:
    """Whether a text is an address of the web."""
    return ":/" in text and WEB_URL.match(text) is not None


def usual_folder() -> Path:
    """Say where copies are kept: `$FEATX_LOCAL_CACHE`, else in the user's folder for such things."""
    named = os.environ.get("FEATX_LOCAL_CACHE")
    if named:
        return Path(expand_home(named))
    return Path(os.environ.get("XDG_CACHE_HOME") or expand_home("~/.cache")) / "featx"


def side_folder(cache: CachePath) -> Path:
    """Say where what is remembered of this machine's own files lies: in the cache, or beside copies of its parts."""
    return cache if isinstance(cache, Path) else cache.copies or usual_folder()


def name_below(root: CachePath, path: CachePath) -> str:
    """Give the names that lead from a cache to a path in it, joined as paths of its kind are."""
    if isinstance(root, Path):
        return str(Path(str(path)).relative_to(root))
    return str(path).removeprefix(f"{root}/")


def path_below(root: CachePath, text: str) -> CachePath:
    """Make a path of what `str` gave of one in the cache."""
    if isinstance(root, Path):
        return Path(text)
    return root / text.removeprefix(f"{root}/")
