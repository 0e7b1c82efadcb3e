"""The ladder of the packages, read from the syntax trees, and what must not be imported when."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "featx"

LADDER = (
    (
        *("archives", "base_choice", "errors", "fields", "files", "keys", "log"),
        *("paths", "processes", "requests", "storage", "timing", "types"),
    ),
    ("images", "linear"),
    ("bases", "store", "data"),
    ("engines",),
    ("features",),
    ("models",),
    ("classifiers",),
    ("evaluation",),
    ("selection",),
    ("ladder",),
    ("advice", "diagnosis", "finetuning", "inspection", "reports", "runners"),
    ("workflows",),
    ("api",),
    ("__init__",),
    ("cli",),
)
"""Floors of the house, the lowest first: a room imports from floors below its own, and from itself."""

FLOOR = {room: floor for floor, rooms in enumerate(LADDER) for room in rooms}

OWNERS = {
    "torch": {
        "bases",
        "cli",
        "diagnosis",
        "engines",
        "finetuning",
        "images",
        "inspection",
        "linear",
        "models",
        "runners",
        "workflows",
    },
    "torchvision": {"bases", "diagnosis", "images"},
    "timm": {"bases"},
    "h5py": {"store"},
    "obstore": {"storage"},
    "onnx": {"models"},
    "onnxruntime": {"models"},
    "sklearn": {"classifiers", "linear", "evaluation", "features", "inspection", "workflows"},
    "fcntl": {"processes"},
    "ray": {"processes"},
    "click": {"cli"},
    "jinja2": {"reports"},
    "matplotlib": {"reports"},
    "msgspec": {
        "advice",
        "base_choice",
        "bases",
        "evaluation",
        "fields",
        "inspection",
        "ladder",
        "models",
        "requests",
        "store",
    },
}
"""Heavy libraries, and the rooms that may import each."""


def modules() -> list[tuple[str, Path]]:
    paths = sorted(PACKAGE.rglob("*.py"))
    return [(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path) for path in paths]


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms_used(path: Path) -> set[str]:
    """Rooms of featx that a module imports from; names of the package itself, such as its version, count for none."""
    inner = {name.split(".")[1] for name in imported(path) if name.startswith("featx.")}
    return inner & set(FLOOR)


def test_every_room_has_its_floor() -> None:
    assert {room for room, _ in modules()} <= set(FLOOR)


def test_arrows_point_down() -> None:
    upward = [
        f"{path.relative_to(PACKAGE)} imports {used}"
        for room, path in modules()
        for used in sorted(rooms_used(path))
        if used != room and FLOOR[used] >= FLOOR[room] and FLOOR[room] > 0
    ]
    assert upward == []


def test_workflows_never_import_one_another() -> None:
    tangled = [
        f"{path.name} imports {name}"
        for path in sorted((PACKAGE / "workflows").glob("*.py"))
        for name in sorted(imported(path))
        if name.startswith("featx.workflows")
    ]
    assert tangled == []


def test_no_module_imports_itself_through_others() -> None:
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for _, path in modules()}
    arrows = {name: imported(path) & set(names.values()) for path, name in names.items()}
    while leaves := [name for name, used in arrows.items() if not used & set(arrows)]:
        for name in leaves:
            del arrows[name]
    assert sorted(arrows) == [], "these modules form a circle, or hang on one"


def test_each_heavy_library_has_its_owners() -> None:
    strangers = [
        f"{path.relative_to(PACKAGE)} imports {library}"
        for room, path in modules()
        for library, owners in OWNERS.items()
        if room not in owners and any(name.split(".")[0] == library for name in imported(path))
    ]
    assert strangers == []


def test_no_folder_is_crowded() -> None:
    # A file for each command, each verb and each family of networks is what one looks for by its name.
    crowded = {
        str(folder.relative_to(ROOT)): count
        for folder in [PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir())]
        if folder.name not in ("cli", "workflows", "architectures")
        and (count := len([p for p in folder.glob("*.py") if p.name != "__init__.py"]))
        > (10 if folder == PACKAGE else 15)
    }
    assert crowded == {}


def test_tests_mirror_the_tree() -> None:
    rooms = {str(path.parent.relative_to(PACKAGE)) for _, path in modules()} | {"contract", "corpus", "docs", "hostile"}
    astray = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if str(path.parent.relative_to(ROOT / "tests")) not in rooms
    }
    assert astray == set()


@pytest.mark.parametrize("command", [["--help"], ["cache", "ls", "--cache", "nowhere"]])
def test_light_commands_import_neither_torch_nor_scikit_learn_nor_obstore(command: list[str], tmp_path: Path) -> None:
    script = (
        "import sys\nfrom featx.cli.main import run\n"
        f"try:\n    run({command!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'ray', 'obstore', 'featx.storage.objects'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
