"""File systems that cannot sync or lock, systems without POSIX, and files that may not be read."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from featx import files
from featx.data.sources import list_images
from featx.errors import DataError, RequestError
from featx.files import read_at, write_atomic
from featx.keys import folder_name
from featx.workflows.experiment_file import read_toml

ROOT = Path(__file__).resolve().parents[1]

REFUSING = """
#define _GNU_SOURCE
#include <errno.h>
int fsync(int file) { errno = %s; return -1; }
int flock(int file, int operation) { errno = ENOLCK; return -1; }
"""

WITHOUT_POSIX = """
import os, sys
sys.modules["fcntl"] = None
for name in ("sysconf", "preadv", "pread", "O_NONBLOCK", "sched_getaffinity"):
    delattr(os, name)
"""


def refuse(number: int) -> Callable[..., None]:
    def call(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_that_cannot_sync_or_lock_is_forgiven_and_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    monkeypatch.setattr(files, "has_warned", False)
    monkeypatch.setattr(os, "fsync", refuse(number))
    if files.fcntl is not None:
        monkeypatch.setattr(files.fcntl, "flock", refuse(number))
    for name in ("a", "b"):
        write_atomic(tmp_path / "folder" / name, b"whole")
        assert (tmp_path / "folder" / name).read_bytes() == b"whole"
    (message,) = caplog.messages
    assert f"cannot sync or lock ({os.strerror(number)}): featx goes on without" in message


def test_a_disk_that_fails_is_no_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", refuse(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        write_atomic(tmp_path / "file", b"whole")
    assert list(tmp_path.iterdir()) == []


def test_bytes_are_read_from_their_place_with_and_without_preadv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(bytes(range(100)))
    handle = os.open(tmp_path / "file", files.READ_FLAGS)
    try:
        for _ in range(2):
            out = bytearray(20)
            assert read_at(handle, memoryview(out), 90) == 10
            assert out[:10] == bytes(range(90, 100))
            monkeypatch.delattr(os, "preadv", raising=False)
    finally:
        os.close(handle)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None or sys.platform != "linux", reason="needs gcc and preloading")
@pytest.mark.parametrize("refusal", ["EINVAL", "ENOTSUP"])
def test_everything_works_where_sync_and_locks_are_refused(
    photos: Path, cache: Path, tmp_path: Path, refusal: str
) -> None:
    (tmp_path / "refusing.c").write_text(REFUSING % refusal)
    library = tmp_path / "refusing.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "refusing.c"], check=True)
    base = ["--base", "tiny", "--weights", "random", "--cache", cache]
    model = tmp_path / "m.featx"
    for words in (
        ["extract", photos, *base, "--layer", "layer4", "-q"],
        ["extract", photos, *base, "--layer", "layer1", "--json"],
        ["compare", photos, *base, "--clf", "logreg"],
        ["fit", photos, *base, "--layer", "layer4", "--clf", "svm", "--out", model],
        ["predict", model, photos / "red"],
        ["cache", "verify", "--cache", cache],
    ):
        command = [sys.executable, "-c", "from featx.cli.main import run; run()", *map(str, words)]
        environment = {**os.environ, "LD_PRELOAD": str(library)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("cannot sync or lock") <= 1
        if words[0] == "extract" and words[-1] == "--json":
            assert done.stderr.count("cannot sync or lock") == 1


def test_nothing_that_only_posix_has_is_needed_to_import_featx() -> None:
    script = WITHOUT_POSIX + "import featx, featx.cli.main, featx.store.store, featx.requests, featx.data.loader"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_store_works_without_posix(tmp_path: Path) -> None:
    (tmp_path / "without_posix.py").write_text(WITHOUT_POSIX)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    tests = [*(f"tests/store/test_{name}.py" for name in ("part", "store", "clean")), "tests/test_files.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "without_posix", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_names_of_folders_are_legal_on_windows_and_stay_as_they_were() -> None:
    for name in ("layer4", "features.17", "layer1.0", "blocks-3", "größe", "console"):
        assert folder_name(name) == name
    odd = ("a:b", "a/b", "a\\b", "a?b", "a*b", "con", "NUL.x", "end.", "end ", "com1", "a\x01b")
    legal = [folder_name(name) for name in odd]
    assert len(set(legal)) == len(odd)
    for name in legal:
        assert not set(name) & set('<>:"/\\|?*\x01')
        assert name[-1] not in ". "
        assert name.split(".")[0].lower() not in ("con", "nul", "com1")


def test_a_folder_a_table_and_an_experiment_that_may_not_be_read_are_one_line(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = photos / "table.csv"
    table.write_text("path,label\n")
    experiment = photos / "experiment.toml"
    experiment.write_text("")

    def deny(path: Any, *_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", deny)
    # What `Path` opens with.
    monkeypatch.setattr("io.open", deny)
    monkeypatch.setattr(os, "scandir", deny)
    monkeypatch.setattr(Path, "read_text", deny)
    for data in (photos, table):
        with pytest.raises(DataError, match=f"'{data}.*' cannot be read: Permission denied"):
            list_images(str(data))
    with pytest.raises(RequestError, match=r"experiment.toml' cannot be read: Permission denied"):
        read_toml(experiment)
