from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from featx.errors import StoreError
from featx.files import atomic_path, digest, write_atomic, write_text


def test_a_digest_is_sha256() -> None:
    assert digest(b"abc") == hashlib.sha256(b"abc").digest()


def test_an_atomic_write_replaces_the_whole_file(tmp_path: Path) -> None:
    target = tmp_path / "a" / "file"
    write_atomic(target, b"old")
    write_atomic(target, b"new")
    assert target.read_bytes() == b"new"
    assert [path.name for path in target.parent.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_atomic(target, b"old")
    with pytest.raises(RuntimeError, match="in the middle"), atomic_path(target) as unfinished:
        unfinished.write_bytes(b"half")
        raise RuntimeError("in the middle")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_text_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match=r"file/table\.csv' cannot be written"):
        write_text(tmp_path / "file" / "table.csv", "a,b")


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_what_a_killed_writer_left_beside_a_file_goes_with_the_next_one(tmp_path: Path) -> None:
    target = tmp_path / "labels.csv"
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom featx.files import atomic_file\n"
        "with atomic_file(Path(sys.argv[1])):\n    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, target], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    write_text(target, "path,label\n")
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]


def test_text_of_any_name_can_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "\udcff \ud800 é")
    assert (tmp_path / "a").read_bytes() == b"\xff \\ud800 \xc3\xa9"
