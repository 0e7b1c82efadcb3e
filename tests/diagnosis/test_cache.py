"""What a doctor says of caches that are sound, broken, missing, or not to be written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.diagnosis.cache import check_cache
from featx.diagnosis.file_system import PROMISES, find_kind
from featx.diagnosis.finding import Finding
from featx.keys import BaseId, FeatureKey, InputTransform
from featx.store.store import FeatureStore

NOBODY = 65534

KEY = FeatureKey(BaseId("tiny", "0" * 64, InputTransform(32, 32)), "layer1")


@pytest.fixture
def filled(cache: Path, digests: Callable[..., NDArray[np.uint8]]) -> Path:
    store = FeatureStore(cache)
    for seed in (1, 2):
        store.add(KEY, digests(5, seed), np.ones((5, 3), np.float32), {})
    return cache


def list_texts(findings: list[Finding], status: str) -> list[str]:
    return [found.text for found in findings if found.status == status]


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Take away the right to write: root has it whatever the modes say, so root becomes nobody for a while."""
    folder.chmod(0o555)
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)
        folder.chmod(0o755)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, which those of pytest are not."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_sound_cache_is_counted_and_left_as_it_was(filled: Path) -> None:
    before = sorted(filled.rglob("*"))
    findings = check_cache(filled)
    assert list_texts(findings, "problem") == []
    assert "features of 1 base in 2 parts, 0 MB" in list_texts(findings, "ok")
    assert any("keeps what is relied on: renaming, syncing, locking" in text for text in list_texts(findings, "ok"))
    assert sorted(filled.rglob("*")) == before


def test_broken_parts_are_counted_with_what_to_do(filled: Path) -> None:
    part = sorted(filled.rglob("*.h5"))[0]
    part.write_bytes(part.read_bytes()[:100])
    (problem,) = [found for found in check_cache(filled) if found.status == "problem"]
    assert problem.text == "1 of 2 parts are broken: their features are computed again"
    assert "featx cache verify" in problem.advice


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="there are no users to become")
def test_a_folder_that_cannot_be_written_is_a_problem_and_can_be_read(open_folder: Path) -> None:
    FeatureStore(open_folder).add(KEY, np.zeros((1, 32), np.uint8), np.ones((1, 3), np.float32), {})
    with without_rights(open_folder):
        findings = check_cache(open_folder)
        missing = check_cache(open_folder / "none" / "cache")
    assert list_texts(findings, "problem") == ["the cache cannot be written: Permission denied"]
    assert "features of 1 base in 1 part, 0 MB" in list_texts(findings, "ok")
    assert list_texts(missing, "problem") == ["there is no cache, and its folder cannot be made"]


def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    findings = check_cache(tmp_path / "cache")
    assert "there is no cache yet: featx extract makes it" in list_texts(findings, "ok")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "cache").write_text("no folder")
    assert list_texts(check_cache(tmp_path / "cache"), "problem") == ["a file is in the place of the cache"]


@pytest.mark.parametrize("promise", PROMISES)
def test_each_promise_holds_on_the_disk_of_the_tests(promise: str, tmp_path: Path) -> None:
    assert PROMISES[promise](tmp_path)


def test_the_kind_of_a_file_system_is_that_of_the_longest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"disk / ext4 rw 0 0\nserver:/x {tmp_path.resolve()} nfs4 rw 0 0\nother /else tmpfs rw 0 0\n")
    assert find_kind(tmp_path / "deep", mounts) == "nfs4"
    assert find_kind(Path("/"), mounts) == "ext4"
    assert find_kind(tmp_path, tmp_path / "none") == ""
