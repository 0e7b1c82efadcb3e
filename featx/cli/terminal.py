"""How commands speak: the one place where text goes to stdout and stderr."""

from __future__ import annotations

import io
import sys

import click

from featx.log import ANY_NAME, escape_controls


def say_line(text: str, err: bool = False) -> None:
    """Write one line: what a name in it holds cannot make two of it, nor move the cursor."""
    click.echo(escape_controls(text), err=err)


def say_text(text: str, err: bool = False) -> None:
    """Write several lines, such as a table, in which names are already what `escape_controls` makes of them."""
    click.echo(escape_controls(text, kept="\n"), err=err)


def write_any_name() -> None:
    """Let stdout and stderr take every name of a file, UTF-8 or not."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ANY_NAME)
