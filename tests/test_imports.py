"""The arrows of the architecture, read from the syntax trees, and what must not be imported when."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "featx"
FOUNDATION = {"errors", "files", "keys", "requests", "timing"}
ISLANDS = {"data", "bases", "store", "classifiers"}
UPPER = {"pipeline", "distribute"}
VERBS = {p.stem for p in PACKAGE.glob("*.py")} - FOUNDATION - UPPER - {"__init__"}
OWNERS = {
    "torch": {"bases", "classifiers", "extract", "heads"},
    "torchvision": {"bases"},
    "timm": {"bases"},
    "h5py": {"store", "export"},
    "sklearn": {"classifiers", "evaluate"},
    "click": {"cli"},
}


def modules() -> list[tuple[str, Path]]:
    return [(p.relative_to(PACKAGE).parts[0].removesuffix(".py"), p) for p in sorted(PACKAGE.rglob("*.py"))]


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def allowed(room: str) -> set[str]:
    if room in FOUNDATION:
        return FOUNDATION
    if room in ISLANDS:
        return FOUNDATION | {room}
    if room in VERBS:
        return FOUNDATION | ISLANDS | {"table", "experiment", "heads", room}
    if room in UPPER:
        return FOUNDATION | ISLANDS | VERBS | {room}
    return FOUNDATION | ISLANDS | VERBS | UPPER | {"cli", "__init__", "__version__"}


@pytest.mark.parametrize(("room", "path"), modules(), ids=lambda value: str(value).removeprefix(str(PACKAGE)))
def test_a_module_imports_only_what_its_level_allows(room: str, path: Path) -> None:
    inner = {name.split(".")[1] for name in imported(path) if name.startswith("featx.")}
    assert inner <= allowed(room), f"{path.name} of {room} imports {sorted(inner - allowed(room))}"


@pytest.mark.parametrize("library", OWNERS)
def test_each_heavy_library_has_its_owners(library: str) -> None:
    users = {room for room, path in modules() if any(n.split(".")[0] == library for n in imported(path))}
    assert users <= OWNERS[library]


@pytest.mark.parametrize("command", [["--help"], ["cache", "ls", "--cache", "nowhere"]])
def test_light_commands_import_neither_torch_nor_scikit_learn(command: list[str], tmp_path: Path) -> None:
    script = (
        "import sys\nfrom featx.cli.main import run\n"
        f"try:\n    run({command!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'sklearn', 'scipy'} & set(sys.modules)\nsys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
