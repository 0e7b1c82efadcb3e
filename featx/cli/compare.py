"""`featx compare`: every cached layer with every classifier, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from featx.cli.options import (
    cache_option,
    data_argument,
    json_option,
    memory_option,
    poolings_option,
    print_json,
    progress_bar,
    refit_option,
    rehash_option,
    seed_option,
    several_bases,
    store_dtype_option,
    test_views_option,
    verbosity_options,
    views_option,
)
from featx.requests import BaseChoice, CompareRequest


@click.command("compare")
@data_argument
@several_bases
@click.option("--layer", "-l", "layers", multiple=True, help="Layer, or mix such as layer3+layer4; repeatable.")
@click.option("--clf", "classifiers", multiple=True, help="logreg, svm, mlp or all; repeatable.  [default: all]")
@poolings_option
@store_dtype_option
@views_option
@test_views_option
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the table as CSV, too.")
@click.option("--sort", metavar="COLUMN", help="Sort by a column of the CSV, such as test_accuracy or megabytes.")
@click.option("--markdown", is_flag=True, help="Print the table as Markdown.")
@seed_option
@memory_option
@rehash_option
@refit_option
@cache_option
@json_option
@verbosity_options
def command(
    data: str,
    base: BaseChoice,
    layers: tuple[str, ...],
    classifiers: tuple[str, ...],
    poolings: tuple[str, ...],
    csv_file: Path | None,
    sort: str | None,
    markdown: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Compare cut depths of DATA: one row a cached layer and classifier.

    The row marked * won the cross-validation inside the training part; the held-out part was read once for each row.
    Rows marked = cannot be told apart from it on these images.

    \b
    Example:
      featx compare photos --base resnet50 --clf logreg --clf svm --csv table.csv
      featx compare photos --base resnet50 --base hog --base lbp
    """
    if "all" in classifiers:
        classifiers = ()
    request = CompareRequest(data, base, layers, classifiers, poolings, **options)
    from featx.files import write_text
    from featx.reports.table import check_column, sort_results, table, to_csv
    from featx.workflows.compare import compare

    check_column(sort)

    with progress_bar("fit", quiet) as progress:
        results = compare(request, progress)
    if sort:
        results = sort_results(results, sort)
    if csv_file:
        write_text(csv_file, to_csv(results))
    if as_json:
        print_json([result.to_dict() for result in results])
    else:
        click.echo(table(results, "github" if markdown else "simple"))
