"""`featx finetune`: a head on the frozen base, then the stages from one on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featx.cli.options import (
    base_options,
    cache_option,
    data_argument,
    json_option,
    print_json,
    progress_bar,
    rehash_option,
    seed_option,
    verbosity_options,
)
from featx.requests import BaseChoice, FinetuneRequest

if TYPE_CHECKING:
    from featx.finetuning.schedule import TrainingState
    from featx.workflows.finetune import Tuned

COUNT = click.IntRange(min=1)
RATE = click.FloatRange(min=0, min_open=True)


@click.command("finetune")
@data_argument
@base_options
@click.option("--from", "start", required=True, help="First stage to unfreeze, by name or alias; or how many stages.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The model: NAME.featx.")
@click.option("--head", default="linear", show_default=True, help="linear, or mlp (hidden layer, ReLU, dropout).")
@click.option("--hidden", type=COUNT, default=256, show_default=True, help="Width of the mlp's hidden layer.")
@click.option("--dropout", type=click.FloatRange(0, 1, max_open=True), default=0.5, show_default=True)
@click.option("--augment", default="light", show_default=True, help="none, light or standard.")
@click.option("--views", type=COUNT, default=6, show_default=True, help="Views the head trains on; 1: no augmentation.")
@click.option("--test-views", type=COUNT, default=1, show_default=True, help="Views that are averaged in testing.")
@click.option("--from-cache", is_flag=True, help="Epochs run on cached activations at the cut: --views, no --augment.")
@click.option("--epochs-head", type=click.IntRange(min=0), default=40, show_default=True, help="Of the mlp, at most.")
@click.option("--epochs", type=click.IntRange(min=0), default=20, show_default=True, help="With stages, at most.")
@click.option("--patience", type=COUNT, default=6, show_default=True, help="Epochs without improvement.")
@click.option("--lr-head", type=RATE, default=1e-3, show_default=True, help="Learning rate of the mlp alone.")
@click.option("--lr", type=RATE, default=1e-4, show_default=True, help="Learning rate once stages are unfrozen.")
@click.option("--lr-decay", type=click.FloatRange(0, 1, min_open=True), default=0.9, show_default=True, help="A stage.")
@click.option("--whole", is_flag=True, help="With the epochs chosen, train again on the whole training part.")
@click.option(
    "--keep", default="proven", show_default=True, help="proven: better than the frozen base beyond chance; or best."
)
@click.option("--thaw-batchnorm", is_flag=True, help="Let running statistics of BatchNorm change, too.")
@click.option("--batch-size", type=COUNT, default=32, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option("--workers", type=COUNT, help="Threads that decode images.  [default: by machine]")
@seed_option
@rehash_option
@cache_option
@json_option
@verbosity_options
def command(data: str, base: BaseChoice, as_json: bool, quiet: bool, **options: Any) -> None:
    """Train a head on the frozen base, then unfreeze the stages from one on and train them with a small rate.

    What the frozen base computes is taken from the cache, and extracted first where it lacks. Stopped at any moment,
    the same command goes on after the last whole epoch. The model is for `featx predict MODEL`, and its base is a base
    again: `featx extract --weights MODEL`.

    \b
    Example:
      featx finetune photos --base resnet50 --from layer4 --out photos.featx
    """
    request = FinetuneRequest(data, base, **options)
    tuned, failed = run(request, quiet)
    if as_json:
        print_json({**tuned.to_dict(), "model": str(request.out)})
    else:
        show(tuned, request.out)
    for path, reason in tuned.skipped.items():
        click.echo(f"skipped: {path}: {reason}", err=True)
    if tuned.stopped:
        click.echo(f"error: {tuned.stopped}", err=True)
    sys.exit(1 if failed or tuned.skipped or tuned.stopped else 0)


def run(request: FinetuneRequest, quiet: bool) -> tuple[Tuned, int]:
    """Extract what the cache lacks, then fine-tune: what came of it, and how many images failed."""
    from featx.finetuning.plan import plan
    from featx.workflows.extract import extract
    from featx.workflows.finetune import extractions, finetune

    failed = 0
    for extraction in extractions(request, plan(request)):
        with progress_bar("image", quiet) as progress:
            summary = extract(extraction, progress)
        failed = len(summary.failed)
    return finetune(request, None if quiet else report), failed


def report(phase: str, progress: TrainingState, loss: float, accuracy: float) -> None:
    """Say how an epoch went, on stderr."""
    best = " *" if progress.best_epoch == progress.epoch else ""
    seconds = progress.seconds[-1]
    click.echo(
        f"{phase} {progress.epoch}: validation loss {loss:.4f}, accuracy {accuracy:.4f}, {seconds:.1f} s{best}",
        err=True,
    )


def show(tuned: Tuned, out: Path) -> None:
    """Print both phases in words and tables."""
    from featx.reports.classes import class_table, confusion_table, mistake_lines
    from featx.reports.table import sentence

    for title, outcome in (("Frozen base", tuned.head), ("Fine-tuned", tuned.finetuned)):
        click.echo(f"{title}: {sentence(outcome.result)}\n\n{class_table(outcome.per_class)}\n")
    if doubted := tuned.progress.doubted:
        click.echo(
            f"Epoch {doubted} was the best, but on {len(tuned.progress.first_right)} validation images no better than "
            "the frozen base beyond chance, so the frozen base was kept (--keep best keeps the epoch).\n"
        )
    click.echo(f"{confusion_table(tuned.finetuned.confusion, tuned.finetuned.classes)}\n")
    click.echo(mistake_lines(tuned.finetuned.mistakes))
    click.echo(f"\nThe model is '{out}': featx predict {out} IMAGES, or --weights {out} wherever a base is asked for.")
