"""Addresses of the web as texts: what they are made of, and how paths of files are written in them."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from featx.errors import DataError
from featx.storage.paths import WEB_URL, is_web_url

USER = re.compile(r"https?:/+[^/?#]*@", re.IGNORECASE)
"""How addresses begin that name a user."""

USER_REFUSED = (
    "an address names a user or a password (https://USER:PASSWORD@HOST/), which would be stored with the results: "
    "take it out"
)
"""What is said of such addresses, without them."""

PLAIN_NAMES = re.compile(r"/?(?:[^%\\\x00-\x1f\x7f]|%(?:2[0235]|3[CEF]|60|7[BD]|[89A-F][0-9A-F]))+", re.IGNORECASE)
"""Paths whose escapes obstore writes again when it is given the names themselves."""

UNWRITTEN = re.compile(r'[\x00-\x20"#%<>?`{}\x7f]')
"""What stands in names of files and not in addresses."""


class WebAddress(NamedTuple):
    """An address: scheme and host, and all that follows, as it is written."""

    host: str
    path: str


def names_user(text: str) -> bool:
    """Whether a text is an address that names a user, mostly with a password."""
    return "@" in text and USER.match(text.strip()) is not None


def parse_address(url: str) -> WebAddress:
    """Read an address of the web.

    Raises
    ------
    DataError
        If it is none that a server can be asked for.
    """
    match = WEB_URL.match(url)
    if match is None:
        raise DataError("it is not an address of the web")
    try:
        # What follows "#" is never sent.
        parts = urlsplit(f"{match['scheme'].lower()}://{url[match.end() :]}".partition("#")[0])
        is_whole = bool(parts.hostname) and parts.port != 0 and not re.search(r"[\s\\%]", parts.netloc)
    except ValueError:
        is_whole = False
    if not is_whole:
        raise DataError("it is not an address as in https://HOST/PATH")
    query = f"?{parts.query}" if parts.query else ""
    return WebAddress(f"{parts.scheme}://{parts.netloc}", f"{parts.path or '/'}{query}")


def find_address_path(url: str) -> str:
    """Give the path in an address, without what follows "?" or "#"."""
    return re.split("[?#]", url, maxsplit=1)[0]


def take_out_query(data: str) -> str:
    """Take what follows "?" or "#" out of DATA that is an address of the web; a path or another URL stays as it is."""
    return find_address_path(data) if is_web_url(data) else data


def join_address(folder: str, path: str) -> str:
    """Let the path of a file count from the address of a folder; it leads to no other host.

    It is a path as in any table, so what means something else in an address is escaped.
    """
    match = WEB_URL.match(folder)
    start = folder[: match.end()] if match else ""
    host, *names = folder[len(start) :].split("/")
    written = path.replace("\\", "/")
    if written.startswith("/"):
        names = []
    for name in UNWRITTEN.sub(lambda character: f"%{ord(character[0]):02X}", written).split("/"):
        if name == "..":
            names = names[:-1]
        elif name not in ("", "."):
            names.append(name)
    return f"{start}{'/'.join([host, *names])}"


def split_for_client(address: WebAddress) -> tuple[str, str]:
    """Divide an address into what a client is made of and what it is asked for.

    obstore escapes names by itself and knows of no query, so that belongs to the client, which is the same for all
    addresses of a host with the same query. An address that would be written in another way is a client's own.
    """
    path, mark, query = address.path.partition("?")
    names = path.removeprefix("/").split("/")
    if PLAIN_NAMES.fullmatch(path) and not {"", ".", ".."} & set(names):
        try:
            return f"{address.host}/{mark}{query}", unquote("/".join(names), errors="strict")
        except UnicodeDecodeError:
            pass
    return f"{address.host}{address.path}", ""
