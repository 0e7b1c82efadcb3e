"""`--shots` and `--draws`: few labels."""

from __future__ import annotations

from pathlib import Path

import click

from featx.cli.options import join_options
from featx.requests.evaluation import DRAWS


def parse_shots(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...]:
    """Turn `1,2,5` into numbers; whether they make sense is the request's to say."""
    if value is None:
        return ()
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"'{value}' is not a list of numbers of images: write --shots 1,2,5,10") from error


shot_options = join_options(
    click.option(
        "--shots",
        callback=parse_shots,
        metavar="N,N,...",
        help="Also train with so many labelled images of each class, such as 1,2,5,10,20, and print a table of the "
        "accuracies; of logreg, svm and knn.",
    ),
    click.option(
        "--draws",
        type=click.IntRange(min=1),
        help=f"How often these images are drawn: the mean is given, with its interval.  [default: {DRAWS}]",
    ),
)


def name_shots_file(csv_file: Path) -> Path:
    """Name the second CSV file, with few labels, beside the first: `table.csv` to `table-shots.csv`."""
    return csv_file.with_name(f"{csv_file.stem}-shots{csv_file.suffix}")
