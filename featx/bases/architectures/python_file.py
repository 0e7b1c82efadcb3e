"""Custom networks: a Python file whose function `stages()` lists the stages of one.

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
    """Name a base as feature keys do.

    A file is named by its file name and a digest of its text, so that a changed file is another base.

    Parameters
    ----------
    name : str
        As `--base` takes it.

    Returns
    -------
    str
        Such as `my_net.py@0123456789ab`; the name itself if it is not a Python file.

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
    """Run the Python file of a custom network, once for each of its contents, and return what it defines.

    Parameters
    ----------
    name : str
        Path of the file.
    architecture : str
        Its name as keys state it; it stands for the contents in the memory of this function.

    Raises
    ------
    RequestError
        If it fails, or has no function `stages`.
    """
    try:
        definitions = runpy.run_path(str(Path(name).expanduser()), run_name=architecture)
    # The user's code may raise anything.
    except Exception as error:
        raise RequestError(f"base '{name}' fails when it is run: {type(error).__name__}: {error}") from error
    if not callable(definitions.get("stages")):
        raise RequestError(
            f"base '{name}' has no function stages(): it must return a list of (name, module), in order, and may set "
            "transform = dict(resize=256, crop=224)"
        )
    return definitions
