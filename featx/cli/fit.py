"""`featx fit`: one classifier on one cached layer, or on several concatenated."""

from __future__ import annotations

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
    base_options,
    class_weight_option,
    output_options,
    pooling_option,
    predict_command,
    print_json,
    take_one,
)
from featx.cli.progress import progress_bar, waiting
from featx.cli.report_option import report_option, say_report
from featx.cli.terminal import say_line, say_text
from featx.requests import CompareRequest

if TYPE_CHECKING:
    from featx.evaluation.fit_report import FitReport


@click.command("fit")
@grouped_data
@base_options
@click.option(
    "--layer",
    "-l",
    required=True,
    multiple=True,
    callback=take_one,
    help="Layer, by name or alias; layer3+layer4 concatenates several.",
)
@click.option(
    "--clf", required=True, multiple=True, callback=take_one, help="Classifier: logreg, svm, mlp, knn or dummy."
)
@pooling_option
@evaluation_options
@click.option("--out", type=UserPath(dir_okay=False), help="Write the model for featx predict.")
@report_option
@click.option(
    "--with-base", is_flag=True, help="Put the weights of the base into the model, too: one file predicts anywhere."
)
@click.option(
    "--whole",
    is_flag=True,
    help="Train the model on all images in the end; all figures stay those of the held-out part.",
)
@class_weight_option
@nested_options
@fitting_options
@runner_option
@exclude_option
@fit_cache_options
@output_options
def command(
    data: str,
    base: BaseChoice,
    layer: str,
    clf: str,
    pooling: str,
    out: Path | None,
    with_base: bool,
    whole: bool,
    report_file: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Train one classifier on a cached layer of DATA and evaluate it on the held-out part.

    \b
    Example:
      featx fit photos --base resnet50 --layer layer3 --clf svm --out model.featx
    """
    if with_base and out is None:
        raise click.UsageError("--with-base says what the model file holds: name the file with --out")
    if whole and out is None:
        raise click.UsageError("--whole says what the model is trained on: name its file with --out")
    request = CompareRequest(data, base, (layer,), (clf,), (pooling,), **options)
    from featx.workflows.fit import fit_classifier

    # Without a file to write, a request that was answered before needs no training.
    keep_model = out is not None or report_file is not None
    with waiting("fitting", quiet):
        report = fit_classifier(request, keep_model=keep_model, with_base=with_base, whole=whole)
    if out:
        report.model.save(out)
    if report_file:
        from featx.api.reports import report_fit

        with progress_bar("picture", quiet) as progress:
            say_report(report_fit(request, report_file, report.model, progress), err=True)
    if as_json:
        print_json({**report.to_dict(), "model": str(out) if out else None})
    else:
        show(report, out, base.name)


def show(report: FitReport, out: Path | None, base: str) -> None:
    """Print a report in words and tables."""
    from featx.reports.classes import class_table, confusion_table, mistake_lines
    from featx.reports.table import further_figures, sentence
    from featx.reports.table_nested import nested_sentence

    say_line(sentence(report.result))
    say_line(further_figures(report.result))
    if report.nested:
        say_line(nested_sentence(report.nested.result, report.nested.report))
        say_line(f"note: {report.nested.report.interval}")
    for note in (*report.result.notes, *report.result.data_notes):
        say_line(f"note: {note}")
    say_text(f"\n{class_table(report.per_class)}\n")
    say_text(f"{confusion_table(report.confusion, report.classes)}\n")
    say_text(mistake_lines(report.mistakes))
    if out:
        say_text("")
        command = predict_command(out, base, report.model.weights_file)
        say_line(f"The model is '{out}'. Label new images with: {command}")
