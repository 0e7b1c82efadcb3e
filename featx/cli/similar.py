"""`featx similar`: the nearest pictures of a data set to some images."""

from __future__ import annotations

import sys
from typing import Any

import click

from featx.base_choice import BaseChoice
from featx.cli.cache_options import feature_cache_options
from featx.cli.data_options import exclude_option, labelled_data
from featx.cli.options import POOLINGS_IN_WORDS, base_options, cached_dtype_option, output_options, print_json
from featx.cli.progress import progress_bar
from featx.cli.terminal import say_line, say_text
from featx.requests import SimilarRequest


@click.command("similar")
@labelled_data
@click.argument("images", nargs=-1, required=True)
@base_options
@click.option(
    "--layer", "-l", help="Layer to compare by, by name or alias; a+b for several.  [default: the deepest cached]"
)
@click.option("--pooling", help=f"Pooling of the layer: {POOLINGS_IN_WORDS}.  [default: what is cached]")
@cached_dtype_option
@click.option("--k", type=click.IntRange(min=1), default=5, show_default=True, help="Pictures to show of each image.")
@click.option("--device", default="auto", show_default=True, help="Device to compute images on that are not cached.")
@exclude_option
@feature_cache_options
@output_options
def command(data: str, images: tuple[str, ...], base: BaseChoice, as_json: bool, quiet: bool, **options: Any) -> None:
    """Show the pictures of DATA that are nearest to IMAGES, with their labels, by cosine between cached features.

    Every picture is compared. IMAGES that have no features yet are extracted.

    \b
    Example:
      featx similar photos new.jpg --base resnet50 --k 10
    """
    request = SimilarRequest(data, base, images=images, **options)
    from featx.reports.classes import align
    from featx.workflows.similar import find_similar

    with progress_bar("image", quiet) as progress:
        report = find_similar(request, progress)
    if as_json:
        print_json(report.to_dict())
    else:
        rows = []
        for image in report.images:
            rows += [(image.path, f"{near.similarity:.3f}", near.label, near.path) for near in image.neighbours]
        say_text(align(rows, ("image", "cosine", "label", "nearest")))
    for file in report.failed:
        say_line(f"failed: {file.path}: {file.reason}", err=True)
    sys.exit(1 if report.failed else 0)
