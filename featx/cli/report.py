"""`featx report`: one HTML page on what was evaluated, that opens offline and can be sent on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from featx.base_choice import BaseChoice
from featx.cli.cache_options import fit_cache_options
from featx.cli.data_options import grouped_data
from featx.cli.evaluation_options import evaluation_options, fitting_options
from featx.cli.nested_options import nested_options
from featx.cli.options import (
    UserPath,
    class_weight_option,
    format_count,
    output_options,
    poolings_option,
    print_json,
    several_bases,
)
from featx.cli.progress import progress_bar
from featx.cli.report_option import say_report
from featx.cli.shot_options import shot_options
from featx.cli.terminal import say_line
from featx.requests import CompareRequest, ReportRequest
from featx.requests.reporting import MOST_IMAGES, MOST_MEGABYTES

if TYPE_CHECKING:
    from featx.reports.html.look import Tools

R = TypeVar("R")


@click.command("report")
@grouped_data
@several_bases
@click.option(
    "--layer",
    "-l",
    "layers",
    multiple=True,
    help="Layer, or layers joined by +; repeatable.  [default: all that were evaluated]",
)
@click.option("--clf", "classifiers", multiple=True, help="Classifier; repeatable.  [default: all that were evaluated]")
@click.option("--model", type=UserPath(dir_okay=False), help="Show this model in detail.  [default: the best row]")
@click.option(
    "--out",
    type=UserPath(dir_okay=False),
    default=Path("report.html"),
    show_default=True,
    help="The page to be written.",
)
@click.option("--no-images", is_flag=True, help="Show no pictures: images are named by their paths.")
@click.option("--anonymous", is_flag=True, help="Show no pictures, no paths and no name of the data set.")
@click.option(
    "--max-images",
    type=click.IntRange(min=0),
    default=MOST_IMAGES,
    show_default=True,
    help="Pictures in the page at most; what is left out is said.",
)
@click.option(
    "--max-mb",
    type=click.FloatRange(min=0, min_open=True),
    default=MOST_MEGABYTES,
    show_default=True,
    help="Size of the page in MB at most; pictures are left out to keep to it.",
)
@click.option(
    "--figures", type=UserPath(file_okay=False), help="Also write the charts into this folder, as SVG and PNG."
)
@click.option("--no-inspect", is_flag=True, help="Do not look for copies, suspect labels, strangers and shortcuts.")
@poolings_option
@evaluation_options
@class_weight_option
@nested_options
@shot_options
@fitting_options
@fit_cache_options
@output_options
def command(
    data: str,
    base: BaseChoice,
    layers: tuple[str, ...],
    classifiers: tuple[str, ...],
    model: Path | None,
    out: Path,
    no_images: bool,
    anonymous: bool,
    max_images: int,
    max_mb: float,
    figures: Path | None,
    no_inspect: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Write one HTML page on what was evaluated on DATA: verdict, table, mistakes, confusion matrix, classes, and more.

    The page holds everything that it shows, opens offline and asks for nothing. It is made of results, features and
    pictures that are there; what lacks is said, with the command that brings it. Where no result is there yet, the
    usual classifiers are evaluated on every cached layer, as featx compare does.

    \b
    Example:
      featx report photos --base resnet50 --out report.html
      featx report photos --base resnet50 --anonymous --figures charts
    """
    features = CompareRequest(data, base, layers, classifiers, **options)
    request = ReportRequest(features, out, model, not no_images, anonymous, max_images, max_mb, figures, not no_inspect)
    from featx.workflows.report import write_report

    with progress_bar("step", quiet) as progress:
        summary = write_report(request, progress, tools=prepare_tools(request))
    if as_json:
        print_json(summary.to_dict())
        return
    say_report(summary)
    if summary.figures:
        say_line(f"Charts: {format_count(len(summary.figures), 'file')} in '{figures}'.")


def prepare_tools(request: ReportRequest) -> Tools:
    """Give the tools of a page; what runs networks is imported meanwhile, where pictures are shown."""
    from featx.api.report_tools import find_tools
    from featx.bases.architectures.fast_torchvision import import_without_compiler
    from featx.processes.background import Background

    tools = find_tools()
    if not request.shows_images:
        return tools
    ready = Background(import_without_compiler)

    def when_ready(function: Callable[..., R]) -> Callable[..., R]:
        def wait(*arguments: Any) -> R:
            ready.result()
            return function(*arguments)

        return wait

    return replace(
        tools,
        explain=when_ready(tools.explain) if tools.explain else None,
        answer=when_ready(tools.answer) if tools.answer else None,
    )
