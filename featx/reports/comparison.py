"""The rows of a comparison, as a list that shows itself as a table."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from featx.evaluation.few_labels.figures import FewLabels
from featx.evaluation.nested.figures import NestedReport, Procedure
from featx.evaluation.result import best
from featx.evaluation.table_row import TableRow
from featx.files import write_text
from featx.reports.html.notebook import draw_for_notebook
from featx.reports.shown_rows import ShownRows
from featx.reports.table import table, to_csv
from featx.reports.table_few_labels import few_labels_cells, few_labels_table, write_notes, write_title


class Table(ShownRows[TableRow]):
    """The rows of a comparison: one for each layer or layer set and classifier.

    Parameters
    ----------
    rows : sequence of TableRow
    nested : NestedReport, optional
        What nested cross-validation says of all of them, where it made them.
    few_labels : FewLabels, optional
        Curves over the number of labelled images, where they were asked for.
    """

    def __init__(
        self, rows: Sequence[TableRow], nested: NestedReport | None = None, few_labels: FewLabels | None = None
    ) -> None:
        super().__init__(rows)
        self.nested = nested
        self.few_labels = few_labels

    def text(self, style: str) -> str:
        """Write the table in a format of tabulate, and what its marks mean."""
        return table(self.rows, style, nested=self.nested)

    def __repr__(self) -> str:
        text = super().__repr__()
        return f"{text}\n\n{few_labels_table(self.few_labels)}" if self.few_labels else text

    def _repr_html_(self) -> str:
        """Write the table for a notebook with its chart, and few labels below it; every text is escaped."""
        text = super()._repr_html_() + draw_for_notebook(self.rows)
        if self.few_labels is None:
            return text
        cells = few_labels_cells(self.few_labels, "html")
        title = html.escape(write_title(self.few_labels))
        notes = "<br>".join(html.escape(line) for line in write_notes(self.few_labels))
        return f"{text}<p>{title}</p>{cells}<p>{notes}</p>"

    @property
    def procedure(self) -> Procedure | None:
        """The figures of "let featx choose", judged as a whole; None without nested cross-validation."""
        return self.nested.procedure if self.nested else None

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
