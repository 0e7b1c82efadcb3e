"""`featx predict`: label new images with a model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from featx.cli.data_options import path_column_option
from featx.cli.model_options import model_base_options
from featx.cli.options import UserPath, output_options, print_json
from featx.cli.progress import progress_bar
from featx.cli.terminal import say_line, say_text
from featx.paths import exists, expand_home, explain_absence
from featx.requests import PredictRequest
from featx.storage.paths import is_object_url

if TYPE_CHECKING:
    from featx.data.listing import FailedImage

STDIN = "-"
"""Stands for a list of paths on stdin."""

MOST_EXPLAINED = 20
"""Paths that are not there of which it is said what may be meant: each takes a look into its folder."""


@click.command("predict")
@click.argument("model", type=UserPath())
@click.argument("images", nargs=-1, required=True)
@path_column_option
@model_base_options
@click.option(
    "--device", default="auto", show_default=True, help="Device to compute on: auto, cpu, cuda, cuda:1 or mps."
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Images of one forward pass.  [default: by device]")
@click.option("--workers", type=click.IntRange(min=1), help="Threads that decode images.  [default: number of cores]")
@click.option(
    "--reject",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="RATE",
    help="Label pictures 'unknown' that are stranger than all but this share of known ones, such as 0.05."
    "  [default: off]",
)
@click.option(
    "--set",
    "sets",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="PROBABILITY",
    help="Name the classes among which the true one is with this probability, such as 0.9.  [default: off]",
)
@click.option("--csv", "csv_file", type=UserPath(dir_okay=False), help="Also write the labels to this CSV file.")
@output_options
def command(
    model: Path,
    images: tuple[str, ...],
    path_column: str | None,
    base: str | None,
    weights: str | None,
    yes: bool,
    device: str,
    batch_size: int | None,
    workers: int | None,
    reject: float | None,
    sets: float | None,
    csv_file: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Label IMAGES with a MODEL that featx fit, featx finetune or featx export wrote.

    IMAGES are files, whole folders, zip and tar files, Parquet files with images, tables that list files (.csv, .tsv or
    .jsonl with a column "path"), addresses (https://) of images or tables, or - for such a list on stdin: one path a
    line, or a table. Labels are ignored.

    Probabilities of logreg and mlp are the softmax of their scores; those of svm are calibrated on margins from
    cross-validation in the training part. Broken images are listed with the reason, also in --json and --csv, and the
    others are labelled; the exit code is 1 then.

    Strangeness is the share of known pictures that are less strange, and above 1 where none is as strange.

    A .onnx file is run by ONNX Runtime on the CPU, without torch; it tells no strangers.

    \b
    Example:
      featx predict model.featx photos/new --csv labels.csv
      find photos -name '*.jpg' | featx predict model.featx -
    """
    images = replace_stdin(images, path_column)
    prepare_imports(model)
    request = PredictRequest(model, images, weights, device, batch_size, workers, base, path_column, yes, reject, sets)
    from featx.files import write_text
    from featx.reports.classes import prediction_csv, prediction_table
    from featx.workflows.predict import label_images

    with progress_bar("image", quiet) as progress:
        predictions = label_images(request, progress)
    entries = predictions.to_dicts()
    if csv_file:
        write_text(csv_file, prediction_csv(entries, predictions.classes))
    if as_json:
        print_json(entries)
    elif predictions.labelled:
        say_text(prediction_table(entries))
    if not quiet:
        for note in predictions.notes:
            say_line(f"note: {note}", err=True)
    for number, file in enumerate(predictions.failed):
        is_given = number < MOST_EXPLAINED and file.path in map(expand_home, images)
        reason = explain_failure(file) if is_given else file.reason
        say_line(f"failed: {file.path}: {reason}", err=True)
    sys.exit(1 if predictions.failed else 0)


def explain_failure(file: FailedImage) -> str:
    """Say why what was named on the command line has no label; of a path that is not there, what may be meant."""
    if exists(file.path) or is_object_url(file.path):
        return file.reason
    return f"is neither a file nor a folder. {explain_absence(file.path)}".strip()


def prepare_imports(model: Path) -> None:
    """Import torchvision without what it takes half of its time for; for ONNX models nothing of torch is imported."""
    from featx.models.onnx.model import is_onnx_file

    if not is_onnx_file(model):
        from featx.bases.architectures.fast_torchvision import import_without_compiler

        import_without_compiler()


def replace_stdin(images: tuple[str, ...], path_column: str | None) -> tuple[str, ...]:
    """Put the paths that are listed on stdin in the place of "-"."""
    if STDIN not in images:
        return images
    from featx.data.path_lists import read_stdin

    listed = read_stdin(sys.stdin.buffer.read(), path_column)
    replaced: list[str] = []
    for image in images:
        replaced += listed if image == STDIN else [image]
        # What is read is read: a second "-" would stand for nothing.
        listed = [] if image == STDIN else listed
    if not replaced:
        raise click.UsageError("stdin lists no images: write one path a line")
    return tuple(replaced)
