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
@click.option(
    "--base", help="Python file defining the base (needed, and executed, only for models trained on such a file)."
)
@click.option("--weights", help="Weights of the base: name, file or 'random'.  [default: those that the model names]")
@click.option(
    "--device", default="auto", show_default=True, help="Device to compute on: auto, cpu, cuda, cuda:1 or mps."
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Images of one forward pass.  [default: by device]")
@click.option("--workers", type=click.IntRange(min=1), help="Threads that decode images.  [default: one a core]")
@click.option(
    "--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the labels to this CSV file."
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
    """Label IMAGES, which are files or whole folders, with a MODEL that featx fit or featx finetune wrote.

    Probabilities of logreg and mlp are the softmax of their scores; those of svm are calibrated on margins from
    cross-validation in the training part. Broken images are listed with the reason and the others are labelled; the
    exit code is 1 then.

    \b
    Example:
      featx predict model.featx photos/new --csv labels.csv
    """
    request = PredictRequest(model, images, weights, device, batch_size, workers, base)
    from featx.files import write_text
    from featx.reports.classes import prediction_csv, prediction_table
    from featx.workflows.predict import label_images

    with progress_bar("image", quiet) as progress:
        predictions = label_images(request, progress)
    labelled = [image.to_dict() for image in predictions.labelled]
    if csv_file:
        write_text(csv_file, prediction_csv(labelled))
    if as_json:
        print_json(labelled)
    elif labelled:
        rows = [(image.path, image.label, image.probability) for image in predictions.labelled]
        click.echo(prediction_table(rows))
    if not quiet:
        for note in predictions.notes:
            click.echo(note, err=True)
    for file in predictions.failed:
        click.echo(f"failed: {file.path}: {file.reason}", err=True)
    sys.exit(1 if predictions.failed else 0)
