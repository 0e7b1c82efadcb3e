"""`base.json`: what a base is, in plain words beside its features."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from featx.files import write_atomic
from featx.keys import BaseId

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
        Whether images were transformed as the base states, not as the user asked.
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
        If it is not there or cannot be read.
    ValueError
        If it is damaged, or describes another base than its folder's name says.
    """
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        base_id = BaseId.from_dict(fields["id"])
        found = StoredBase(
            base_id,
            fields["source"],
            tuple(fields["layers"]),
            bool(fields["is_default_transform"]),
            fields.get("weights_file"),
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it lacks what it should say: {error!r}") from error
    if base_id.folder != file.parent.name:
        raise ValueError("it describes another base than its folder")
    return found


def write_base(root: Path, base: StoredBase) -> None:
    """Write `base.json` unless a sound one is there that still tells where the weights lie.

    Raises
    ------
    OSError
        If the cache cannot be written.
    """
    file = root / base.id.folder / BASE_FILE
    try:
        stored = read_base(file)
        is_sound = base.weights_file is None or Path(stored.weights_file or "").is_file()
    except (OSError, ValueError):
        is_sound = False
    if not is_sound:
        write_atomic(file, (json.dumps(asdict(base), indent=2) + "\n").encode())
