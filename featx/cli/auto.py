"""`featx auto`: the whole job in one command, within a budget of time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from featx.base_choice import BaseChoice
from featx.cli.cache_options import feature_cache_options
from featx.cli.data_options import exclude_option, grouped_data
from featx.cli.evaluation_options import figure_options
from featx.cli.options import (
    UserPath,
    class_weight_option,
    join_options,
    memory_option,
    output_options,
    predict_command,
    print_json,
    seed_option,
    transform_options,
)
from featx.cli.progress import progress_bar
from featx.cli.report_option import report_option, say_report
from featx.cli.terminal import say_line, say_text
from featx.log import escape_controls
from featx.requests import AutoRequest

if TYPE_CHECKING:
    from featx.ladder.report import AutoReport
    from featx.types import Progress

F = TypeVar("F", bound=Callable[..., Any])


def bases_to_choose(command: F) -> F:
    """Let `--base` and `--weights` be given more than once, pair by pair; the command receives `bases`."""

    @wraps(command)
    def with_bases(
        *args: Any, base: tuple[str, ...], weights: tuple[str, ...], transform: dict[str, Any], **kwargs: Any
    ) -> Any:
        if len(weights) > len(base):
            raise click.UsageError(
                f"there are {len(weights)} --weights for {len(base)} --base: give one for each base, in their order"
            )
        named = [*weights, *[None] * (len(base) - len(weights))]
        choices = [BaseChoice(name, of_base, **transform) for name, of_base in zip(base, named, strict=True)]
        return command(*args, bases=tuple(dict.fromkeys(choices)), **kwargs)

    options = join_options(
        click.option(
            "--base", "-b", required=True, multiple=True, help="Name of a base, such as resnet50; repeatable."
        ),
        click.option(
            "--weights",
            multiple=True,
            help="Weights of a base: a published name, a file (.safetensors, .pth) or 'random'; repeatable, the first "
            "of the first --base, and so on.",
        ),
        transform_options,
    )
    return options(with_bases)


@click.command("auto")
@grouped_data
@bases_to_choose
@click.option("--out", type=UserPath(dir_okay=False), help="Write the model for featx predict.")
@report_option
@click.option(
    "--budget",
    default="10m",
    show_default=True,
    metavar="TIME",
    help="Time for the search, such as 90s, 10m or 1h. A step that would overrun it is not begun.",
)
@click.option(
    "--whole",
    is_flag=True,
    help="Train the model on all images in the end; all figures stay those of the held-out part.",
)
@click.option(
    "--with-base", is_flag=True, help="Put the weights of the base into the model, too: one file predicts anywhere."
)
@figure_options
@class_weight_option
@seed_option
@click.option("--device", default="auto", show_default=True, help="Device: auto, cpu, cuda, cuda:1, mps or all.")
@click.option("--workers", type=click.IntRange(min=1), help="Threads that decode images.  [default: number of cores]")
@memory_option
@exclude_option
@feature_cache_options
@output_options
def command(
    data: str, bases: tuple[BaseChoice, ...], report_file: Path | None, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Do the whole job on DATA within a budget of time: extract, choose, evaluate, and write the model.

    Layers, mixes of layers, poolings, views and classifiers are tried step by step, the cheapest first, and compared by
    cross-validation on the training part. The held-out part is read once, at the end. If the command is stopped, the
    same command goes on where it was.

    \b
    Example:
      featx auto photos --base resnet50 --out photos.featx
    """
    request = AutoRequest(data, bases, **options)
    from featx.api.experiments import run_automatically

    report = run_automatically(request, lambda what, unit: watch(what, unit, quiet))
    if report_file:
        from featx.api.reports import report_automatic

        with watch("report", "picture", quiet) as progress:
            say_report(report_automatic(request, report, report_file, progress), err=True)
    if as_json:
        print_json({**report.to_dict(), "model": str(request.out) if request.out else None})
    else:
        show(report, request.out)
    for image in report.failed:
        say_line(f"failed: {image.path}: {image.reason}", err=True)
    sys.exit(1 if report.failed else 0)


@contextmanager
def watch(what: str, unit: str, quiet: bool) -> Iterator[Progress | None]:
    """Say what begins, and show its progress."""
    if not quiet:
        say_line(what, err=True)
    with progress_bar(unit, quiet) as progress:
        yield progress


def show(report: AutoReport, out: Path | None) -> None:
    """Print the ladder, the figures, the model and the next commands."""
    from featx.reports.ladder import describe_auto

    say_text("\n".join(describe_auto(report)))
    say_text("\nThe same by hand:")
    for line in report.commands:
        say_text(f"  {escape_controls(line)}")
    if out:
        command = predict_command(out, report.base, report.model.weights_file)
        say_line(f"The model is '{out}'. Label new images with: {command}")
