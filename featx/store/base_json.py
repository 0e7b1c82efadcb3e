"""`base.json`: what a base is, in plain words beside its features."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from featx.files import digest
from featx.keys import BaseId, list_fields
from featx.paths import is_file
from featx.storage.interface import storage_of
from featx.storage.paths import CachePath
from featx.store.schema import BaseFileFields, check_fields, load_json

BASE_FILE = "base.json"

MOST_BASE_BYTES = 2**24
"""Size of a `base.json`: a network of a thousand layers takes some 100 KB."""


@dataclass(frozen=True)
class StoredBase:
    """A base of which the store holds features.

    Attributes
    ----------
    id : BaseId
    source : str
        Where its weights came from, in plain words.
    layers : tuple of dict
        Its layers as `base.json` lists them: name, alias, shape, stride.
    is_default_transform : bool
        Whether images went through the transform that the base states, not through one of the user's.
    weights_file : str or None
        Absolute path of the file that the weights came from; None where they have a name, or in older caches.
    """

    id: BaseId
    source: str
    layers: tuple[dict[str, Any], ...]
    is_default_transform: bool
    weights_file: str | None = None


def read_base(file: CachePath) -> StoredBase:
    """Read a `base.json`.

    Raises
    ------
    OSError
        If it does not exist, cannot be read or is not a file.
    ValueError
        If it is damaged, or describes another base than its folder's name says.
    """
    fields = load_json(storage_of(file).read_file(file, MOST_BASE_BYTES, "a base.json"))
    stated = check_fields(fields, BaseFileFields)
    # Older ones have none, and no other field either: a damaged name must not pass for its absence.
    is_older = stated.checksum is None and set(fields) <= set(BaseFileFields.__struct_fields__)
    if not is_older and stated.checksum != checksum_fields(fields):
        raise ValueError("it fails its checksum")
    base = StoredBase(
        id=BaseId.from_dict(fields["id"]),
        source=stated.source,
        layers=tuple(fields["layers"]),
        is_default_transform=stated.is_default_transform,
        weights_file=stated.weights_file,
    )
    if base.id.folder != file.parent.name:
        raise ValueError("it describes another base than its folder is named for")
    return base


def checksum_fields(fields: dict[str, Any]) -> str:
    """Compute the checksum of all fields but the checksum itself: 64 hex digits.

    Raises
    ------
    ValueError
        If a field that means nothing is nested too deeply.
    """
    others = {name: value for name, value in fields.items() if name != "checksum"}
    try:
        return digest(json.dumps(others, sort_keys=True).encode()).hex()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def write_base(root: CachePath, base: StoredBase) -> None:
    """Write `base.json` unless an intact one exists that still tells where the weights lie.

    Raises
    ------
    OSError
        If the cache cannot be written.
    """
    file = root / base.id.folder / BASE_FILE
    try:
        stored = read_base(file)
        is_intact = base.weights_file is None or is_file(stored.weights_file or "")
    except (OSError, ValueError):
        is_intact = False
    if not is_intact:
        fields = {**asdict(base), "id": list_fields(base.id)}
        fields["checksum"] = checksum_fields(fields)
        storage_of(file).write_file(file, [(json.dumps(fields, indent=2) + "\n").encode()])
