"""DATA, and the options that say what its columns are, which of its images belong together and which are left out."""

from __future__ import annotations

import click

from featx.cli.options import UserPath, join_options

path_column_option = click.option(
    "--path-column",
    metavar="NAME",
    help="Column of a CSV or JSON Lines file that holds the paths.  [default: path, file_name, image, ...]",
)

labelled_data = join_options(
    click.argument("data"),
    path_column_option,
    click.option(
        "--label-column",
        metavar="NAME",
        help="Column of a CSV or JSON Lines file that holds the labels.  [default: label, class, category, ...]",
    ),
)
"""DATA, `--path-column` and `--label-column`."""

grouped_data = join_options(
    labelled_data,
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
"""`labelled_data`, `--group-column` and `--group-by`, for commands that split DATA."""

exclude_option = click.option(
    "--exclude",
    type=UserPath(dir_okay=False),
    help="List of images to leave out, one path a line, such as `featx inspect --drop-list` writes.",
)
