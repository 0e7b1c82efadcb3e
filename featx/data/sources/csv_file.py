"""CSV files as data sets: a header, then a row an image."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from featx.data.listing import Listing
from featx.data.sources.columns import LABEL_NAMES, PATH_NAMES, ColumnChoice, simplify_column
from featx.data.sources.table import ImageRow, ImageTable, list_table
from featx.data.sources.written_paths import DISK, TablePlace, folder_of, join_folder
from featx.errors import DataError, shorten
from featx.paths import is_file

CSV_SUFFIXES = (".csv", ".tsv")

DELIMITERS = {",": "a comma", ";": "';'", "\t": "a tab", "|": "'|'"}
"""What may stand between fields, and how it is called."""

EXCEL_LINE = re.compile(r'"?sep=(.)"?\s*')
"""A first line that tells Excel the delimiter."""

JSON_LINE = re.compile(r'\s*(?:\[\s*)?\{\s*(?:"|$)|\s*\[\s*$')
"""How JSON begins."""


def is_csv_file(data: str) -> bool:
    """Whether DATA is a file whose name ends in `.csv` or `.tsv`."""
    return data.lower().endswith(CSV_SUFFIXES) and is_file(data)


def list_csv(data: str, choice: ColumnChoice | None = None) -> Listing:
    """List the rows of a CSV file: path, label and, if wanted, split; paths count from the file's own folder.

    Raises
    ------
    DataError
        If the file is not UTF-8, the header lacks a column, or rows are incomplete; all problems are named at once.
    """
    choice = ColumnChoice() if choice is None else choice
    return list_table(read_csv(data, choice), choice, data)


def read_csv(file: str, choice: ColumnChoice, place: TablePlace = DISK) -> ImageTable:
    """Read a CSV file whose fields are separated by commas, semicolons or tabs.

    Raises
    ------
    DataError
        If it has no header, or lines have too many fields or unbalanced quotes.
    """
    return parse_csv(file, place.read_text(file), choice, place)


def parse_csv(file: str, text: str, choice: ColumnChoice, place: TablePlace = DISK) -> ImageTable:
    """Make a table of the text of a CSV file, as `read_csv` does; `file` names it.

    Raises
    ------
    DataError
        As `read_csv` does.
    """
    header, first_line, stated = find_header(file, text)
    delimiter = stated or find_delimiter(header, choice)
    records = read_records(file, text, delimiter, first_line)
    names = [name.strip() for name in next(records)[1]]
    check_header(file, names, place)
    rows, surplus = name_fields(names, records)
    if surplus:
        raise DataError(
            f"'{file}': {shorten(surplus, 5)}; the header has {len(names)}: "
            f"put quotes around a value that holds {DELIMITERS.get(delimiter, repr(delimiter))}"
        )
    is_expected = delimiter == ("\t" if file.lower().endswith(".tsv") else ",")
    remarks = [] if is_expected else [f"fields are separated by {DELIMITERS.get(delimiter, repr(delimiter))}"]
    return ImageTable(file, names, rows, remarks, place=place)


def find_header(file: str, text: str) -> tuple[str, int, str | None]:
    """Find the header: its text, its line, and the delimiter if a line for Excel above it states one.

    Raises
    ------
    DataError
        If there is nothing in the file, or JSON.
    """
    stated = None
    for number, line in enumerate(io.StringIO(text, newline=""), 1):
        excel = EXCEL_LINE.fullmatch(line) if stated is None else None
        if excel:
            stated = excel.group(1)
        elif JSON_LINE.match(line):
            raise DataError(f"'{file}' holds JSON, not CSV: name JSON Lines .jsonl")
        elif line.strip():
            return line, number, stated
    raise DataError(f"'{file}' is empty: line 1 must be path,label or path,label,split")


def find_delimiter(header: str, choice: ColumnChoice) -> str:
    """Choose the delimiter by which the header has the columns that are wanted, else the most fields."""
    chosen = [simplify_column(name or "") for name in (choice.path, choice.label, choice.group)]
    wanted = {*PATH_NAMES, *LABEL_NAMES, *chosen} - {""}

    def count(delimiter: str) -> tuple[int, int]:
        names = {simplify_column(name.strip(' "\r\n')) for name in header.split(delimiter)}
        return len(names & wanted), len(names)

    # Of equals the first: a comma.
    return max(DELIMITERS, key=count)


def check_header(file: str, names: Sequence[str], place: TablePlace) -> None:
    """Refuse a table that begins with a row of data.

    Raises
    ------
    DataError
        If the first line names a file that exists.
    """
    for name in names:
        if name and place.is_file(join_folder(folder_of(file), name)):
            raise DataError(
                f"'{file}' has no header: line 1 names the file '{name}'. Write path,label or path,label,split above it"
            )


def read_records(file: str, text: str, delimiter: str, first_line: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the fields of each record that is not blank, the header first.

    Raises
    ------
    DataError
        If quotes are not balanced.
    """
    lines = io.StringIO(text, newline="")
    for _ in range(first_line - 1):
        lines.readline()
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter != "\t", strict=True)
    line = first_line
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield line, fields
            line = first_line + reader.line_num
    except csv.Error as error:
        raise DataError(f"'{file}', line {line}: {explain_quotes(error)}") from error


def explain_quotes(error: csv.Error) -> str:
    """Say in our words what is wrong with quotes."""
    text = str(error)
    if "field larger" in text:
        longest = csv.field_size_limit()
        return f"a value has more than {longest} characters: a quote is not closed, or the column is too long"
    if "unexpected end" in text:
        return "a quote is opened and never closed"
    if "expected after" in text:
        return "there is text after a closing quote: write a quote inside quotes twice"
    return f"is not CSV ({text})"


def name_fields(names: Sequence[str], records: Iterator[tuple[int, list[str]]]) -> tuple[list[ImageRow], list[str]]:
    """Name the fields of all records by the header: the rows, and what is said of those with too many fields."""
    rows = []
    surplus = []
    for line, fields in records:
        if any(field.strip() for field in fields[len(names) :]):
            surplus.append(f"line {line} has {len(fields)} fields")
        rows.append(ImageRow(line, dict(zip(names, fields, strict=False))))
    return rows, surplus
