"""Networks of the user's own: a Python file whose function `stages()` lists them.

Naming such a file in `--base` runs it: that is the user's choice, and nothing else ever runs one.
"""

from __future__ import annotations

import hashlib
import runpy
from functools import cache
from pathlib import Path
from typing import Any

from featx.bases.names import is_python_file
from featx.errors import RequestError


def architecture_name(name: str) -> str:
    """Name a base as keys do: a file by its name and the digest of its text, so that a changed file is another base.

    Raises
    ------
    RequestError
        If the file cannot be read.
    """
    if not is_python_file(name):
        return name
    try:
        text = Path(name).expanduser().read_bytes()
    except OSError as error:
        raise RequestError(f"base '{name}' cannot be read: {error.strerror or error}") from error
    return f"{Path(name).name}@{hashlib.sha256(text).hexdigest()[:12]}"


@cache
def run_file(name: str, architecture: str) -> dict[str, Any]:
    """Run a file that names a base, once for each of its contents, and give what it defines.

    Raises
    ------
    RequestError
        If it fails, or has no function `stages`.
    """
    try:
        found = runpy.run_path(str(Path(name).expanduser()), run_name=architecture)
    except Exception as error:
        raise RequestError(f"base '{name}' fails when it is run: {type(error).__name__}: {error}") from error
    if not callable(found.get("stages")):
        raise RequestError(
            f"base '{name}' has no function stages(): it must return a list of (name, module), in order, and may set "
            "transform = dict(resize=256, crop=224)"
        )
    return found
