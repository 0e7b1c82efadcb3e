"""How commands speak: the one place where text goes to stdout and stderr."""

from __future__ import annotations

import io
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from featx.log import ANY_NAME, escape_controls

SILENT_SECONDS = 2.0
"""What takes less is over before one wonders."""

TICK_SECONDS = 1.0

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


@contextmanager
def waiting(what: str, quiet: bool) -> Iterator[None]:
    """Say on a terminal what is going on while the block runs, once that takes more than two seconds.

    For steps that cannot tell how far they are; those that can have a bar.
    """
    if quiet or not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    started = time.monotonic()

    def tick() -> None:
        delay = SILENT_SECONDS
        while not done.wait(delay):
            sys.stderr.write(f"\r{what} ... {time.monotonic() - started:.0f} s")
            sys.stderr.flush()
            delay = TICK_SECONDS

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if time.monotonic() - started > SILENT_SECONDS:
            # Back to the beginning of the line, which is cleared.
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def write_any_name() -> None:
    """Let stdout and stderr take every name of a file, UTF-8 or not."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ANY_NAME)
