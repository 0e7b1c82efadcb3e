"""Pictures at addresses of the web: each read by a request of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from featx.data.sources.buckets.lost import BucketLost
from featx.data.sources.image_files import MAX_IMAGE_BYTES, refuse_large
from featx.errors import DataError, RequestError
from featx.log import note
from featx.storage.addresses import USER_REFUSED, names_user
from featx.storage.paths import ObjectPath
from featx.storage.reading import ObjectEntry
from featx.storage.web import look_at_all, read_address

log = logging.getLogger(__name__)

MANY = 2_000
"""Requests that take half a minute or so: the user is told what is waited for."""


class WebFile(NamedTuple):
    """A picture as a server describes it: its address, its bytes and its tag, "" where it has none."""

    url: str
    size: int
    tag: str

    def find_size(self) -> int:
        """Say how many bytes it has; 0 where it is too large to be read."""
        return self.size if self.size <= MAX_IMAGE_BYTES else 0

    def read(self) -> bytes:
        """Read it.

        Raises
        ------
        OSError
            If it is too large, gone or changed, or the server refuses or cannot be reached.
        BucketLost
            If obstore is not installed, as it may be on one node of several.
        """
        refuse_large(self.size)
        try:
            return read_address(self.url, self.tag, self.size)
        except RequestError as error:
            raise BucketLost(str(error)) from None


def refuse_users(urls: Iterable[str]) -> None:
    """Refuse addresses with names of users and passwords: an address is the name of its row, and stands in results.

    Raises
    ------
    DataError
        Without the address.
    """
    if any(map(names_user, urls)):
        raise DataError(USER_REFUSED)


def find_addresses(urls: Sequence[str]) -> tuple[dict[str, tuple[ObjectPath, ObjectEntry]], dict[str, str]]:
    """Find what lies at addresses.

    Returns
    -------
    found : dict of str to (ObjectPath, ObjectEntry)
        The address in place of a folder, and what the server says of the file.
    reasons : dict of str to str
        Why there is nothing to be read at the others.

    Raises
    ------
    RequestError
        If obstore is not installed.
    """
    distinct = list(dict.fromkeys(urls))
    if len(distinct) > MANY:
        note(log, f"servers are asked for the length of each of {len(distinct)} files")
    found: dict[str, tuple[ObjectPath, ObjectEntry]] = {}
    reasons: dict[str, str] = {}
    for url, entry in zip(distinct, look_at_all(distinct), strict=True):
        if isinstance(entry, ObjectEntry):
            found[url] = (ObjectPath(url), entry)
        else:
            reasons[url] = (entry.strerror if isinstance(entry, OSError) else None) or str(entry)
    return found, reasons
