"""What file systems allow: odd names, links, pipes, broken files and copies."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from tests.corpus.case import Case
from tests.corpus.making import Make, empty, fill, link, listen, of, photo, pipe, put, rename, write

TWO = {"ants": 8, "bees": 8}

ODD_NAMES = [
    *("golden retriever", "größe", "\U0001f41d bees", "日本 猫", "-rf", "a,b", 'class "q"', "it's", "a\tb", "c\nd"),
    *("[red]bold[", "0", "10", "nan", "True", "None", "%s {x}", "\x1b[31mred", "p(ants)", "label", "path", "reason"),
]


def linked_classes(folder: Path) -> None:
    """Make class folders that are links, relative and absolute."""
    fill(folder / "elsewhere", TWO)
    (folder / "photos").mkdir()
    (folder / "photos/ants").symlink_to("../elsewhere/ants")
    (folder / "photos/bees").symlink_to(folder / "elsewhere/bees")


def linked_files(folder: Path) -> None:
    """Make class folders of links to pictures, two of which lead nowhere."""
    fill(folder / "elsewhere", TWO)
    for name in TWO:
        (folder / "photos" / name).mkdir(parents=True)
        for path in (folder / "elsewhere" / name).iterdir():
            (folder / "photos" / name / path.name).symlink_to(path)
    (folder / "photos/bees/gone.png").symlink_to("nowhere.png")
    (folder / "photos/bees/self.png").symlink_to("self.png")


def same_picture(folder: Path) -> None:
    """Make two classes of copies of one picture each."""
    for hue, name in enumerate(TWO):
        for number in range(4):
            write(folder / "photos" / name / f"{number}.png", photo(hue, 0))


def same_splits(folder: Path) -> None:
    """Make a test part that is a copy of the training part."""
    for split in ("train", "test"):
        fill(folder / "photos", {f"{split}/ants": 4, f"{split}/bees": 4})


def deep(name: str) -> Make:
    """Put a picture many folders deep, at the end of a long path."""
    return put("/".join([name, *["x" * 100] * 5, "y" * 200 + ".png"]), content=photo(0, 60))


def broken(count: int, *names: str) -> Make:
    """Put so many empty files into each folder."""
    return put(*(f"{name}/{number}.jpg" for name in names for number in range(count)), content=b"")


CLASSES = [
    Case(
        name="odd names of classes",
        make=of(dict.fromkeys(ODD_NAMES, 2)),
        read={f"/{name}": 2 for name in ODD_NAMES},
        fitted=(len(ODD_NAMES), len(ODD_NAMES)),
        fit_said=("no class has two images to train on",),
    ),
    Case(
        name="names that are not UTF-8",
        make=of(TWO, rename("bees/000.png", b"bees/\xff.png"), rename("ants", b"caf\xe9")),
        read={f"/{os.fsdecode(b'caf' + bytes([0xE9]))}": 8, "/bees": 8},
    ),
    Case(name="a folder that is not UTF-8", make=of(TWO, root=os.fsdecode(b"\xe9")), data=os.fsdecode(b"\xe9")),
    Case(
        name="accents in two ways",
        make=of({unicodedata.normalize(form, "Käfer"): 8 for form in ("NFC", "NFD")}),
        said=("'photos' has class names that are nearly equal and count as different classes: ",),
        read={f"/{unicodedata.normalize(form, 'Käfer')}": 8 for form in ("NFC", "NFD")},
    ),
    Case(
        name="classes in two cases",
        make=of({"Ants": 4, "ants": 4, "bees": 8}),
        said=("nearly equal and count as different classes: 'Ants' and 'ants'",),
        read={"/Ants": 4, "/ants": 4, "/bees": 8},
    ),
    Case(
        name="letters that look alike",
        make=of({"bees": 8, "b\u0435es": 8}),
        said=("'bees' and 'b\u0435es'",),
        read={"/bees": 8, "/b\u0435es": 8},
    ),
    Case(
        name="numbers in two ways",
        make=of({"1": 8, "01": 8}),
        said=("'01' and '1'",),
        read={"/1": 8, "/01": 8},
    ),
    Case(
        name="a line break in a name",
        make=of(TWO, rename("bees/000.png", "bees/a\nb.png"), put("bees/c\nd.png", content=b"")),
        failed=(r"photos/bees/c\nd.png: empty file",),
    ),
    Case(
        name="a long path",
        make=of(TWO, deep("ants")),
        said=("pictures of 1 folder inside class folders",),
        read={"/ants": 9, "/bees": 8},
        fitted=(12, 5),
    ),
]

LINKS = [
    Case(name="classes that are links", make=linked_classes),
    Case(
        name="pictures that are links",
        make=linked_files,
        failed=("photos/bees/gone.png: No such file or directory", "photos/bees/self.png: Too many levels of symbolic"),
    ),
    Case(
        name="links in circles",
        make=of(TWO, link("..", "ants/up"), link(".", "self"), link("ants", "emmets")),
        said=("3 links to folders that are read where they lie (up, emmets, self)",),
        predict_said=("3 links to folders that are read where they lie",),
    ),
    Case(
        name="pipes, sockets and devices",
        make=of(
            TWO,
            pipe("ants/p.png"),
            pipe("bees/pipe"),
            listen("ants/s.png"),
            link("/dev/null", "bees/n.png"),
            link("/dev/zero", "bees/zero"),
        ),
        failed=(
            "photos/ants/p.png: is a named pipe, not a file",
            "photos/ants/s.png: is a socket, not a file",
            "photos/bees/n.png: is a device, not a file",
            "photos/bees/pipe: is a named pipe, not a file",
            "photos/bees/zero: is a device, not a file",
        ),
    ),
]

BROKEN = [
    Case(
        name="broken pictures",
        make=of(
            TWO,
            put("ants/a.png", content=b""),
            put("ants/b.jpg", content="<!DOCTYPE html>"),
            put("bees/c.png", content=photo(1, 61)[:200]),
            put("bees/d.png", content="version https://git-lfs.github.com/spec/v1\n"),
        ),
        failed=("a.png: empty file", "b.jpg: not an image", "c.png: image file is truncated", "d.png: not an image"),
    ),
    Case(
        name="a class of broken pictures",
        make=of({"ants": 8}, broken(2, "bees")),
        read={"/ants": 8},
        failed=("bees/0.jpg: empty file", "bees/1.jpg: empty file"),
        fitted="'photos' has one class only ('ants')",
    ),
    Case(
        name="hidden pictures only",
        make=of({}, put("ants/.1.png", "bees/.1.png")),
        stops="its class folders hold no images (passed over: 2 folders without pictures (ants, bees), 2 system files",
        labelled="there are no images in 'photos'",
    ),
    Case(
        name="a folder called as a picture",
        make=of(TWO, empty("empty.png")),
        said=("1 folder without pictures (empty.png)",),
    ),
]

COPIES = [
    Case(
        name="copies in a class",
        make=of(TWO, *(put(f"ants/copy{number}.png", content=photo(0, number)) for number in range(8))),
        read={"/ants": 16, "/bees": 8},
        fit_said=("8 rows are repetitions of others and count once",),
    ),
    Case(
        name="a picture in two classes",
        make=of(TWO, put("bees/x.png", content=photo(0, 0))),
        read={"/ants": 8, "/bees": 9},
        fitted=(11, 4),
        fit_said=("1 image bears two labels: 'photos/ants/000.png' and 'photos/bees/x.png' are the same picture",),
    ),
    Case(
        name="a picture in train and test",
        make=of(
            {"train/ants": 6, "train/bees": 6, "test/ants": 2, "test/bees": 2},
            put("test/ants/x.png", content=photo(0, 0)),
        ),
        said=("splits: train, test",),
        read={"train/ants": 6, "train/bees": 6, "test/ants": 3, "test/bees": 2},
        fit_said=("1 image lies in two splits: 'photos/test/ants/x.png' and 'photos/train/ants/000.png' are the same",),
    ),
    Case(
        name="train and test alike",
        make=same_splits,
        said=("splits: train, test",),
        read={"train/ants": 4, "train/bees": 4, "test/ants": 4, "test/bees": 4},
        fitted="every held-out image is in the training part as well or bears two labels",
    ),
    Case(
        name="copies of one picture",
        make=same_picture,
        read={"/ants": 4, "/bees": 4},
        fitted="'photos' has only one image of: ants, bees",
    ),
]

NAMES = [*CLASSES, *LINKS, *BROKEN, *COPIES]
