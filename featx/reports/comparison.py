"""The rows of a comparison, as a list that shows itself as a table."""

from __future__ import annotations

from pathlib import Path

from featx.evaluation.result import best
from featx.evaluation.table_row import TableRow
from featx.files import write_text
from featx.reports.shown_rows import ShownRows
from featx.reports.table import table, to_csv


class Table(ShownRows[TableRow]):
    """The rows of a comparison: one for each layer or layer set and classifier."""

    def text(self, style: str) -> str:
        """Write the table in a format of tabulate, and what its marks mean."""
        return table(self.rows, style)

    @property
    def best(self) -> TableRow:
        """The row with the best cross-validated accuracy, which the table marks with `*`."""
        return best(self.rows)

    def to_csv(self, path: str | Path | None = None) -> str:
        """Write the table as CSV, and to a file if one is named.

        Parameters
        ----------
        path : str or pathlib.Path, optional

        Returns
        -------
        str
            One row a line, below a line of headings.

        Raises
        ------
        StoreError
            If the file cannot be written.
        """
        text = to_csv(self.rows)
        if path is not None:
            write_text(Path(path), text)
        return text
