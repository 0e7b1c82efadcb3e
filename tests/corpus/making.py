"""Makes data sets as people have them: folders, tables and pictures, small enough for a hundred of them."""

from __future__ import annotations

import io
import os
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.conftest import picture

Make = Callable[[Path], object]

CLASSES = ("ants", "bees", "wasps")
"""Words in names that say how a picture looks; any other name looks like the last one."""

SIZE = (24, 20)


def hue_of(name: str) -> int:
    """Which colour the pictures of a folder have, so that a wrong reading shows in the accuracy, too."""
    words = [word for word in CLASSES if word[:-1] in name.lower()]
    return CLASSES.index(words[-1]) if words else len(CLASSES) - 1


@cache
def photo(hue: int, number: int, kind: str = "PNG") -> bytes:
    """The bytes of a picture: the same ones whenever they are asked for, so that features are computed once."""
    file = io.BytesIO()
    picture(1000 * hue + number, hue, SIZE).save(file, kind)
    return file.getvalue()


def write(path: Path, content: str | bytes = b"") -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def fill(root: Path, folders: Mapping[str, int], suffix: str = ".png") -> None:
    """Fill folders with so many pictures each, all of them different."""
    done: Counter[int] = Counter()
    for name, count in folders.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        hue = hue_of(name)
        for number in range(done[hue], done[hue] + count):
            write(root / name / f"{number:03}{suffix}", photo(hue, number))
        done[hue] += count


def of(folders: Mapping[str, int], *steps: Make, suffix: str = ".png", root: str = "photos") -> Make:
    """Make folders of pictures in `photos`, and change them by further steps, which get that folder."""

    def make(folder: Path) -> None:
        (folder / root).mkdir(parents=True, exist_ok=True)
        fill(folder / root, folders, suffix)
        for step in steps:
            step(folder / root)

    return make


def put(*names: str, content: str | bytes = b"{}") -> Make:
    """Write files of some content."""

    def make(folder: Path) -> None:
        for name in names:
            write(folder / name, content)

    return make


def empty(*names: str) -> Make:
    """Make empty folders."""

    def make(folder: Path) -> None:
        for name in names:
            (folder / name).mkdir(parents=True)

    return make


def link(target: str, name: str) -> Make:
    """Make a link."""
    return lambda folder: (folder / name).symlink_to(target)


def rename(old: str, new: str | bytes) -> Make:
    """Rename a file or folder, to a name that need not be UTF-8."""
    return lambda folder: (folder / old).rename(folder / os.fsdecode(new))


def pipe(name: str) -> Make:
    """Make a named pipe."""
    return lambda folder: os.mkfifo(folder / name)


def listen(name: str) -> Make:
    """Leave a socket behind."""

    def make(folder: Path) -> None:
        # Names of sockets are short: it is made from inside its folder.
        here = Path.cwd()
        os.chdir((folder / name).parent)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(Path(name).name)
        os.chdir(here)

    return make


def scatter(folder: Path, count: int = 8, inside: str = "images") -> list[tuple[str, str]]:
    """Put pictures of ants and bees into one folder; give their paths and labels, as a table lists them."""
    rows = []
    for label in CLASSES[:2]:
        for number in range(count):
            path = f"{inside}/{label}{number}.png".lstrip("/")
            write(folder / path, photo(hue_of(label), number))
            rows.append((path, label))
    return rows


def as_csv(rows: Sequence[Sequence[str]], header: str = "path,label", separator: str = ",", end: str = "\n") -> str:
    """Write rows as a table, without quotes."""
    lines = [header, *(separator.join(row) for row in rows)]
    return end.join(lines) + end
