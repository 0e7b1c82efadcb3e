"""What the README tells people to type works, and what it claims of make is there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.documents import list_blocks, list_commands, use_bundled_base, use_bundled_base_in

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for block in list_blocks(TEXT) if block.kind == "sh" for line in list_commands(block.code)]
PYTHON = "\n".join(re.findall(r"```python\n(import featx\n.*?)```", TEXT, re.DOTALL))
TARGETS = sorted(set(re.findall(r"(?:`|^)make ([a-z]+)", TEXT, re.MULTILINE)))


def test_the_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 4
    assert {"demo", "test", "extract", "fit", "compare"} <= set(TARGETS)


def test_its_commands_run_in_order(featx: Callable[..., Any], photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEATX_CACHE", raising=False)
    monkeypatch.chdir(photos.parent)
    for line in COMMANDS:
        result = featx(*use_bundled_base(shlex.split(line, comments=True)[1:]))
        assert result.exit_code == 0, f"{line}: {result.output} {getattr(result, 'error', '')}"


def test_its_python_runs_from_a_folder_that_holds_the_photos(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEATX_CACHE", raising=False)
    monkeypatch.chdir(photos.parent)
    offline_code = use_bundled_base_in(PYTHON)
    assert "featx.predict" in offline_code
    names: dict[str, Any] = {}
    exec(compile(offline_code, "README.md", "exec"), names)  # the README is ours
    assert len(names["table"]) == 4
    assert (photos.parent / "photos.featx").is_file()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_that_it_names_is_in_the_makefile(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_help_of_make_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = re.search(r"\.PHONY: (.*)", makefile)
    assert named is not None
    for target in named.group(1).split():
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), f"{target} does not document itself"
