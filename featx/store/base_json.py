"""`base.json`: what a base is, in plain words beside its features."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from featx.files import write_atomic
from featx.keys import BaseId, list_fields

BASE_FILE = "base.json"


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


def read_base(file: Path) -> StoredBase:
    """Read a `base.json`.

    Raises
    ------
    OSError
        If it does not exist or cannot be read.
    ValueError
        If it is damaged, or describes another base than its folder's name says.
    """
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        base = StoredBase(
            id=BaseId.from_dict(fields["id"]),
            source=fields["source"],
            layers=tuple(fields["layers"]),
            is_default_transform=bool(fields["is_default_transform"]),
            weights_file=fields.get("weights_file"),
        )
    # RecursionError: JSON nested thousands of levels deep.
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"a field is missing or of the wrong type: {error!r}") from error
    if base.id.folder != file.parent.name:
        raise ValueError("it describes another base than its folder is named for")
    return base


def write_base(root: Path, base: StoredBase) -> None:
    """Write `base.json` unless an intact one exists that still tells where the weights lie.

    Raises
    ------
    OSError
        If the cache cannot be written.
    """
    file = root / base.id.folder / BASE_FILE
    try:
        stored = read_base(file)
        is_intact = base.weights_file is None or Path(stored.weights_file or "").is_file()
    except (OSError, ValueError):
        is_intact = False
    if not is_intact:
        text = json.dumps({**asdict(base), "id": list_fields(base.id)}, indent=2) + "\n"
        write_atomic(file, text.encode())
