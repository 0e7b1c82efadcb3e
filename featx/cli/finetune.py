"""`featx finetune`: a head on the frozen base, then the last stages together with it."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featx.base_choice import BaseChoice
from featx.cli.cache_options import feature_cache_options
from featx.cli.data_options import grouped_data
from featx.cli.options import (
    UserPath,
    base_options,
    class_weight_option,
    output_options,
    predict_command,
    print_json,
    seed_option,
)
from featx.cli.progress import progress_bar
from featx.cli.terminal import say_line, say_text
from featx.requests import FinetuneRequest
from featx.timing import format_seconds

if TYPE_CHECKING:
    from featx.finetuning.schedule import TrainingState
    from featx.workflows.finetune import FinetuneReport

COUNT = click.IntRange(min=1)
RATE = click.FloatRange(min=0, min_open=True)


@click.command("finetune")
@grouped_data
@base_options
@click.option(
    "--from",
    "start",
    required=True,
    help="First stage to unfreeze, by name or alias; or how many stages, counted from the end.",
)
@click.option("--out", required=True, type=UserPath(dir_okay=False), help="Model file to write: NAME.featx.")
@click.option(
    "--head", default="linear", show_default=True, help="Kind of head: linear, or mlp (hidden layer, ReLU, dropout)."
)
@click.option("--hidden", type=COUNT, default=256, show_default=True, help="Width of the MLP head's hidden layer.")
@click.option(
    "--dropout",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.5,
    show_default=True,
    help="Share of the output layer's inputs dropped in each training step.",
)
@click.option(
    "--augment",
    default="light",
    show_default=True,
    help="Augmentation of images in fine-tuning: none, light or standard.",
)
@click.option(
    "--views",
    type=COUNT,
    default=6,
    show_default=True,
    help="Views of each image that the head trains on; 1 is no augmentation.",
)
@click.option(
    "--test-views", type=COUNT, default=1, show_default=True, help="Views of each test image whose scores are averaged."
)
@click.option(
    "--from-cache",
    is_flag=True,
    help="Fine-tune on cached activations at the cut, in --views, instead of on images with --augment.",
)
@click.option(
    "--epochs-head", type=click.IntRange(min=0), default=40, show_default=True, help="Maximum epochs for the MLP head."
)
@click.option("--epochs", type=click.IntRange(min=0), default=20, show_default=True, help="Maximum fine-tuning epochs.")
@click.option(
    "--patience",
    type=COUNT,
    default=6,
    show_default=True,
    help="Epochs without improvement after which training stops.",
)
@click.option(
    "--lr-head",
    type=RATE,
    default=1e-3,
    show_default=True,
    help="Peak learning rate while only the MLP head is trained.",
)
@click.option("--lr", type=RATE, default=1e-4, show_default=True, help="Peak learning rate once stages are unfrozen.")
@click.option(
    "--lr-decay",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.9,
    show_default=True,
    help="Learning-rate factor per stage below the head.",
)
@click.option(
    "--whole",
    is_flag=True,
    help="Train again on the training and validation parts, for as many epochs as validation chose.",
)
@click.option(
    "--keep",
    default="proven",
    show_default=True,
    help="Epoch to keep: proven (only if it beats the frozen base beyond chance) or best.",
)
@click.option(
    "--thaw-batchnorm", is_flag=True, help="Let the running statistics of BatchNorm in unfrozen stages change, too."
)
@click.option("--batch-size", type=COUNT, default=32, show_default=True, help="Images per training step.")
@click.option("--device", default="auto", show_default=True, help="Device to train on: auto, cpu, cuda, cuda:1 or mps.")
@click.option("--workers", type=COUNT, help="Threads that decode images.  [default: number of cores]")
@class_weight_option
@seed_option
@feature_cache_options
@output_options
def command(data: str, base: BaseChoice, as_json: bool, quiet: bool, **options: Any) -> None:
    """Train a head on the frozen base, then unfreeze its last stages and train them with the head at a low rate.

    Features of the frozen base are taken from the cache; missing ones are extracted first. If the command is stopped,
    the same command resumes after the last complete epoch. The model file is for `featx predict MODEL`, and as it
    holds its base, also for `featx extract --weights MODEL`.

    \b
    Example:
      featx finetune photos --base resnet50 --from layer4 --out photos.featx
    """
    request = FinetuneRequest(data, base, **options)
    report = extract_and_finetune(request, quiet)
    if as_json:
        print_json({**report.to_dict(), "model": str(request.out)})
    else:
        show_phases(report, request.out, base.name)
    name_problems(report)
    sys.exit(1 if has_problems(report) else 0)


def extract_and_finetune(request: FinetuneRequest, quiet: bool) -> FinetuneReport:
    """Extract what the cache lacks with a progress bar, then fine-tune with a line for each epoch."""
    from featx.api.models import extract_needed
    from featx.finetuning.plan import plan
    from featx.workflows.finetune import finetune_base

    unfreeze_plan = plan(request)
    with progress_bar("image", quiet) as progress:
        failed = extract_needed(request, unfreeze_plan, progress)
    report = finetune_base(request, None if quiet else report_epoch, unfreeze_plan=unfreeze_plan)
    return replace(report, failed=failed)


def name_problems(report: FinetuneReport) -> None:
    """Name on stderr what went wrong: images that failed or broke on the way, and why training stopped."""
    for image in report.failed:
        say_line(f"failed: {image.path}: {image.reason}", err=True)
    for path, reason in report.skipped.items():
        say_line(f"skipped: {path}: {reason}", err=True)
    if report.stopped:
        say_line(f"error: {report.stopped}", err=True)


def has_problems(report: FinetuneReport) -> bool:
    """Whether images failed, in extraction or later, or training went wrong."""
    return bool(report.failed or report.skipped or report.stopped)


def report_epoch(phase: str, progress: TrainingState, loss: float, accuracy: float) -> None:
    """Say how an epoch went, on stderr."""
    best = " *" if progress.best_epoch == progress.epoch else ""
    seconds = format_seconds(progress.seconds[-1], 1)
    say_line(
        f"{phase} {progress.epoch}: validation loss {loss:.4f}, accuracy {accuracy:.4f}, {seconds}{best}",
        err=True,
    )


def show_phases(finetuned: FinetuneReport, out: Path, base: str) -> None:
    """Print both phases in words and tables."""
    from featx.reports.classes import class_table, confusion_table, mistake_lines
    from featx.reports.table import sentence

    after = finetuned.finetuned
    for title, fit_report in (("Frozen base", finetuned.head), ("Fine-tuned", after)):
        say_text(f"{title}: {sentence(fit_report.result)}\n\n{class_table(fit_report.per_class)}\n")
    progress = finetuned.progress
    if progress.rejected_epoch:
        images = len(progress.first_correct)
        say_text(
            f"Epoch {progress.rejected_epoch} was the best, but its lead over the frozen base on {images} validation "
            "images may be chance, so the frozen base was kept (--keep best keeps the epoch).\n"
        )
    say_text(f"{confusion_table(after.confusion, after.classes)}\n")
    say_text(mistake_lines(after.mistakes))
    weights = shlex.quote(str(out.resolve()))
    say_text("")
    say_line(f"The model is '{out}'. Label new images with: {predict_command(out, base)}")
    say_line(f"Any command that takes --base takes it as --weights {weights}.")
