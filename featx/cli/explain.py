"""`featx explain`: where in a picture the evidence for its class lies."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from featx.cli.model_options import model_base_options
from featx.cli.options import UserPath, output_options, print_json
from featx.cli.progress import progress_bar
from featx.cli.terminal import say_line, say_text
from featx.requests import ExplainRequest


@click.command("explain")
@click.argument("model", type=UserPath())
@click.argument("images", nargs=-1)
@click.option("--out", type=UserPath(file_okay=False), help="Folder for the pictures with their maps.")
@click.option("--class", "label", metavar="NAME", help="Class to explain.  [default: the most probable one]")
@click.option("--channels", is_flag=True, help="Instead, list the channels that speak most for each class.")
@model_base_options
@output_options
def command(
    model: Path,
    images: tuple[str, ...],
    out: Path | None,
    label: str | None,
    channels: bool,
    base: str | None,
    weights: str | None,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show where in IMAGES a MODEL finds the evidence for a class.

    Each picture is written as the base sees it and, beside it, with red where evidence speaks for the class and blue
    where it speaks against it. For logreg and svm on averaged layers the map is exact: its mean and the intercept are
    the score. For other poolings and the MLP it is the gradient times the activation.

    \b
    Example:
      featx explain model.featx photos/new.jpg --out maps
      featx explain model.featx --channels
    """
    if not channels and (not images or out is None):
        raise click.UsageError("name images and a folder for their maps with --out, or add --channels")
    request = ExplainRequest(model, images, weights, base=base, yes=yes, out=out, label=label)
    from featx.reports.classes import align
    from featx.workflows.explain import explain_images, list_channels

    if channels:
        effects = list_channels(request)
        if as_json:
            print_json([{"class": each.label, **vars(each), "label": each.label} for each in effects])
        else:
            rows = [(each.label, each.layer, str(each.channel), f"{each.effect:.3f}") for each in effects]
            say_text(align(rows, ("class", "layer", "channel", "effect")))
        return
    with progress_bar("image", quiet) as progress:
        explanations = explain_images(request, progress)
    if as_json:
        print_json(explanations.to_dict())
    else:
        lines = []
        for each in explanations.explained:
            lines += [(each.path, each.label, f"{each.probability:.3f}", each.method, each.file)]
        say_text(align(lines, ("path", "class", "probability", "map", "file")))
    for file in explanations.failed:
        say_line(f"failed: {file.path}: {file.reason}", err=True)
    sys.exit(1 if explanations.failed else 0)
