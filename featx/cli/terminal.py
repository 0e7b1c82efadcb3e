"""How commands speak: the one place where text goes to stdout and stderr."""

from __future__ import annotations

import io
import os
import re
import sys

import click

from featx.log import ANY_NAME, escape_controls

MARK_COLOURS = {"*": "green", "=": "yellow"}
"""First characters of the rows of a table that stand out on a terminal: the best, and those tied with it."""

MARKED_ROW = re.compile(r"^([*=]) ")


def say_line(text: str, err: bool = False) -> None:
    """Write one line: what a name in it holds cannot make two of it, nor move the cursor."""
    click.echo(escape_controls(text), err=err)


def say_text(text: str, err: bool = False, before: str = "") -> None:
    """Write several lines, such as a table, in which names are already what `escape_controls` makes of them.

    Parameters
    ----------
    text : str
    err : bool
        Whether it goes to stderr.
    before : str
        Words of our own that stand before it, perhaps in colour.
    """
    separator = " " if before else ""
    click.echo(f"{before}{separator}{escape_controls(text, kept=chr(10))}", err=err)


def say_table(text: str) -> None:
    """Write a table whose rows may be marked as the best or as tied with it: in colour, on a terminal."""
    lines = []
    for line in escape_controls(text, kept="\n").split("\n"):
        marked = MARKED_ROW.match(line)
        lines.append(colour(line, MARK_COLOURS[marked[1]]) if marked else line)
    click.echo("\n".join(lines))


def has_colour() -> bool:
    """Whether stdout shows colours: a terminal does, unless `NO_COLOR` (no-color.org) or `TERM=dumb` says otherwise."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def colour(text: str, name: str) -> str:
    """Colour a text where stdout shows colours."""
    return click.style(text, fg=name) if has_colour() else text


def write_any_name() -> None:
    """Let stdout and stderr take every name of a file, UTF-8 or not."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ANY_NAME)
