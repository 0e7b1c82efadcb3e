"""`featx predict`: label new images with a model."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from featx.cli.options import json_option, print_json, progress_bar, verbosity_options
from featx.requests import PredictRequest


@click.command("predict")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True)
@click.option("--base", help="The Python file that the model's base is, if it is one: it is run.")
@click.option("--weights", help="Weights of the base: name, file or 'random'.  [default: as the model names them]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Images a forward pass.  [default: by device]")
@click.option("--workers", type=click.IntRange(min=1), help="Threads that decode images.  [default: by machine]")
@click.option(
    "--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the labels as CSV, too."
)
@json_option
@verbosity_options
def command(
    model: Path,
    images: tuple[str, ...],
    base: str | None,
    weights: str | None,
    device: str,
    batch_size: int | None,
    workers: int | None,
    csv_file: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Label IMAGES, files or whole folders, with a MODEL that featx fit --out wrote.

    Probabilities of logreg and mlp are the softmax of their scores; those of svm are calibrated on the margins that
    cross-validation gave in the training part. Broken images are named, the others labelled; the exit code is 1 then.

    \b
    Example:
      featx predict model.featx photos/new --csv labels.csv
    """
    request = PredictRequest(model, images, weights, device, batch_size, workers, base)
    from featx.files import write_text
    from featx.reports.classes import prediction_csv, prediction_table
    from featx.workflows.predict import predict

    with progress_bar("image", quiet) as progress:
        found = predict(request, progress)
    if csv_file:
        write_text(csv_file, prediction_csv([one.to_dict() for one in found.labelled]))
    if as_json:
        print_json([one.to_dict() for one in found.labelled])
    elif found.labelled:
        click.echo(prediction_table([(one.path, one.label, one.probability) for one in found.labelled]))
    for file in found.failed:
        click.echo(f"failed: {file.path}: {file.reason}", err=True)
    sys.exit(1 if found.failed else 0)
