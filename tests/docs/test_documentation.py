"""What the documentation shows runs as it stands, page by page, in order."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.documents import list_blocks, list_commands, use_bundled_base, use_bundled_base_in

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
READY = (
    ("extract", "photos", "--base", "tiny", "--layer", "layer2", "--layer", "layer3", "--layer", "layer4"),
    ("fit", "photos", "--base", "tiny", "--layer", "layer3", "--clf", "svm", "--out", "photos.featx"),
)
"""What is there where the pages of the guide begin."""

NAMES = [page.relative_to(ROOT / "docs").as_posix() for page in PAGES]


def test_there_are_pages_with_blocks_that_run() -> None:
    blocks = [block for page in PAGES for block in list_blocks(page.read_text(encoding="utf-8"))]
    running = [block for block in blocks if not block.needs]
    assert sum(len(list_commands(block.code)) for block in running) >= 20
    assert sum(block.kind == "python" for block in running) >= 3


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_its_blocks_run_in_order(
    page: Path, featx: Callable[..., Any], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FEATX_CACHE", raising=False)
    monkeypatch.chdir(photos.parent)
    # Two pictures of each of six patients in every class.
    for picture in photos.rglob("*.png"):
        picture.rename(picture.with_name(f"patient{int(picture.stem) // 2}_{picture.name}"))
    if page.parent.name == "guide":
        # Each goes on from what the pages before it leave.
        for words in READY:
            assert featx(*words).exit_code == 0
    names: dict[str, Any] = {}
    for block in list_blocks(page.read_text(encoding="utf-8")):
        if block.needs:
            continue
        if block.kind == "python":
            exec(compile(use_bundled_base_in(block.code), str(page), "exec"), names)  # the documentation is ours
            continue
        for line in list_commands(block.code):
            result = featx(*use_bundled_base(shlex.split(line, comments=True)[1:]))
            assert result.exit_code == 0, f"{line}: {result.output} {getattr(result, 'error', '')}"
