"""`--nested` and `--repeats`: nested cross-validation."""

from __future__ import annotations

import click

from featx.cli.options import join_options

USUAL_FOLDS = "5"
"""Outer folds where none are said."""


def parse_folds(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Turn what was written into a number of outer folds; a word is likely to be DATA, taken for the value."""
    if value is None:
        return None
    try:
        folds = int(value)
    except ValueError as error:
        raise click.BadParameter(
            f"'{value}' is not a number of folds: write --nested 5, or --nested after DATA"
        ) from error
    if folds < 2:
        raise click.BadParameter(f"{folds} is less than 2: one fold judges while the others train")
    return folds


nested_options = join_options(
    click.option(
        "--nested",
        callback=parse_folds,
        is_flag=False,
        flag_value=USUAL_FOLDS,
        metavar="[FOLDS]",
        help="Judge every image once by a model that never saw its fold, all choices made anew inside; takes about "
        f"as many times as long as there are folds ({USUAL_FOLDS} if none are said).",
    ),
    click.option(
        "--repeats",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Nested cross-validations with further seeds, whose mean is given.",
    ),
)
