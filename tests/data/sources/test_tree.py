from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from featx.data.sources.folder import list_folder
from featx.data.sources.image_files import read_file
from featx.data.sources.tree import Tree
from featx.errors import DataError


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"\x89PNG" + name.encode())
    return root


def listed(root: Path, **options: object) -> list[str]:
    return [str(Path(path).relative_to(root)) for path in list_folder(str(root), **options).paths]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "side", ["__MACOSX", "@eaDir", ".ipynb_checkpoints", ".AppleDouble", "$RECYCLE.BIN", "lost+found", ".hidden"]
)
def test_side_folders_are_passed_over_at_any_depth(tmp_path: Path, side: str) -> None:
    make(tmp_path, "a/1.jpg", f"a/{side}/2.jpg", f"a/deep/{side}/3.jpg", f"{side}/4.jpg", "a/deep/5.jpg")
    assert listed(tmp_path) == ["a/1.jpg", "a/deep/5.jpg"]
    assert f"3 {'hidden' if side == '.hidden' else 'side'} folders ({side} 3)" in list_folder(str(tmp_path)).notes[-1]


def test_a_store_is_known_by_what_it_holds(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "b/2.jpg")
    base = tmp_path / "features" / "tiny-0123456789ab"
    base.mkdir(parents=True)
    (base / "base.json").write_text("{}")
    make(tmp_path, "old/results/1.png", "new/1.png")
    (tmp_path / "old" / "scans").mkdir()
    (tmp_path / "old" / "scans" / "0123456789abcdef.npz").write_bytes(b"")
    assert listed(tmp_path, cache=tmp_path / "new") == ["a/1.jpg", "b/2.jpg"]
    assert "3 feature stores of featx (features, new, old)" in list_folder(str(tmp_path), tmp_path / "new").notes[-1]
    with pytest.raises(DataError, match="is a feature store of featx, not a data set"):
        list_folder(str(tmp_path / "features"))


def test_each_real_folder_is_listed_once(tmp_path: Path) -> None:
    root = make(tmp_path / "data", "a/1.jpg", "b/2.jpg")
    make(tmp_path / "elsewhere", "3.jpg", "inner/4.jpg")
    (root / "a" / "loop").symlink_to("..")
    (root / "self").symlink_to(".")
    (root / "above").symlink_to("../..")
    (root / "b" / "again").symlink_to("../a")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    (root / "d").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "inner" / "back").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "ring").symlink_to("ring")
    assert listed(root) == ["a/1.jpg", "a/ring", "b/2.jpg", "c/3.jpg", "c/inner/4.jpg"]
    assert "6 links to folders that are read where they lie" in list_folder(str(root)).notes[-1]


def test_a_link_to_what_is_passed_over_is_followed(tmp_path: Path) -> None:
    root = make(tmp_path, ".store/1.jpg", "b/2.jpg")
    (root / "a").symlink_to(".store/")
    assert listed(root) == ["a/1.jpg", "b/2.jpg"]


def test_pipes_sockets_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    root = make(tmp_path, "a/1.jpg")
    os.mkfifo(root / "a" / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(root / "a")  # the path of a socket has 108 bytes at most
        server.bind("socket.png")
        os.chdir(here)
    (root / "a" / "zero").symlink_to("/dev/zero")
    assert listed(root) == ["a/1.jpg", "a/pipe", "a/socket.png", "a/zero"]
    for name, kind in (("pipe", "a named pipe"), ("socket.png", "a socket"), ("zero", "a device")):
        with pytest.raises(OSError, match=f"is {kind}, not a file"):
            read_file(str(root / "a" / name))


def test_a_folder_that_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a/1.jpg")

    def refuse(folder: str) -> None:
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"the folder '.*' cannot be read: Permission denied"):
        list_folder(str(tmp_path))


def test_folders_nested_deeper_than_calls_are_walked(tmp_path: Path) -> None:
    here = Path.cwd()
    os.chdir(tmp_path)
    for _ in range(300):
        Path("d").mkdir()
        os.chdir("d")
    Path("1.jpg").write_bytes(b"")
    os.chdir(here)
    tree = Tree(str(tmp_path))
    assert len(list(tree.files(tree.scan(tree.root)))) == 1
