from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from featx.errors import StoreError
from featx.files import atomic_path, digest, open_regular, read_regular_file, show_size, write_atomic, write_text


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


def test_a_regular_file_is_read_whole_through_links_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc" * 1000)
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("file")
    assert read_regular_file(tmp_path / "file", 3000) == b"abc" * 1000
    assert read_regular_file(str(tmp_path / "link"), 3000) == b"abc" * 1000
    assert read_regular_file(tmp_path / "empty", 0) == b""


def make_special_file(kind: str, path: Path) -> None:
    if kind == "a folder":
        path.mkdir()
    elif kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    else:
        path.symlink_to("/dev/zero")


@pytest.mark.parametrize("kind", ["a folder", "a named pipe", "a socket", "a device"])
@pytest.mark.parametrize("is_linked", [False, True])
def test_what_is_not_a_regular_file_is_neither_read_nor_waited_for(
    kind: str, is_linked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The path of a socket is short by its protocol, and that of a test is not.
    monkeypatch.chdir(tmp_path)
    make_special_file(kind, Path("special"))
    Path("link").symlink_to("special")
    path = "link" if is_linked else "special"
    with pytest.raises(OSError, match=f"is {kind}, not a file"):
        open_regular(path)
    with pytest.raises(OSError, match=f"is {kind}, not a file"):
        read_regular_file(path, 100)


def test_a_refused_file_leaves_no_handle_open(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(10))
    handle = open_regular(tmp_path / "file")
    os.close(handle)
    with pytest.raises(OSError, match="10 bytes are more than the 9 bytes that are read of one list"):
        read_regular_file(tmp_path / "file", 9, "one list")
    assert open_regular(tmp_path / "file") == handle
    os.close(handle)


def test_a_file_with_a_hole_is_refused_by_the_size_that_it_states(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(150 * 2**30)
    with pytest.raises(OSError, match="150 GiB are more than the 256 MiB that are read of one file"):
        read_regular_file(tmp_path / "file", 2**28)


def test_a_file_that_grows_is_read_to_the_size_that_was_checked(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(2**20))
    is_over = threading.Event()

    def grow() -> None:
        with path.open("ab") as file:
            while not is_over.is_set():
                file.write(bytes(2**16))
                file.flush()
                if file.tell() > 2**28:
                    file.truncate(2**20)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        for _ in range(50):
            size_before = path.stat().st_size
            size = len(read_regular_file(path, 2**30))
            assert size % 2**16 == 0
            assert size >= min(size_before, 2**20)
    finally:
        is_over.set()
        writer.join()


@pytest.mark.parametrize(("count", "text"), [(0, "0 bytes"), (2048, "2 KiB"), (2**28, "256 MiB"), (5 * 2**30, "5 GiB")])
def test_sizes_are_shown_in_a_unit_that_suits_them(count: int, text: str) -> None:
    assert show_size(count) == text


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
