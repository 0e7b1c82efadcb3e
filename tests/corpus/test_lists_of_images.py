"""What people pipe into `predict`, and the names that they type."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.corpus.making import as_csv, photo, scatter, write
from tests.corpus.typing_in import check_error, check_said, type_apart, type_here

Rows = list[tuple[str, str]]


def names(rows: Rows, end: str = "\n") -> bytes:
    return (end.join(path for path, _ in rows) + end).encode()


def table(rows: Rows, header: str = "path,label", separator: str = ",") -> bytes:
    return as_csv(rows, header, separator).encode()


SEPARATED = "note: 'stdin': fields are separated by ';'; paths are from column 'File'"

PIPED: dict[str, tuple[Callable[[Rows], bytes], tuple[str, ...]]] = {
    "lines": (names, ()),
    "lines of Windows": (lambda rows: b"\xef\xbb\xbf" + names(rows, "\r\n"), ()),
    "lines of old Macs": (lambda rows: names(rows, "\r"), ()),
    "find -print0": (lambda rows: names(rows, "\0"), ()),
    "blank lines": (lambda rows: names(rows, "\n\n"), ()),
    "a folder": (lambda rows: b"images\n", ()),
    "the home folder": (lambda rows: b"~/images\n", ()),
    "a table": (table, ()),
    "a table of Windows": (lambda rows: b"\xef\xbb\xbf" + table(rows).replace(b"\n", b"\r\n"), ()),
    "semicolons": (lambda rows: table(rows, "File;Kind", ";"), (SEPARATED,)),
    "rows twice": (lambda rows: table([*rows, *rows]), ()),
    "JSON Lines": (lambda rows: b"".join(b'{"path": "%s"}\n' % path.encode() for path, _ in rows), ()),
}

REFUSED = {
    "UTF-16": (lambda rows: names(rows).decode().encode("utf-16"), "stdin looks like UTF-16: write the list of paths"),
    "UTF-16 unmarked": (lambda rows: names(rows).decode().encode("utf-16-be"), "stdin looks like UTF-16"),
    "a comma too many": (lambda rows: table(rows, "path"), "'stdin': line 2 has 2 fields, line 3 has 2 fields"),
    "an open quote": (lambda rows: table(rows) + b'"', "'stdin', line 10: a quote is opened and never closed"),
    "Latin-1": (lambda rows: b"path\nfa\xe7ade.png\n", "'stdin', line 2: byte 0xe7 is not UTF-8"),
    "files that are gone": (lambda rows: b"path\na.png\nb.png\n", "'stdin': none of its 2 files exists. The first is"),
    "broken JSON": (lambda rows: b'{"path": 1\n', "'stdin': line 1: not valid JSON"),
}


@pytest.mark.parametrize("name", PIPED)
def test_what_is_piped_in_is_labelled(name: str, here: Path, corpus_model: Path) -> None:
    write_stdin, said = PIPED[name]
    rows = scatter(here, 4)
    outcome = type_here("predict", corpus_model, "-", "--json", stdin=write_stdin(rows))
    assert outcome.code == 0, str(outcome)
    labelled = {Path(entry["path"]).name: entry["label"] for entry in json.loads(outcome.stdout)}
    assert labelled == {Path(path).name: label for path, label in rows}
    check_said(outcome, outcome.remarks, said)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line(name: str, here: Path, corpus_model: Path) -> None:
    write_stdin, phrase = REFUSED[name]
    check_error(type_here("predict", corpus_model, "-", "--json", stdin=write_stdin(scatter(here, 4))), phrase)


@pytest.mark.parametrize("stdin", [b"", b"\n\n", b"path,label\n"])
def test_an_empty_list_is_bad_usage(stdin: bytes, here: Path, corpus_model: Path) -> None:
    outcome = type_here("predict", corpus_model, "-", stdin=stdin)
    assert outcome.code == 2
    assert "Error: stdin lists no images: write one path a line" in outcome.lines


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("nowhere.png", "is neither a file nor a folder. The folder '{here}' holds no 'nowhere.png'."),
        ("https://127.0.0.1:9/a.png", "'https://127.0.0.1:9' cannot be reached: it refuses connections"),
        ("images/*.png", "is neither a file nor a folder. The folder '{here}"),
        (
            "a b.png",
            "is neither a file nor a folder. The folder '{here}' holds no 'a b.png'. Did you mean 'a b,c.png'?",
        ),
        ("imagse/a.png", "is neither a file nor a folder. The folder '{here}' holds no 'imagse'."),
        ("list.txt", "not an image, or of an unknown format"),
        ("empty.png", "empty file"),
    ],
)
def test_one_name_that_is_no_picture_stops_no_other(typed: str, reason: str, here: Path, corpus_model: Path) -> None:
    write(here / "a b,c.png", photo(0, 0))
    write(here / "list.txt", "images/ants0.png\n")
    write(here / "empty.png")
    outcome = type_here("predict", corpus_model, typed, "a b,c.png", "--json")
    assert (outcome.code, [entry["label"] for entry in json.loads(outcome.stdout)]) == (1, [None, "ants"])
    check_said(outcome, outcome.failed, [f"failed: {typed}: {reason.replace('{here}', str(here))}"])


def test_a_pipe_of_a_process_is_read_as_bytes(here: Path, corpus_model: Path) -> None:
    write(here / "images" / os.fsdecode(b"b\xffes.png"), photo(1, 0))
    outcome = type_apart("predict", corpus_model, "-", "--json", stdin=b"images/b\xffes.png\n")
    assert (outcome.code, json.loads(outcome.stdout)[0]["label"]) == (0, "bees"), str(outcome)
