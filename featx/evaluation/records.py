"""Small JSON files beside the results: what a run has measured or decided is never measured or decided again."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from featx.evaluation.protocol import PROTOCOL
from featx.evaluation.result_cache import FOLDER, checksum_record
from featx.storage.interface import storage_of
from featx.storage.paths import CachePath

log = logging.getLogger(__name__)

MOST_BYTES = 2**20
"""Size of such a file."""

Values = TypeVar("Values", bound=Struct)


def record_file(cache: CachePath, kind: str, stated: Mapping[str, Any]) -> CachePath:
    """Path of what belongs to a request, found by all that it states."""
    text = json.dumps({**stated, "protocol": PROTOCOL}, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return cache / FOLDER / f"{kind}-{digest[:32]}.json"


def save_record(cache: CachePath, kind: str, stated: Mapping[str, Any], values: Struct) -> None:
    """Write a record; a cache that cannot be written is no error, only slower next time.

    Parameters
    ----------
    cache : pathlib.Path or ObjectPath
    kind : str
        What the record is of: the beginning of its name.
    stated : mapping
        Everything that the values depend on.
    values : msgspec.Struct
        Of plain values.
    """
    record: dict[str, Any] = {"request": {**stated, "protocol": PROTOCOL}, "values": msgspec.to_builtins(values)}
    record["checksum"] = checksum_record(record)
    try:
        file = record_file(cache, kind, stated)
        storage_of(file).write_file(file, [(json.dumps(record, sort_keys=True) + "\n").encode()])
    except OSError as error:
        log.info("the record is not kept: %s", error)


def load_record(cache: CachePath, kind: str, stated: Mapping[str, Any], schema: type[Values]) -> Values | None:
    """Read the values of a record; None if there is none, or it is damaged or of another request.

    Parameters
    ----------
    cache, kind, stated
        As in `save_record`.
    schema : type
        Of the values: what is not of its types is damaged.
    """
    file = record_file(cache, kind, stated)
    try:
        return parse_record(storage_of(file).read_file(file, MOST_BYTES, "a record"), stated, schema)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        log.info("the record '%s' is unreadable (%s): it is made again", file, error)
        return None


def list_records(cache: CachePath, kind: str, schema: type[Values]) -> Iterator[tuple[dict[str, Any], Values]]:
    """Yield what every sound record of a kind states, and its values; damaged ones are passed over.

    Parameters
    ----------
    cache, kind, schema
        As in `load_record`.
    """
    for file in storage_of(cache).list_entries(cache / FOLDER):
        if not file.name.startswith(f"{kind}-"):
            continue
        try:
            text = storage_of(file).read_file(file, MOST_BYTES, "a record")
            stated = read_statement(text)
            yield stated, parse_record(text, stated, schema)
        except (OSError, ValueError, RecursionError) as error:
            log.info("the record '%s' is unreadable (%s)", file, error)


def read_statement(text: bytes) -> dict[str, Any]:
    """Take what a record states from its JSON, whatever else is wrong with it.

    Raises
    ------
    ValueError, RecursionError
        If it states nothing.
    """
    record = json.loads(text)
    request = record.get("request") if isinstance(record, dict) else None
    if not isinstance(request, dict):
        raise ValueError("it states nothing")
    return {name: value for name, value in request.items() if name != "protocol"}


def parse_record(text: bytes, stated: Mapping[str, Any], schema: type[Values]) -> Values:
    """Take the values of a record from its JSON.

    Raises
    ------
    ValueError, RecursionError
        If it is damaged, or the record of something else.
    """
    record = json.loads(text)
    if not isinstance(record, dict) or record.get("checksum") != checksum_record(record):
        raise ValueError("it fails its checksum")
    # Through JSON and back, since tuples come back as lists.
    if record.get("request") != json.loads(json.dumps({**stated, "protocol": PROTOCOL})):
        raise ValueError("it is of another request")
    try:
        return msgspec.convert(record.get("values"), schema)
    except msgspec.ValidationError as error:
        raise ValueError(f"a value is missing or of the wrong type: {error}") from error
