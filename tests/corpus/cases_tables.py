"""CSV files: dialects, encodings, headers, splits, paths and labels."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.corpus.case import QUARTER, Case
from tests.corpus.making import as_csv, scatter, write

Rows = list[tuple[str, str]]
Write = Callable[[Rows], str | bytes]

THREE_OF_FOUR = {"train/ants": 6, "train/bees": 6, "test/ants": 2, "test/bees": 2}
VALIDATED = {"train/ants": 6, "train/bees": 6, "val/ants": 2, "val/bees": 2}


def table(name: str, text: Write, file: str = "data.csv", **expected: Any) -> Case:
    """A table of sixteen pictures in `images`, as `text` writes its rows."""

    def make(folder: Path) -> None:
        write(folder / file, text(scatter(folder)))

    if "stops" in expected and "labelled" not in expected:
        # What is wrong with a file as such is wrong for every command.
        expected["labelled"] = expected["stops"]
    return Case(name=name, make=make, data=file, **expected)


def column(name: str, header: str, usual: str, other: str, **expected: Any) -> Case:
    """A table with a third column, whose value is another one in every fourth row."""

    def text(rows: Rows) -> str:
        values = [other if number % 4 == 3 else usual for number in range(len(rows))]
        return as_csv([(*row, value) for row, value in zip(rows, values, strict=True)], f"path,label,{header}")

    return table(name, text, **expected)


def relabelled(name: str, change: Callable[[int, str], str], **expected: Any) -> Case:
    """A table whose labels are changed, each by the number of its row."""

    def text(rows: Rows) -> str:
        return as_csv([(path, change(number, label)) for number, (path, label) in enumerate(rows)])

    return table(name, text, **expected)


def repathed(name: str, change: Callable[[str], str], **expected: Any) -> Case:
    """A table whose paths are changed."""
    return table(name, lambda rows: as_csv([(change(path), label) for path, label in rows]), **expected)


def replaced(name: str, old: str, new: str, **expected: Any) -> Case:
    """A table in which one piece of text is another one."""
    return table(name, lambda rows: as_csv(rows).replace(old, new), **expected)


def encoded(encoding: str, **expected: Any) -> Case:
    """A table in another encoding."""
    return table(f"encoded as {encoding}", lambda rows: as_csv(rows).encode(encoding), **expected)


def separated(separator: str, **expected: Any) -> Case:
    """A table with another delimiter."""
    header = separator.join(("path", "label"))
    return table(f"separated by {separator!r}", lambda rows: as_csv(rows, header, separator), **expected)


def headed(header: str, *said: str, **expected: Any) -> Case:
    """A table with another header."""
    return table(f"headed {header!r}", lambda rows: as_csv(rows, header), said=said, **expected)


DIALECTS = [
    table("plain", as_csv, held_out=QUARTER),
    table("suffix in capitals", as_csv, file="DATA.CSV"),
    encoded("utf-8-sig"),
    encoded("utf-16", stops="'data.csv', line 1: the file is UTF-16: save it as UTF-8"),
    encoded("utf-16-le", stops="'data.csv', line 1: the file looks like UTF-16: save it as UTF-8"),
    encoded("utf-32", stops="'data.csv', line 1: the file is UTF-32: save it as UTF-8"),
    table(
        "Latin-1",
        lambda rows: as_csv(rows).replace("ants3.png,ants", "ants3.png,fourmis é").encode("latin-1"),
        stops="'data.csv', line 5: byte 0xe9 is not UTF-8 (in Latin-1 it is 'é'): save the file as UTF-8",
    ),
    replaced("NUL", "ants3.png,", "ants3.png\0,", stops="'data.csv', line 5: there is a NUL byte"),
    *(
        table(f"lines end in {end!r}", lambda rows, end=end: as_csv(rows, end=end))
        for end in ("\r\n", "\r", "\n\n", "\r\r\n")
    ),
    separated(";", said=("fields are separated by ';'",), predict_said=("fields are separated by ';'",)),
    separated("\t", said=("separated by a tab",), predict_said=("separated by a tab",)),
    separated(" , "),
    separated(" ", stops="The columns are 'path label': choose with", labelled="The columns are 'path label'"),
    table(
        "commas in a .tsv",
        as_csv,
        file="data.tsv",
        said=("separated by a comma",),
        predict_said=("separated by a comma",),
    ),
    table(
        "Excel's own line",
        lambda rows: "sep=;\r\n" + as_csv(rows, "path;label", ";", "\r\n"),
        said=("separated by ';'",),
        predict_said=("separated by ';'",),
    ),
    table("quotes", lambda rows: as_csv([(f'"{path}"', f'"{label}"') for path, label in rows], '"path","label"')),
    replaced("a quote that stays open", "images/ants3", '"images/ants3', stops="line 5: a quote is opened and never"),
    replaced("text after a quote", "ants3.png,ants", 'ants3.png,"an"ts', stops="line 5: there is text after a closing"),
    replaced("a comma too many", "ants3.png", "ants,3.png", stops="line 5 has 3 fields; the header has 2: put quotes"),
    replaced("a short row", "ants3.png,ants", "ants3.png", stops="line 5: no label", labelled=16),
    table("commas at the end", lambda rows: as_csv([(*row, "") for row in rows])),
    replaced("a comment above", "path,label", "# by hand\npath,label", stops="the header has 1: put quotes around"),
    table("nothing in it", lambda rows: "", stops="'data.csv' is empty: line 1 must be path,label"),
    table("blank lines only", lambda rows: "\n \n", stops="'data.csv' is empty: line 1 must be path,label"),
    table("a header only", lambda rows: "path,label\n", stops="'data.csv' is empty: it has a header and no rows"),
    table("a workbook", lambda rows: b"PK\3\4" + bytes(99), stops="is a zip archive or an Excel workbook"),
    table("JSON Lines", lambda rows: '{"path": "a"}\n', stops="'data.csv' holds JSON, not CSV: name JSON Lines .jsonl"),
    table("values without end", lambda rows: as_csv([("x", "y" * 200_000)]), stops="has more than 131072 characters"),
]

HEADERS = [
    headed(
        " PATH , Label ",
        "paths are from column 'PATH'; labels are from column 'Label'",
        predict_said=("paths are from column 'PATH'",),
    ),
    headed(
        "file_name,class",
        "paths are from column 'file_name'; labels are from column 'class'",
        predict_said=("'file_name'",),
    ),
    headed(
        "Image,Category",
        "paths are from column 'Image'; labels are from column 'Category'",
        predict_said=("'Image'",),
    ),
    headed(
        "id,label",
        stops="there is no column path. The columns are 'id', 'label': choose with --path-column",
        labelled="there is no column path. The columns are 'id', 'label': choose with --path-column",
    ),
    headed("path,kind", stops="no column label. The columns are 'path', 'kind': choose with --label-col", labelled=16),
    headed(
        "file,path",
        stops="there is no column label",
        labelled="none of its 16 files exists. The first is 'ants'",
    ),
    headed("image,file", stops="may all hold the path: choose with --path-column"),
    table("no header", lambda rows: as_csv(rows[1:], ",".join(rows[0])), stops="has no header: line 1 names the file"),
    table(
        "one label twice",
        lambda rows: as_csv([(path, label, label) for path, label in rows], "path,label,label"),
        stops="two columns are called 'label': rename one of them",
        labelled=16,
    ),
    table(
        "an index of pandas",
        lambda rows: as_csv([(str(number), *row) for number, row in enumerate(rows)], ",path,label"),
    ),
    table(
        "further columns",
        lambda rows: as_csv([("0", *row, "7") for row in rows], "Unnamed: 0,path,label,age"),
        said=("ignored columns: Unnamed: 0, age",),
    ),
    table(
        "columns that were named",
        lambda rows: as_csv([(*row, "k") for row in rows], "where,what,label"),
        flags=("--path-column", "where", "--label-column", "What"),
        said=("ignored column: label",),
        labelled="there is no column path. The columns are 'where', 'what', 'label'",
    ),
    table(
        "a column that is not there",
        as_csv,
        flags=("--label-column", "lable"),
        stops="unknown column 'lable'. Did you mean 'label'?",
        labelled=16,
    ),
]

SPLIT_COLUMNS = [
    *(
        column(
            f"is_valid {no} {yes}",
            "is_valid",
            no,
            yes,
            said=("splits are from column 'is_valid' (true: val, false: train)",),
            read=VALIDATED,
            held_out="held out: val (4 images); trained on train (12)",
        )
        for no, yes in [("False", "True"), ("0", "1"), ("no", "YES"), ("0.0", "1.0"), ("f", "t")]
    ),
    *(
        column(f"{header}: {train}, {test}", header, train, test, said=(f"column '{header}'",), read=THREE_OF_FOUR)
        for header, train, test in [
            ("Split", "Train", "TEST"),
            ("set", "training", " holdout "),
            ("subset", "train", "Eval"),
            ("is_test", "false", "true"),
            ("Is Train", "1", "0"),
            ("fold", "train", "test"),
            ("data_split", "train", "test"),
            ("Verwendung", "TRAIN", "TEST"),
        ]
    ),
    column("folds by number", "fold", "0", "1", said=("ignored column: fold",)),
    column(
        "splits that nobody knows",
        "split",
        "tr",
        "te",
        stops="line 2: unknown split 'tr' (train, val or test)",
        labelled=16,
    ),
    column(
        "yes and no that nobody knows",
        "is_valid",
        "0",
        "maybe",
        stops="unknown split 'maybe' (true or false)",
        labelled=16,
    ),
    column(
        "rows without a split",
        "split",
        "",
        "test",
        said=("rows without a split count as training: 12",),
        read={"/ants": 6, "/bees": 6, "test/ants": 2, "test/bees": 2},
        held_out="held out: test (4 images); trained on images without a split (12)",
    ),
]

PATHS = [
    repathed("paths from the home folder", lambda path: f"~/{path}"),
    repathed("paths with detours", lambda path: f"./images/../{path}"),
    repathed(
        "backslashes",
        lambda path: path.replace("/", "\\"),
        said=("backslashes in paths are read as slashes",),
        predict_said=("backslashes in paths are read as slashes",),
    ),
    repathed("drives", lambda path: f"C:\\{path}", stops="none of its 16 files exists. The first is 'C:\\images/ants0"),
    repathed("URLs of files", lambda path: f"file:///{path}", stops="The first is 'file:///images/ants0.png'; paths c"),
    repathed(
        "URLs",
        lambda path: f"https://127.0.0.1:9/{path}",
        stops="The first is 'https://127.0.0.1:9/images/ants0.png': 'https://127.0.0.1:9' cannot be reached",
        labelled=0,
        failed=("it refuses connections",) * 16,
        predict_said=("images lie in 'https://127.0.0.1:9'",),
    ),
    repathed("names without suffix", lambda path: path.removesuffix(".png"), stops="The first is 'images/ants0'; pa"),
    repathed("blanks around paths", lambda path: f" {path} "),
    table(
        "a file that is gone",
        lambda rows: as_csv([*rows, ("images/gone.png", "ants")]),
        failed=("images/gone.png: No such file or directory",),
    ),
]

LABELS = [
    relabelled("numbers", lambda number, label: str(len(label) + (label == "bees")), read={"/4": 8, "/5": 8}),
    relabelled(
        "blanks around labels",
        lambda number, label: label + " " * (number % 2) + "\u00a0" * (number % 3),
        said=("blanks around labels are taken off",),
    ),
    relabelled(
        "accents in two ways",
        lambda number, label: unicodedata.normalize("NFC" if number % 2 else "NFD", label + "é"),
        read={"/antsé": 8, "/beesé": 8},
    ),
    relabelled(
        "labels in two cases",
        lambda number, label: label.title() if number % 2 else label,
        said=("nearly equal and count as different classes: 'Ants' and 'ants', 'Bees' and 'bees'",),
        read={"/ants": 4, "/Ants": 4, "/bees": 4, "/Bees": 4},
    ),
    relabelled(
        "letters that look alike",
        lambda number, label: label.replace("e", "\u0435") if number % 2 else label,
        said=("'bees' and 'b\u0435\u0435s'",),
        read={"/ants": 8, "/bees": 4, "/b\u0435\u0435s": 4},
    ),
    relabelled(
        "letters that nobody sees",
        lambda number, label: label + "\u200b" * (number % 2),
        said=(r"'ants' and 'ants\u200b'",),
        read={"/ants": 4, "/ants\u200b": 4, "/bees": 4, "/bees\u200b": 4},
    ),
    relabelled(
        "numbers in two ways",
        lambda number, label: {"ants": ("0", "00"), "bees": ("1", "1.0")}[label][number % 2],
        said=("'0' and '00', '1' and '1.0'",),
        read={"/0": 4, "/00": 4, "/1": 4, "/1.0": 4},
    ),
    relabelled(
        "an empty label", lambda number, label: "" if number == 3 else label, stops="line 5: no label", labelled=16
    ),
    relabelled(
        "NaN",
        lambda number, label: "nan" if number in (3, 4) else label,
        said=("2 rows of the label 'nan' count as a class: take them out if it means that there is no label",),
        read={"/ants": 6, "/nan": 2, "/bees": 8},
        fitted=(11, 5),
    ),
    relabelled(
        "labels called train and test",
        lambda number, label: "train" if label == "ants" else "test",
        read={"/train": 8, "/test": 8},
    ),
    relabelled(
        "a line break in a label", lambda number, label: '"a\nb"', stops="the label holds a line break", labelled=16
    ),
    relabelled(
        "measurements",
        lambda number, label: str(number / 8),
        read={f"/{number / 8}": 1 for number in range(16)},
        fitted="has only one image of: 0.0, 0.125",
    ),
]

COPIES = [
    table(
        "rows twice",
        lambda rows: as_csv([*rows, *rows]),
        read={"/ants": 16, "/bees": 16},
        fit_said=("16 rows are repetitions of others and count once",),
        labelled=16,
    ),
    table(
        "a picture with two labels",
        lambda rows: as_csv([*rows, (rows[0][0], "bees")]),
        read={"/ants": 8, "/bees": 9},
        fitted=(11, 4),
        fit_said=("1 image bears two labels: 'images/ants0.png' and",),
        labelled=16,
    ),
    table(
        "a picture on both sides",
        lambda rows: as_csv(
            [*((*row, "test" if number % 4 == 3 else "train") for number, row in enumerate(rows)), (*rows[0], "test")],
            "path,label,split",
        ),
        read={**THREE_OF_FOUR, "test/ants": 3},
        fit_said=("1 image lies in two splits",),
        labelled=16,
    ),
]

TABLES = [*DIALECTS, *HEADERS, *SPLIT_COLUMNS, *PATHS, *LABELS, *COPIES]
