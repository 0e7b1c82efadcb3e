"""`featx score`: how well a saved model labels images whose labels are known."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featx.cli.data_options import labelled_data
from featx.cli.model_options import model_base_options
from featx.cli.options import UserPath, output_options, print_json
from featx.cli.progress import progress_bar
from featx.cli.terminal import say_line, say_text
from featx.requests import ScoreRequest

if TYPE_CHECKING:
    from featx.workflows.score import ScoreReport


@click.command("score")
@click.argument("model", type=UserPath())
@labelled_data
@click.option(
    "--split",
    type=click.Choice(["auto", "train", "val", "test", "all"]),
    default="auto",
    show_default=True,
    help="Part to score where DATA names splits; auto: test, else val, else all.",
)
@model_base_options
@click.option(
    "--device", default="auto", show_default=True, help="Device to compute on: auto, cpu, cuda, cuda:1 or mps."
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Images of one forward pass.  [default: by device]")
@click.option("--workers", type=click.IntRange(min=1), help="Threads that decode images.  [default: one a core]")
@click.option(
    "--csv",
    "csv_file",
    type=UserPath(dir_okay=False),
    help="Also write label and prediction of every image to this CSV file.",
)
@output_options
def command(model: Path, data: str, csv_file: Path | None, as_json: bool, quiet: bool, **options: Any) -> None:
    """Score a MODEL that featx fit or featx finetune wrote on the labelled images of DATA.

    DATA is whatever featx extract takes: a folder with class folders, a CSV file and so on. Images of classes that
    the model does not know are left out and named. Images that were trained on say nothing about new ones: give others.

    \b
    Example:
      featx score model.featx photos/new
    """
    request = ScoreRequest(model, data, **options)
    from featx.files import write_text
    from featx.reports.classes import scored_csv
    from featx.workflows.score import score_model

    with progress_bar("image", quiet) as progress:
        report = score_model(request, progress)
    if csv_file:
        write_text(csv_file, scored_csv(report.images, [(file.path, file.reason) for file in report.failed]))
    if as_json:
        print_json({**report.to_dict(), "model": str(model)})
    else:
        print_score(report, model)
    for file in report.failed:
        say_line(f"failed: {file.path}: {file.reason}", err=True)
    sys.exit(1 if report.failed else 0)


def print_score(report: ScoreReport, model: Path) -> None:
    """Print a report in words and tables."""
    from featx.reports.classes import class_table, confusion_table, mistake_lines
    from featx.reports.table import further_figures, score_sentence

    say_line(f"'{model}': {score_sentence(report.result)}")
    say_line(further_figures(report.result))
    scores = report.model.scores
    if "test_accuracy" in scores and "n_test" in scores:
        say_line(f"When it was fitted: {scores['test_accuracy']:.3f} on {scores['n_test']} held-out images")
    say_text(f"\n{class_table(report.per_class)}\n")
    say_text(f"{confusion_table(report.confusion, report.classes)}\n")
    say_text(mistake_lines(report.mistakes) if report.mistakes else "No mistakes.")
