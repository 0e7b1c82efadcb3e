"""Lists folders of S3 that hold objects whose names obstore refuses: with empty parts, `.`, `..` or control characters.

One such name ends a list of obstore, and no page of it can be had without. So here a list is asked for at an address
that obstore signs, which spares knowing where credentials come from. It signs addresses of objects only; but it writes
the name of a bucket into them as it is, and so the whole question fits in there.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import unquote_plus, urlencode
from xml.etree import ElementTree

from featx.errors import StoreError
from featx.storage.client import ask, make_client
from featx.storage.paths import ObjectPath

ANSWER_SECONDS = 30.0
"""How long an answer is waited for."""

SIGNED_MINUTES = 5
"""How long an address is good for."""

MOST_ANSWER_BYTES = 2**24
"""A thousand names of 1,024 bytes, written with three characters a byte, and what is said of each."""

BAD_NAME = re.compile(r"(?:^|/)(?:\.{0,2})(?:/|$)|[\0-\x1f\x7f]")
"""What obstore refuses in the name of an object."""


def list_any_names(folder: ObjectPath) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the names of the objects below a folder of S3, and of each what obstore's lists say.

    Raises
    ------
    StoreError
        If the server does not answer as S3 does.
    """
    question = {"list-type": "2", "encoding-type": "url"}
    if folder.name_in_bucket:
        question["prefix"] = f"{folder.name_in_bucket}/"
    while True:
        page = ask(folder, partial(fetch_page, folder, dict(question)))
        yield from read_objects(folder, page)
        token = page.findtext("{*}NextContinuationToken")
        if page.findtext("{*}IsTruncated") != "true" or not token:
            return
        question["continuation-token"] = token


def fetch_page(folder: ObjectPath, question: dict[str, str]) -> ElementTree.Element:
    """Ask for a page of a list."""
    from obstore import sign

    # What obstore adds to an address is taken for the value of a parameter that S3 ignores. No page is asked for twice.
    asking = make_client.__wrapped__(f"{folder.bucket}?{urlencode(question)}&x-id=")
    address = sign(asking, "GET", "ListObjectsV2", timedelta(minutes=SIGNED_MINUTES))
    try:
        with urllib.request.urlopen(address, timeout=ANSWER_SECONDS) as answer:
            text = answer.read(MOST_ANSWER_BYTES)
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            raise
        raise StoreError(f"'{folder}' cannot be listed: status code: {error.code}") from None
    try:
        page = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        raise StoreError(f"'{folder}' cannot be listed: the answer is not XML") from None
    # Some servers answer without having read the question.
    if not page.tag.endswith("ListBucketResult") or page.findtext("{*}EncodingType") != "url":
        raise StoreError(f"'{folder}' cannot be listed: the answer is not that of S3")
    return page


def read_objects(folder: ObjectPath, page: ElementTree.Element) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a page."""
    for element in page.iterfind("{*}Contents"):
        said = {field: element.findtext(f"{{*}}{field}") or "" for field in ("Key", "Size", "ETag", "LastModified")}
        try:
            modified = datetime.fromisoformat(said["LastModified"].replace("Z", "+00:00"))
            meta = {"size": int(said["Size"]), "e_tag": said["ETag"], "last_modified": modified}
        except ValueError:
            raise StoreError(f"'{folder}' cannot be listed: the answer is not that of S3") from None
        yield unquote_plus(said["Key"]), meta
