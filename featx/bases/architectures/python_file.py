"""Custom networks: a Python file whose function `stages()` lists the stages of one.

Naming such a file in `--base` runs it: that is the user's choice, and nothing else ever runs one. The modules beside it
that it imports belong to it (`local_imports`).
"""

from __future__ import annotations

import hashlib
import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from featx.bases.architectures.local_imports import (
    NEVER_LOCAL,
    PACKAGE_FILE,
    HelperImports,
    Helpers,
    find_helpers,
)
from featx.bases.names import is_python_file
from featx.errors import RequestError
from featx.paths import is_file


@dataclass(frozen=True)
class NetworkFile:
    """A Python file as it was read, with the modules beside it that it imports.

    Attributes
    ----------
    path : pathlib.Path
    text : bytes
    helpers : mapping of str to Helper
    """

    path: Path
    text: bytes
    helpers: Helpers

    @property
    def architecture(self) -> str:
        """Its name as keys state it: a file that imports nothing beside it has the digest of its text."""
        sha256 = hashlib.sha256(self.text)
        for name in sorted(self.helpers):
            text = self.helpers[name].text
            if text is not None:
                sha256.update(f"\0{name}\0{hashlib.sha256(text).hexdigest()}".encode())
        return f"{self.path.name}@{sha256.hexdigest()[:12]}"


def read_network_file(name: str) -> NetworkFile:
    """Read the Python file of a custom network, and the modules beside it that it imports.

    Raises
    ------
    RequestError
        If one of them cannot be read.
    """
    path = Path(name).expanduser()
    try:
        # Asked first: reading a pipe would wait for a writer.
        if path.exists() and not is_file(path):
            raise RequestError(f"base '{name}' is not a file")
        text = path.read_bytes()
        return NetworkFile(path, text, find_helpers(path, text))
    except OSError as error:
        raise RequestError(f"base '{name}' cannot be read: {error.strerror or error}") from error


def architecture_name(name: str) -> str:
    """Name a base as feature keys do.

    A file is named by its file name and a digest of its text and of the modules beside it that it imports, so that a
    changed file is another base.

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
    return read_network_file(name).architecture if is_python_file(name) else name


@dataclass(frozen=True)
class Definitions:
    """What the Python file of a custom network defines.

    Attributes
    ----------
    stages : callable
        Builds the network: a list of (name, module).
    transform : dict
        What the file says of its images.
    imports : HelperImports
        Active while the file's functions run, which may import, too.
    """

    stages: Callable[[], Any]
    transform: dict[str, Any]
    imports: HelperImports


@cache
def run_file(name: str, architecture: str) -> Definitions:
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
        If it fails, has no function `stages`, or imports a module beside it that its text does not name.
    """
    file = read_network_file(name)
    if file.architecture != architecture:
        raise RequestError(f"base '{name}' changed while it was read: run the command again")
    imports = HelperImports(file.helpers)
    before = set(sys.modules)
    try:
        with imports.active():
            definitions = runpy.run_path(str(file.path), run_name=architecture)
    # The user's code may raise anything.
    except Exception as error:
        raise RequestError(f"base '{name}' fails when it is run: {type(error).__name__}: {error}") from error
    check_imports(file, before)
    if not callable(definitions.get("stages")):
        raise RequestError(
            f"base '{name}' has no function stages(): it must return a list of (name, module), in order, and may set "
            "transform = dict(resize=256, crop=224)"
        )
    return Definitions(definitions["stages"], definitions.get("transform", {}), imports)


def check_imports(file: NetworkFile, before: set[str]) -> None:
    """Check that nothing beside a file was imported whose contents do not count in the key.

    Parameters
    ----------
    file : NetworkFile
    before : set of str
        Modules that were imported before the file was run.

    Raises
    ------
    RequestError
        Naming the module.
    """
    folder = file.path.parent.resolve()
    for name in sorted(set(sys.modules) - before):
        origin = getattr(sys.modules[name], "__file__", None)
        if not origin:
            continue
        place = Path(origin).resolve()
        depth = name.count(".") + (place.name == PACKAGE_FILE)
        is_beside = len(place.parents) > depth and place.parents[depth] == folder
        # What is installed in an environment within the folder is not the user's own code.
        is_installed = "site-packages" in place.parts or name.partition(".")[0] in NEVER_LOCAL
        if is_beside and not is_installed:
            raise RequestError(
                f"base '{file.path}' imports '{name}' in a way that its text does not show, so that a change of "
                f"it would go unnoticed: write import {name}"
            )
