"""Lists of images to be labelled, as people have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from featx.data.given_images import list_given_images
from featx.data.path_lists import read_stdin, split_paths
from featx.errors import DataError
from featx.log import NOTE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "new").mkdir()
    for name in ("a.png", "b, c.png", "d.png"):
        (tmp_path / "new" / name).write_bytes(b"")
    return tmp_path


def listed(folder: Path, name: str, content: str | bytes) -> list[str]:
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(data)
    paths = list_given_images([str(folder / name)]).paths
    return [str(Path(path).relative_to(folder)) for path in paths]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", "path,label\nnew/a.png,red\nnew/d.png,\n"),
        ("l.csv", "\ufeffpath\r\nnew/a.png\r\n\r\nnew/d.png\r\n"),
        ("l.csv", "Label;File_Name\nred;new/a.png\nblue;new/d.png\n"),
        ("L.CSV", "id\timage\n1\tnew\\a.png\n2\tnew\\d.png"),
        ("l.tsv", "path\nnew/a.png\nnew/d.png\n"),
        ("l.jsonl", '{"file_name": "new/a.png"}\n\n{"file_name": "new/d.png", "label": 3}\n'),
    ],
)
def test_tables_list_paths_and_labels_do_not_matter(folder: Path, name: str, content: str) -> None:
    assert listed(folder, name, content) == ["new/a.png", "new/d.png"]


def test_a_quoted_path_may_hold_a_comma_and_one_file_is_listed_once(folder: Path) -> None:
    assert listed(folder, "l.csv", 'path\n"new/b, c.png"\n"new/b, c.png"\n') == ["new/b, c.png"]


def test_what_was_taken_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(NOTE, "featx")
    listed(folder, "l.csv", "Image;label\nnew/a.png;x\n")
    assert "fields are separated by ';'" in caplog.text
    assert "paths are from column 'Image'" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "l.csv",
            "label,age\nred,3\n",
            r"there is no column path. The columns are 'label', 'age': choose with --path-column",
        ),
        ("l.csv", "path,label\nnew/b, c.png,red\n", r"line 2 has 3 fields; the header has 2: put quotes"),
        ("l.csv", 'path\n"new/a.png\n', r"line 2: a quote is opened and never closed"),
        ("l.csv", "path,label\n,red\n", r"line 2: no path"),
        ("l.csv", "path\n", r"is empty: it has a header and no rows"),
        ("l.csv", "", r"has no column of paths|is empty"),
        ("l.csv", "path\nné.png\n".encode("latin1"), r"line 2: byte 0xe9 is not UTF-8 .*: save the file as UTF-8"),
        ("l.csv", "path\na.png\n".encode("utf-16"), r"line 1: the file is UTF-16: save it as UTF-8"),
        ("l.csv", b"path\na\0.png\n", r"line 2: there is a NUL byte"),
        ("l.csv", "path\nx.png\ny.png\n", r"none of its 2 files exists. The first is 'x.png'; paths count from"),
        ("l.jsonl", '{"path": "a.png"}\n{', r"line 2: not valid JSON"),
        ("l.jsonl", "[1]\n", r"line 1: not an object"),
        ("l.jsonl", '{"path": [3]}\n', r"line 1: 'path' is a list, not a text or a number"),
        ("l.jsonl", '{"path": "a\\u0000b"}\n', r"line 1: the path holds a character that cannot be stored: 'a.x00b'"),
        (
            "l.jsonl",
            '{"file": "new/a.png", "image": "new/d.png"}\n',
            r"may all hold the path: choose with --path-column",
        ),
    ],
)
def test_what_cannot_be_read_is_one_line(folder: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        listed(folder, name, content)


def test_lists_on_stdin_are_lines_or_nul_separated_and_bytes() -> None:
    assert split_paths(b"a.png\r\n\nb c.png\n") == ["a.png", "b c.png"]
    assert split_paths(b"a.png\0b\nc.png\0") == ["a.png", "b\nc.png"]
    assert split_paths(b"\xff.png\n")[0].encode(errors="surrogateescape") == b"\xff.png"
    assert split_paths(b"") == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_on_stdin_is_refused_and_not_read_as_names_of_one_letter(encoding: str) -> None:
    with pytest.raises(DataError, match="stdin looks like UTF-16"):
        read_stdin("new/a.png\nnew/d.png\n".encode(encoding))


def test_a_list_on_stdin_may_end_its_lines_as_on_any_system(folder: Path) -> None:
    assert split_paths(b"a.png\rb.png\r") == ["a.png", "b.png"]
    assert split_paths(b"a\r.png\nb.png\n") == ["a\r.png", "b.png"]


def test_json_lines_on_stdin_are_a_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert read_stdin(b'{"path": "new/a.png"}\n{"path": "new/d.png"}\n') == ["new/a.png", "new/d.png"]


def test_the_column_of_paths_can_be_chosen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "l.csv").write_text("where,path\nnew/a.png,x\n")
    assert list_given_images([str(folder / "l.csv")], "where").paths == [str(folder / "new" / "a.png")]
    assert read_stdin(b"where,path\nnew/a.png,x\n", "where") == ["new/a.png"]
    assert read_stdin(b"where\nnew/a.png\n", "where") == ["new/a.png"]


def test_a_table_on_stdin_is_read_as_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert read_stdin(b'path,label\r\n"new/b, c.png",x\r\nnew/a.png,\r\n') == ["new/b, c.png", "new/a.png"]
    assert read_stdin(b"file_name\nnew/a.png\n") == ["new/a.png"]
    (folder / "path").write_bytes(b"")
    assert read_stdin(b"path\nnew/a.png\n") == ["path", "new/a.png"]


def test_a_tilde_is_the_home_folder_unless_a_file_is_called_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    assert list_given_images(["~/new/a.png"]).paths == [str(folder / "new" / "a.png")]
    (folder / "~a.png").write_bytes(b"")
    assert list_given_images(["~a.png"]).paths == ["~a.png"]
