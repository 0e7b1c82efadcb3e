"""The modules beside a Python file that it imports: part of what it is, so their text counts in its key.

They are found in the text, without running it, since evaluation asks for the key and runs nothing. And they are
imported from the bytes that were digested: no compiled file, and no module of the same name that something else has
imported, can take their place.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import decode_source, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

PACKAGE_FILE = "__init__.py"

IMPORTERS = ("import_module", "__import__")
"""Functions that import what a text names."""

NEVER_LOCAL = frozenset({"featx", *sys.stdlib_module_names})
"""Modules that no file beside the network's takes the place of: Python and featx have imported them already."""


@dataclass(frozen=True)
class Helper:
    """A module beside the network's file.

    Attributes
    ----------
    path : pathlib.Path
        Its file; the folder of a package without `__init__.py`.
    text : bytes or None
        What the file holds; None of such a package.
    """

    path: Path
    text: bytes | None

    @property
    def is_package(self) -> bool:
        """Whether modules may lie in it."""
        return self.text is None or self.path.name == PACKAGE_FILE


Helpers = Mapping[str, Helper]
"""Modules by the names under which they are imported."""


def find_helpers(file: Path, text: bytes) -> dict[str, Helper]:
    """Find the modules beside a file that it imports, and those that these import, by their names.

    Parameters
    ----------
    file : pathlib.Path
    text : bytes
        What it holds.

    Raises
    ------
    OSError
        If one of them cannot be read.
    """
    found: dict[str, Helper] = {}
    waiting = [*list_imports(text, "")]
    while waiting:
        name = waiting.pop()
        for parent in list_parents(name):
            if parent in found:
                continue
            helper = find_module(file.parent, parent)
            if helper is None:
                break
            found[parent] = helper
            package = parent if helper.is_package else parent.rpartition(".")[0]
            waiting += list_imports(helper.text or b"", package)
    return found


def list_parents(name: str) -> list[str]:
    """List the packages that a module lies in, the outermost first, and the module: what an import of it imports."""
    parts = name.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def find_module(folder: Path, name: str) -> Helper | None:
    """Find a module below a folder; None if it does not lie there."""
    first, *_ = parts = name.split(".")
    if first in NEVER_LOCAL or not all(part.isidentifier() for part in parts):
        return None
    place = folder.joinpath(*parts)
    # A package goes before a module of its name, as in Python.
    for path in (place / PACKAGE_FILE, place.with_name(f"{place.name}.py")):
        if path.is_file():
            return Helper(path, path.read_bytes())
    # Python takes an installed package before a folder without `__init__.py`, such as a checkout of it.
    if place.is_dir() and (len(parts) > 1 or PathFinder.find_spec(first) is None or is_namespace(first)):
        return Helper(place, None)
    return None


def is_namespace(name: str) -> bool:
    """Whether Python, too, knows a package of this name only as a folder."""
    spec = PathFinder.find_spec(name)
    return spec is not None and spec.origin is None


def list_imports(text: bytes, package: str) -> Iterator[str]:
    """List the modules that a text imports anywhere in it, whether or not it comes to that.

    Parameters
    ----------
    text : bytes
    package : str
        The package that relative imports count from; empty if there is none.
    """
    try:
        tree = ast.parse(text)
    # What is no Python is told when it is run.
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_import(node, package)
            if module:
                # What is imported from a package may be a module in it.
                yield from (module, *(f"{module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Call):
            yield from list_called(node)


def resolve_import(node: ast.ImportFrom, package: str) -> str:
    """Name the module that something is imported from; empty where a relative import leads out of its package."""
    if not node.level:
        return node.module or ""
    parts = package.split(".") if package else []
    up = node.level - 1
    if up >= len(parts):
        return ""
    return ".".join([*parts[: len(parts) - up], *([node.module] if node.module else [])])


def list_called(node: ast.Call) -> Iterator[str]:
    """Name the module that a call such as `import_module("blocks")` imports, if it is one."""
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in IMPORTERS and node.args and isinstance(node.args[0], ast.Constant):
        module = node.args[0].value
        if isinstance(module, str):
            yield module.lstrip(".")


class TextLoader(InspectLoader):
    """Imports a helper from the text that was digested."""

    def __init__(self, helper: Helper) -> None:
        self.helper = helper

    def get_source(self, fullname: str) -> str:
        """Give the text of the module."""
        return decode_source(self.helper.text or b"")

    def get_code(self, fullname: str) -> CodeType:
        """Compile it."""
        # A compiled file beside it may be of another text, as long and written in the same second.
        code: CodeType = compile(self.helper.text or b"", str(self.helper.path), "exec", dont_inherit=True)
        return code

    def is_package(self, fullname: str) -> bool:
        """Whether modules may lie in it."""
        return self.helper.is_package


@dataclass(frozen=True)
class HelperImports(MetaPathFinder):
    """Lets one network's file import its helpers, whatever else goes by their names.

    Attributes
    ----------
    helpers : mapping of str to Helper
    modules : dict of str to module
        Those that were imported so far.
    """

    helpers: Helpers
    modules: dict[str, ModuleType] = field(default_factory=dict)

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find a helper for Python's import."""
        helper = self.helpers.get(name)
        if helper is None:
            return None
        if helper.text is None:
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(helper.path)]
            return spec
        return spec_from_file_location(name, helper.path, loader=TextLoader(helper))

    @contextmanager
    def active(self) -> Iterator[None]:
        """Import helpers by their names while the block runs; afterwards these names mean what they meant before."""
        others = {name: sys.modules.pop(name) for name in self.helpers if name in sys.modules}
        sys.modules.update(self.modules)
        sys.meta_path.insert(0, self)
        try:
            yield
        finally:
            sys.meta_path.remove(self)
            for name in self.helpers:
                if name in sys.modules:
                    self.modules[name] = sys.modules.pop(name)
            sys.modules.update(others)
