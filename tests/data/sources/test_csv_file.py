from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from featx.data.sources.columns import ColumnChoice
from featx.data.sources.csv_file import is_csv_file, list_csv
from featx.errors import DataError, UnknownName
from featx.log import NOTE


@pytest.fixture(autouse=True)
def images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Four files that tables can name; notes are caught."""
    caplog.set_level(NOTE, "featx")
    (tmp_path / "x").mkdir()
    for number in range(1, 5):
        (tmp_path / f"x/{number}.jpg").write_bytes(f"x/{number}.jpg".encode())


def write(folder: Path, text: str | bytes, name: str = "data.csv") -> str:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(folder / name)


def said(caplog: pytest.LogCaptureFixture) -> str:
    return " | ".join(record.getMessage() for record in caplog.records)


def test_a_csv_lists_paths_labels_and_splits_and_has_nothing_to_say(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listing = list_csv(write(tmp_path, "path,label,split\nx/1.jpg,a,train\nx/2.jpg,b,validation\n"))
    assert listing.labels == ["a", "b"]
    assert listing.splits == ["train", "val"]
    assert listing.read(listing.paths[1]) == b"x/2.jpg"
    assert said(caplog) == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("frame,kind\n", "there is no columns? label or path. The columns are 'frame', 'kind': choose with --label-c"),
        ("path,kind\n", "there is no column label. .* choose with --label-column, or name the columns path,label"),
        ("path,label\n", "is empty: it has a header and no rows"),
        ("", "is empty: line 1 must be path,label"),
        ("\n \n", "is empty: line 1 must be path,label"),
        ("x/1.jpg,a\nx/2.jpg,b\n", "has no header: line 1 names the file 'x/1.jpg'"),
        (
            "path,label,split\nx/1.jpg,b,c\n,b,train\n",
            "line 2: unknown split 'c' .train, val or test., line 3: no path",
        ),
        ("path,label\nx/1.jpg,\nx/2.jpg, \n", "line 2: no label, line 3: no label"),
        ("path,label\n\nx/1.jpg\n", "line 3: no label"),
        ("path,label,is_valid\nx/1.jpg,a,maybe\n", "line 2: unknown split 'maybe' .true or false."),
        ("path,path,label\nx/1.jpg,x,a\n", "two columns are called 'path': rename one"),
        ("file,image,label\nx/1.jpg,x,a\n", "columns 'file' and 'image' may all hold the path: choose with --path-col"),
        ("path,class,target\nx/1.jpg,x,0\n", "'class' and 'target' may all hold the label: choose with --label-column"),
        ("path,label,set,subset\nx/1.jpg,a,train,b\n", "'set' and 'subset' may all hold the split: rename the one"),
    ],
)
def test_a_bad_csv_names_all_its_problems(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        list_csv(write(tmp_path, text))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (
            "x/1,1.jpg,a\nx/2.jpg,b",
            "line 2 has 3 fields; the header has 2: put quotes around a value that holds a comma",
        ),
        ('x/1.jpg,"a\nx/2.jpg,b', "line 2: a quote is opened and never closed"),
        ('x/2.jpg,b\nx/1.jpg,"a"b', "line 3: there is text after a closing quote"),
        ('x/1.jpg,"a\nb"', "line 2: the label holds a line break"),
        ('x/1.jpg,"a\nx/2.jpg,b"\nx/3.jpg,c', "line 2: a value runs on to the row of 'x/2.jpg': a quote is not closed"),
    ],
)
def test_surplus_fields_and_stray_quotes_are_named_with_their_line(tmp_path: Path, row: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        list_csv(write(tmp_path, f"path,label\n{row}\n"))


def test_a_quote_that_swallows_rows_in_a_column_nobody_reads_is_found(tmp_path: Path) -> None:
    text = 'path,label,caption\nx/1.jpg,a,"one\nx/2.jpg,b,two"\nx/3.jpg,b,"a caption\nof two lines"\n'
    with pytest.raises(DataError, match=r"line 2: a value runs on to the row of 'x/2.jpg'[^,]*$"):
        list_csv(write(tmp_path, text))
    listing = list_csv(write(tmp_path, 'path,label,caption\nx/1.jpg,a,"a caption\nof two lines"\nx/2.jpg,b,c\n'))
    assert listing.labels == ["a", "b"]


@pytest.mark.parametrize("row", ["x/1.jpg,a,", "x/1.jpg,a\n,\n , "])
def test_empty_fields_and_rows_of_spreadsheets_are_no_data(tmp_path: Path, row: str) -> None:
    assert list_csv(write(tmp_path, f"path,label,\n{row}\n")).labels == ["a"]


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (
            "path,label\nx/1.jpg,é\n".encode("latin-1"),
            "data.csv', line 2: byte 0xe9 is not UTF-8 .* save the file as UTF-8",
        ),
        ("path,label\nx/1.jpg,a\n".encode("utf-16"), "data.csv', line 1: the file is UTF-16: save it as UTF-8"),
        (
            "path,label\nx/1.jpg,a\n".encode("utf-16-be"),
            "data.csv', line 1: the file looks like UTF-16: save it as UTF-8",
        ),
        ("path,label\nx/1.jpg,a\n".encode("utf-32"), "data.csv', line 1: the file is UTF-32: save it as UTF-8"),
        (b"path,label\nx/1.jpg,a\n\0\n", "data.csv', line 3: there is a NUL byte"),
        (b"PK\x03\x04 and more", "is a zip archive or an Excel workbook, not a text file"),
    ],
)
def test_what_is_not_utf_8_is_named_with_its_line(tmp_path: Path, raw: bytes, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        list_csv(write(tmp_path, raw))


def test_a_csv_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    listing = list_csv(write(tmp_path, "path,label\nx/1.jpg,a\n".encode("utf-8-sig")))
    assert (list(listing.paths), listing.splits) == ([str(tmp_path / "x/1.jpg")], [""])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system(tmp_path: Path, end: str) -> None:
    assert list_csv(write(tmp_path, end.join(["path,label", "x/1.jpg,a", "x/2.jpg,b"]))).labels == ["a", "b"]


@pytest.mark.parametrize(
    ("delimiter", "words"), [(";", "fields are separated by ';'"), ("\t", "fields are separated by a tab"), (",", "")]
)
def test_the_delimiter_is_found_and_said_unless_it_is_a_comma(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, delimiter: str, words: str
) -> None:
    text = 'path,label\nx/1.jpg,a\n"x/2.jpg",b\n'.replace(",", delimiter)
    assert list_csv(write(tmp_path, text)).labels == ["a", "b"]
    assert words in said(caplog)
    assert bool(said(caplog)) == bool(words)


def test_a_tsv_has_tabs_and_excels_own_line_is_understood(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tabs = write(tmp_path, "path\tlabel\nx/1.jpg\ta, b\n", "data.TSV")
    assert is_csv_file(tabs)
    assert list_csv(tabs).labels == ["a, b"]
    assert said(caplog) == ""
    assert list_csv(write(tmp_path, "sep=;\npath;label\nx/1.jpg;a, b\n")).labels == ["a, b"]


@pytest.mark.parametrize("path", ["Path", "FILE", "file_name", "filename", "Image", "filepath", "image path", "img"])
@pytest.mark.parametrize("label", ["LABEL", "class", "category", "target", "y"])
def test_headers_are_known_by_the_usual_names_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str, label: str
) -> None:
    assert list_csv(write(tmp_path, f"{label},{path}\na,x/1.jpg\n")).labels == ["a"]
    assert f"paths are from column '{path}'; labels are from column '{label}'" in said(caplog)


@pytest.mark.parametrize(
    ("column", "train", "held_out", "split"),
    [
        ("Split", "TRAIN", "Test", "test"),
        ("set", "training", "valid", "val"),
        ("subset", "train", "TEST", "test"),
        ("partition", "train", " Validation", "val"),
        ("is_valid", "False", "True", "val"),
        ("is_valid", "0", "1", "val"),
        ("is_test", "no", "yes", "test"),
        ("is_train", "1", "0", "test"),
        ("fold", "train", "test", "test"),
        ("phase", "train", "val", "val"),
    ],
)
def test_splits_are_known_in_any_case_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str, train: str, held_out: str, split: str
) -> None:
    listing = list_csv(write(tmp_path, f"path,label,{column}\nx/1.jpg,a,{train}\nx/2.jpg,a,{held_out}\n"))
    assert listing.splits == ["train", split]
    assert f"splits are from column '{column}'" in said(caplog)


def test_what_yes_and_no_mean_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    list_csv(write(tmp_path, "path,label,is_train\nx/1.jpg,a,1\n"))
    assert "'is_train' (true: train, false: test)" in said(caplog)


@pytest.mark.parametrize("column", ["fold", "type"])
def test_columns_that_hold_something_else_than_splits_are_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str
) -> None:
    listing = list_csv(write(tmp_path, f"path,label,{column},age\nx/1.jpg,a,1,7\nx/2.jpg,a,2,8\n"))
    assert listing.splits == ["", ""]
    assert said(caplog).endswith(f"ignored columns: {column}, age")


def test_a_column_of_any_name_says_the_split_where_its_values_name_several(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listing = list_csv(write(tmp_path, "path,label,purpose,mode\nx/1.jpg,a,Train,rgb\nx/2.jpg,a,TEST,rgb\n"))
    assert listing.splits == ["train", "test"]
    assert said(caplog).endswith("splits are from column 'purpose'; ignored column: mode")
    listing = list_csv(write(tmp_path, "path,label,vehicle\nx/1.jpg,a,train\nx/2.jpg,a,train\n"))
    assert listing.splits == ["", ""]


def test_what_programs_write_for_a_missing_label_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert list_csv(write(tmp_path, "path,label\nx/1.jpg,NaN\nx/2.jpg,none\n")).labels == ["NaN", "none"]
    assert said(caplog).endswith(
        "1 row of the label 'NaN' counts as a class: take it out if it means that there is no label"
    )


def test_json_and_endless_values_are_named_as_such(tmp_path: Path) -> None:
    for text in ('{"path": "x/1.jpg", "label": "a"}\n', '[\n{"path": 1}\n]', '[{"path": 1}]'):
        with pytest.raises(DataError, match=r"data.csv' holds JSON, not CSV: name JSON Lines .jsonl"):
            list_csv(write(tmp_path, text))
    with pytest.raises(DataError, match=r"line 2: a value has more than 131072 characters: a quote is not closed, or"):
        list_csv(write(tmp_path, f"path,label,mask\nx/1.jpg,a,{'1 ' * 70_000}\n"))


def test_rows_without_a_split_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    list_csv(write(tmp_path, "path,label,split\nx/1.jpg,a,test\nx/2.jpg,a,\n"))
    assert "rows without a split count as training: 1" in said(caplog)


def test_the_standard_name_goes_before_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listing = list_csv(write(tmp_path, "image,path,class,label\n0,x/1.jpg,7,a\n"))
    assert (listing.labels, listing.paths) == (["a"], [str(tmp_path / "x/1.jpg")])
    assert said(caplog).endswith("ignored columns: image, class")


def test_columns_that_are_chosen_are_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write(tmp_path, "path,label,Species,where\nno,a,cat,x/1.jpg\n")
    listing = list_csv(file, ColumnChoice(path="where", label="species"))
    assert (listing.labels, listing.paths) == (["cat"], [str(tmp_path / "x/1.jpg")])
    assert said(caplog).endswith("data.csv': ignored columns: path, label")
    with pytest.raises(UnknownName, match=r"data.csv': unknown column 'specie'. Did you mean 'Species'"):
        list_csv(file, ColumnChoice(label="specie"))


def test_a_path_with_backslashes_is_read_where_the_file_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a\\b.jpg").write_bytes(b"odd, but there")
    listing = list_csv(write(tmp_path, "path,label\nx\\1.jpg,a\na\\b.jpg,a\n"))
    assert [listing.read(path) for path in listing.paths] == [b"x/1.jpg", b"odd, but there"]
    assert "backslashes in paths are read as slashes" in said(caplog)


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "x"))
    assert list_csv(write(tmp_path, "path,label\n~/1.jpg,a\n")).paths == [str(tmp_path / "x/1.jpg")]


def test_labels_lose_blanks_and_are_normalised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listing = list_csv(write(tmp_path, "path,label\nx/1.jpg,é\nx/2.jpg,e\u0301 \nx/3.jpg, é\n"))
    assert set(listing.labels) == {"é"}
    assert said(caplog).endswith("blanks around labels are taken off")


def test_classes_that_look_the_same_are_warned_of_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    list_csv(write(tmp_path, "path,label\nx/1.jpg,Cat\nx/2.jpg,cat\nx/3.jpg,dog\n"))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "nearly equal and count as different classes: 'Cat' and 'cat'" in record.getMessage()


def test_files_that_are_all_missing_are_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tables").mkdir()
    file = write(tmp_path / "tables", "path,label\nx/1.jpg,a\nx/2.jpg,b\n")
    with pytest.raises(
        DataError, match=f"none of its 2 files exists. The first is 'x/1.jpg'; .*, '{tmp_path}/tables'$"
    ):
        list_csv(file)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"It exists in the current folder, '{tmp_path}': move the table there"):
        list_csv(file)


def test_some_missing_files_are_left_to_those_who_read_them(tmp_path: Path) -> None:
    assert len(list_csv(write(tmp_path, "path,label\nx/9.jpg,a\nx/2.jpg,b\n"))) == 2


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_one_line(tmp_path: Path) -> None:
    file = write(tmp_path, "path,label\nx/1.jpg,a\n")
    Path(file).chmod(0)
    with pytest.raises(DataError, match="data.csv' cannot be read: Permission denied"):
        list_csv(file)


@pytest.mark.parametrize("name", ["weight", "Weight", "sample_weight", "Sample Weight"])
def test_a_column_of_weights_is_read_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    listing = list_csv(write(tmp_path, f"path,label,{name}\nx/1.jpg,a,2\nx/2.jpg,b,0\nx/3.jpg,b,\nx/4.jpg,b,.5\n"))
    assert listing.weights is not None
    assert listing.weights.tolist() == [2.0, 0.0, 1.0, 0.5]
    kept = listing.subset([3, 0]).weights
    assert kept is not None
    assert kept.tolist() == [0.5, 2.0]
    assert f"images are weighted in training by column '{name}'" in said(caplog)
    assert "1 row has no weight and counts once" in said(caplog)
    assert "ignored" not in said(caplog)


def test_a_column_of_weights_without_numbers_is_something_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listing = list_csv(write(tmp_path, "path,label,weight\nx/1.jpg,a,heavy\nx/2.jpg,b,light\n"))
    assert listing.weights is None
    assert "ignored column: weight" in said(caplog)
    assert list_csv(write(tmp_path, "path,label\nx/1.jpg,a\nx/2.jpg,b\n")).weights is None


@pytest.mark.parametrize("bad", ["-1", "heavy", "nan", "inf", "1e999", '"0,5"'])
def test_weights_that_make_no_sense_are_named_by_their_lines(tmp_path: Path, bad: str) -> None:
    text = f"path,label,weight\nx/1.jpg,a,2\nx/2.jpg,b,{bad}\n"
    message = f"line 3: the weight '{bad.strip(chr(34))}' is not a number of at least 0"
    with pytest.raises(DataError, match=message):
        list_csv(write(tmp_path, text))


def test_two_columns_that_may_be_the_weight_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="the columns 'Weight' and 'WEIGHT' may all hold the weight: rename all but one"
    ):
        list_csv(write(tmp_path, "path,label,Weight,WEIGHT\nx/1.jpg,a,2,3\n"))
