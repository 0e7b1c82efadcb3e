"""`featx compare`: every cached layer with every classifier, in one table."""

from __future__ import annotations

from pathlib import Path

import click

from featx.cli.options import (
    base_options,
    cache_option,
    data_argument,
    json_option,
    layers_option,
    poolings_option,
    print_json,
    progress_bar,
    rehash_option,
    seed_option,
    store_dtype_option,
    verbosity_options,
)
from featx.requests import BaseChoice, CompareRequest


@click.command("compare")
@data_argument
@base_options
@layers_option
@click.option("--clf", "classifiers", multiple=True, help="logreg, svm, mlp or all; repeatable.  [default: all]")
@poolings_option
@store_dtype_option
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the table as CSV, too.")
@seed_option
@rehash_option
@cache_option
@json_option
@verbosity_options
def command(
    data: str,
    base: BaseChoice,
    layers: tuple[str, ...],
    classifiers: tuple[str, ...],
    poolings: tuple[str, ...],
    store_dtype: str | None,
    csv_file: Path | None,
    seed: int,
    rehash: bool,
    cache: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare cut depths of DATA: one row a cached layer and classifier.

    The row marked * won the cross-validation inside the training part; the held-out part was read once for each row.

    \b
    Example:
      featx compare photos --base resnet50 --clf logreg --clf svm --csv table.csv
    """
    if "all" in classifiers:
        classifiers = ()
    request = CompareRequest(data, base, layers, classifiers, poolings, seed, rehash, cache, store_dtype)
    from featx.evaluate import compare
    from featx.files import write_text
    from featx.report import table, to_csv

    with progress_bar("fit", quiet) as progress:
        results = compare(request, progress)
    if csv_file:
        write_text(csv_file, to_csv(results))
    if as_json:
        print_json([result.to_dict() for result in results])
    else:
        click.echo(table(results))
