"""Folders as `save_to_disk` of Hugging Face's datasets writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def save_to_disk(folder: Path, table: Any, codec: str | None = None) -> Path:
    """What `save_to_disk` writes: two streams of a few batches, and which they are."""
    import pyarrow as pa

    folder.mkdir(parents=True)
    half = len(table) // 2
    names = [f"data-0000{number}-of-00002.arrow" for number in (0, 1)]
    for name, part in zip(names, (table.slice(0, half), table.slice(half)), strict=True):
        options = pa.ipc.IpcWriteOptions(compression=codec)
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, table.schema, options=options) as to:
            to.write_table(part, max_chunksize=3)
    files = [{"filename": name} for name in names]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_indices_files": None}))
    return folder
