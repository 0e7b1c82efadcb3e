"""Lists of rows that show themselves as tables, in a terminal and in a notebook."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, Generic, Protocol, Self, TypeVar, overload

END_OF_TABLE = "</table>"


class Row(Protocol):
    """What every row can do."""

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        ...


R = TypeVar("R", bound=Row)


class ShownRows(Sequence[R], Generic[R]):
    """A list of rows that shows itself as a table.

    Parameters
    ----------
    rows : sequence
    """

    def __init__(self, rows: Sequence[R]) -> None:
        self.rows = list(rows)

    def text(self, style: str) -> str:
        """Write the table in a format of tabulate, and notes below it."""
        raise NotImplementedError

    @overload
    def __getitem__(self, place: int) -> R: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: int | slice) -> R | Self:
        if isinstance(place, slice):
            return type(self)(self.rows[place])
        return self.rows[place]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return self.text("simple") if self.rows else "(no rows)"

    def _repr_html_(self) -> str:
        """Write the table for a notebook; every text in it is escaped."""
        if not self.rows:
            return "<p>(no rows)</p>"
        # In this style tabulate itself escapes the cells; the notes below the table are plain text.
        cells, _, notes = self.text("html").partition(END_OF_TABLE)
        lines = [html.escape(line) for line in notes.strip().splitlines()]
        return f"{cells}{END_OF_TABLE}<p>{'<br>'.join(lines)}</p>"

    def to_dicts(self) -> list[dict[str, Any]]:
        """Give a dict of plain values for each row: what `--json` prints, and what pandas takes."""
        return [row.to_dict() for row in self.rows]
