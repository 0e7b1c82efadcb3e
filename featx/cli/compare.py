"""`featx compare`: every layer that is cached for a data set with every classifier, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featx.base_choice import BaseChoice
from featx.cli.cache_options import fit_cache_options
from featx.cli.data_options import exclude_option, grouped_data
from featx.cli.evaluation_options import evaluation_options, fitting_options, runner_option
from featx.cli.nested_options import nested_options
from featx.cli.options import (
    UserPath,
    class_weight_option,
    output_options,
    poolings_option,
    print_json,
    several_bases,
    wide_option,
)
from featx.cli.progress import progress_bar
from featx.cli.report_option import report_option, say_report
from featx.cli.shot_options import name_shots_file, shot_options
from featx.cli.terminal import say_table, say_text
from featx.requests import CompareRequest

if TYPE_CHECKING:
    from featx.evaluation.table_row import TableRow
    from featx.workflows.compare import ComparisonReport


@click.command("compare")
@grouped_data
@several_bases
@click.option(
    "--layer",
    "-l",
    "layers",
    multiple=True,
    help="Layer, by name or alias; layer3+layer4 concatenates several; repeatable.  [default: all that are cached]",
)
@click.option(
    "--clf",
    "classifiers",
    multiple=True,
    help="Classifier: logreg, svm, mlp, knn (nearest neighbours) or dummy (the most frequent class); repeatable; "
    "all: the first three.  [default: all]",
)
@poolings_option
@evaluation_options
@click.option(
    "--csv",
    "csv_file",
    type=UserPath(dir_okay=False),
    help="Also write the table as CSV; few labels go to NAME-shots.csv beside it.",
)
@click.option(
    "--plot", type=UserPath(dir_okay=False), help="Also draw accuracy against depth: a file .png, .svg or .pdf."
)
@report_option
@click.option("--sort", metavar="COLUMN", help="Sort by a column of the CSV, such as test_accuracy or megabytes.")
@click.option("--markdown", is_flag=True, help="Print the table as Markdown, with all columns.")
@wide_option
@class_weight_option
@nested_options
@shot_options
@fitting_options
@runner_option
@exclude_option
@fit_cache_options
@output_options
def command(
    data: str,
    base: BaseChoice,
    layers: tuple[str, ...],
    classifiers: tuple[str, ...],
    poolings: tuple[str, ...],
    csv_file: Path | None,
    plot: Path | None,
    report_file: Path | None,
    sort: str | None,
    markdown: bool,
    wide: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Compare layers and classifiers on DATA: one row for each cached layer and classifier.

    The row marked * won the cross-validation inside the training part; the held-out part was read once for each row.
    Rows marked = cannot be told apart from it on these images. Only features of the images of DATA count, whatever
    else is in the cache.

    \b
    Example:
      featx compare photos --base resnet50 --clf logreg --clf svm --csv table.csv
      featx compare photos --base resnet50 --base hog --base lbp
      featx compare photos --base resnet50 --nested --repeats 3
      featx compare photos --base resnet50 --clf logreg --shots 1,2,5,10,20
    """
    if "all" in classifiers:
        classifiers = ()
    request = CompareRequest(data, base, layers, classifiers, poolings, **options)
    from featx.files import write_text
    from featx.reports.html.charts_of_rows import draw_depths
    from featx.reports.html.figure import check_chart
    from featx.reports.table import check_column, sort_results, terminal_width, to_csv
    from featx.reports.table_few_labels import few_labels_to_csv
    from featx.workflows.compare import compare_rows

    check_column(sort)
    if plot:
        check_chart(plot)

    with progress_bar("fit", quiet) as progress:
        report = compare_rows(request, progress)
    rows = report.rows
    if sort:
        rows = sort_results(rows, sort)
    if plot:
        draw_depths(report.rows, plot)
    if report_file:
        from featx.api.reports import report_comparison

        with progress_bar("picture", quiet) as progress:
            say_report(report_comparison(request, report_file, progress), err=True)
    if csv_file:
        write_text(csv_file, to_csv(rows))
        if report.few_labels:
            write_text(name_shots_file(csv_file), few_labels_to_csv(report.few_labels))
    if as_json:
        further = report.further()
        values = [row.to_dict() for row in rows]
        print_json({"rows": values, **further} if further else values)
        return
    show(report, rows, markdown, None if wide or markdown else terminal_width())


def show(report: ComparisonReport, rows: Sequence[TableRow], markdown: bool, width: int | None) -> None:
    """Print the tables, and what they come to.

    Parameters
    ----------
    rows : sequence of TableRow
        In the order in which they are shown.
    markdown : bool
        Whether it is for other programs, which want tables only.
    width : int or None
        Characters in a line.
    """
    from featx.reports.closing import closing_lines
    from featx.reports.table import table
    from featx.reports.table_few_labels import few_labels_table

    style = "github" if markdown else "simple"
    say = say_text if markdown else say_table
    say(table(rows, style, width, report.nested))
    if report.few_labels:
        say_text("\n" + few_labels_table(report.few_labels, style, width))
    if not markdown:
        say_text("\n" + "\n".join(closing_lines(report.rows, report.depths)))
