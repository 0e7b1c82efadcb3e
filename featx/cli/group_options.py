"""Options that say which images belong together, for commands that split them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from featx.cli.options import add_options

F = TypeVar("F", bound=Callable[..., Any])

GROUP_OPTIONS = (
    click.option(
        "--group-column",
        metavar="NAME",
        help="Column of a CSV or JSON Lines file that says which images belong together: all of a group are trained "
        "on, or none.  [default: group, patient, subject, site, ...]",
    ),
    click.option(
        "--group-by",
        metavar="REGEX",
        help="Regular expression that finds the group in a path: its first part in parentheses, else the whole match.",
    ),
)


def group_options(command: F) -> F:
    """Add `--group-column` and `--group-by`."""
    decorated: F = add_options(command, GROUP_OPTIONS)
    return decorated
