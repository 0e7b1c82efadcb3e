"""JSON Lines files, and folders that are listed by a file in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.corpus.case import QUARTER, Case
from tests.corpus.making import as_csv, fill, hue_of, photo, scatter, write

Rows = list[tuple[str, str]]

FILE_NAME = "paths are from column 'file_name'"


def as_lines(rows: Rows, path: str = "file_name", label: str = "label", **more: object) -> str:
    """Write rows as JSON Lines."""
    lines = [json.dumps({path: row[0], label: row[1], **more}) for row in rows]
    return "\n".join(lines) + "\n"


def lines(name: str, text: Callable[[Rows], str | bytes], **expected: Any) -> Case:
    """A JSON Lines file of sixteen pictures, as `text` writes its rows."""

    def make(folder: Path) -> None:
        write(folder / "data.jsonl", text(scatter(folder)))

    if "stops" in expected and "labelled" not in expected:
        # What is wrong with a file as such is wrong for every command.
        expected["labelled"] = expected["stops"]
    return Case(name=name, make=make, data="data.jsonl", **expected)


def one_line(name: str, line: str, stops: str, **expected: Any) -> Case:
    """A JSON Lines file whose fourth line is another one; `predict` may be able to read it all the same."""
    expected["predict_said"] = (FILE_NAME,) if "labelled" in expected else ()
    return lines(name, lambda rows: as_lines(rows[:3]) + line + "\n" + as_lines(rows[4:]), stops=stops, **expected)


def relabelled(name: str, change: Callable[[int, str], object], **expected: Any) -> Case:
    """A JSON Lines file whose labels are changed, each by the number of its row."""

    def text(rows: Rows) -> str:
        written = [{"path": path, "label": change(number, label)} for number, (path, label) in enumerate(rows)]
        return "\n".join(map(json.dumps, written))

    return lines(name, text, **expected)


JSON_LINES = [
    lines("JSON Lines", as_lines, said=(FILE_NAME,), predict_said=(FILE_NAME,), held_out=QUARTER),
    lines(
        "a mark, CR LF and blank lines",
        lambda rows: "\ufeff" + as_lines(rows).replace("\n", "\r\n\r\n"),
        said=(FILE_NAME,),
        predict_said=(FILE_NAME,),
    ),
    lines(
        "UTF-16 lines",
        lambda rows: as_lines(rows).encode("utf-16"),
        stops="'data.jsonl', line 1: the file is UTF-16: save it as UTF-8",
    ),
    lines(
        "names in capitals",
        lambda rows: as_lines(rows, "File_Name", "Class"),
        said=("paths are from column 'File_Name'; labels are from column 'Class'",),
        predict_said=("'File_Name'",),
    ),
    lines(
        "captions and boxes",
        lambda rows: as_lines(rows, caption="x", bbox=[1, 2]),
        said=(f"{FILE_NAME}; ignored columns: caption, bbox",),
        predict_said=(FILE_NAME,),
    ),
    lines(
        "truth values as splits",
        lambda rows: "".join(as_lines([row], "path", is_valid=int(row[0][-5]) > 5) for row in rows),
        said=("splits are from column 'is_valid' (true: val, false: train)",),
        read={"train/ants": 6, "train/bees": 6, "val/ants": 2, "val/bees": 2},
    ),
    relabelled("numbers as labels", lambda number, label: len(label) + (label == "bees"), read={"/4": 8, "/5": 8}),
    relabelled("truth values as labels", lambda number, label: label == "ants", read={"/true": 8, "/false": 8}),
    relabelled(
        "numbers and texts as labels",
        lambda number, label: ([1, "1", 1.0, "1 "] if label == "ants" else [0, 0, 0, 0])[number % 4],
        said=("blanks around labels are taken off", "'1' and '1.0'"),
        read={"/1": 6, "/1.0": 2, "/0": 8},
        fitted=(11, 5),
    ),
    relabelled(
        "lists as labels",
        lambda number, label: [label],
        stops="line 1: 'label' is a list, not a text or a number",
        labelled=16,
    ),
    relabelled(
        "objects as labels",
        lambda number, label: {"name": label},
        stops="line 1: 'label' is an object, not a text or a number",
        labelled=16,
    ),
    lines(
        "objects as pictures",
        lambda rows: "".join(json.dumps({"image": {"path": path}, "label": label}) + "\n" for path, label in rows),
        stops="line 1: 'image' is an object, not a text or a number",
    ),
    one_line("a broken line", "{oops", "line 4: not valid JSON (Expecting property name"),
    one_line("a list as a line", "[1, 2]", "line 4: not an object such as"),
    one_line("endless brackets", "[" * 100_000, "line 4: not valid JSON (it is nested too deeply)"),
    one_line("an endless number", '{"label": ' + "9" * 5000 + "}", "line 4: not valid JSON (a number is too long)"),
    one_line("a name twice", '{"file_name": "x", "label": 1, "label": 2}', "line 4: 'label' is there twice, with two"),
    one_line("NUL in a path", r'{"file_name": "a\u0000b", "label": "ants"}', "the path holds a character that cannot"),
    one_line(
        "half a character", r'{"file_name": "images/ants3.png", "label": "\ud800"}', "the label holds a", labelled=16
    ),
    one_line("no label", '{"file_name": "images/ants3.png"}', "line 4: no label", labelled=16),
    one_line("null as a label", '{"file_name": "images/ants3.png", "label": null}', "line 4: no label", labelled=16),
    one_line("NaN as a label", '{"file_name": "images/ants3.png", "label": NaN}', "line 4: no label", labelled=16),
    one_line("no path", '{"label": "ants"}', "line 4: no path"),
    lines("no lines", lambda rows: "\n", stops="'data.jsonl' is empty: it has no rows"),
    lines("a whole array", lambda rows: json.dumps([{"path": rows[0]}]), stops="line 1: not an object such as"),
]


def listed(name: str, files: dict[str, Callable[[Rows], str]], inside: str = "", **expected: Any) -> Case:
    """A folder of pictures with some files in it."""

    def make(folder: Path) -> None:
        rows = scatter(folder / "photos", 8, inside)
        for file, text in files.items():
            write(folder / "photos" / file, text(rows))

    suffixes = [file[file.rindex(".") :] for file in files]
    noun = "1 file that is not a picture" if len(files) == 1 else f"{len(files)} files that are not pictures"
    passed_over = f"passed over: {noun} ({', '.join(f'{suffix} 1' for suffix in suffixes)})"
    return Case(name=name, make=make, labelled=16, predict_said=(passed_over,), **expected)


def make_split_metadata(folder: Path) -> None:
    """Make a folder a split, as Hugging Face has them, each with its own metadata."""
    for split, first, count in (("train", 0, 6), ("test", 6, 2)):
        rows = []
        for label in ("ants", "bees"):
            for number in range(count):
                write(folder / "photos" / split / f"{label}{number}.png", photo(hue_of(label), first + number))
                rows.append((f"{label}{number}.png", label))
        write(folder / "photos" / split / "metadata.csv", as_csv(rows, "file_name,label"))


def make_metadata_beside_classes(folder: Path) -> None:
    """Make class folders, and metadata that say something else."""
    fill(folder / "photos", {"ants": 8, "bees": 8})
    write(folder / "photos" / "metadata.csv", "file_name,label\nants/000.png,k\n")


METADATA = [
    listed(
        "metadata.csv",
        {"metadata.csv": lambda rows: as_csv(rows, "file_name,label")},
        said=("images and labels are read from 'photos/metadata.csv'", FILE_NAME),
    ),
    listed(
        "labels.csv",
        {"labels.csv": as_csv},
        said=("images and labels are read from 'photos/labels.csv'",),
    ),
    listed(
        "metadata.jsonl, pictures in a folder",
        {"metadata.jsonl": as_lines},
        inside="data",
        said=("images and labels are read from 'photos/metadata.jsonl'", FILE_NAME),
    ),
    listed(
        "metadata in two forms",
        {"metadata.csv": as_csv, "metadata.jsonl": as_lines},
        stops="'photos' holds metadata.csv and metadata.jsonl: give the one to read as DATA",
    ),
    listed(
        "captions only",
        {"metadata.jsonl": lambda rows: as_lines(rows, label="text")},
        said=(
            "'photos/metadata.jsonl' is not read: it has no columns of paths and labels",
            "its pictures are read without labels; if 'photos/metadata.jsonl' lists them",
            "passed over: 1 file",
        ),
        read={"/": 16},
        fitted="'photos' has no classes",
    ),
    listed("broken metadata", {"metadata.jsonl": lambda rows: "{"}, stops="metadata.jsonl': line 1: not valid JSON"),
    Case(
        name="metadata in each split",
        make=make_split_metadata,
        said=(
            "images and labels are read from 'photos/test/metadata.csv', 'photos/train/metadata.csv'",
            FILE_NAME,
            FILE_NAME,
        ),
        read={"train/ants": 6, "train/bees": 6, "test/ants": 2, "test/bees": 2},
        held_out="held out: test (4 images); trained on train (12)",
        predict_said=("passed over: 2 files that are not pictures (.csv 2)",),
    ),
    Case(
        name="metadata beside class folders",
        make=make_metadata_beside_classes,
        said=("labels are read from the class folders, not from 'photos/metadata.csv'", "passed over: 1 file"),
        predict_said=("passed over: 1 file",),
    ),
]

LISTS = [*JSON_LINES, *METADATA]
