"""CSV that spreadsheets cannot take for formulas."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

Cell = str | int | float | None

FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How text begins that a spreadsheet computes instead of showing it: a class `=cmd|'/c calc'!A1` would start a program.

With apostrophes in front, such text has one more: so who reads takes one away from each text of this form.
"""

HARMLESS_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|[+-]", re.IGNORECASE | re.ASCII)
"""Names of classes that look like formulas and are harmless: `-1`, `+1`, `+`."""


def write_csv(rows: Iterable[Sequence[Cell]]) -> str:
    """Write rows as CSV. Text that a spreadsheet would compute has an apostrophe in front; numbers are left alone.

    Parameters
    ----------
    rows : iterable of sequences of str, int, float or None

    Returns
    -------
    str
        One row a line, but for line ends in names, which stand in quotes.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    quoting_writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    for row in rows:
        cells = [defuse(cell) if isinstance(cell, str) else cell for cell in row]
        # Python before 3.13 leaves a carriage return without quotes, and readers see two rows.
        has_return = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (quoting_writer if has_return else writer).writerow(cells)
    return text.getvalue()


def defuse(text: str) -> str:
    """Put an apostrophe in front of text that a spreadsheet would take for a formula."""
    is_formula = FORMULA.match(text) is not None and HARMLESS_NUMBER.fullmatch(text) is None
    return f"'{text}" if is_formula else text
