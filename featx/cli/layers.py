"""`featx layers`: the layer table of a base."""

from __future__ import annotations

import click

from featx.cli.options import output_options, print_json
from featx.cli.progress import waiting
from featx.cli.terminal import say_text


@click.command("layers")
@click.argument("base")
@click.option("--weights", help="Named weights whose input size to assume (nothing is loaded).")
@click.option("--crop", type=click.IntRange(min=1), help="Side of the image in pixels.  [default: the base's own]")
@output_options
def command(base: str, weights: str | None, crop: int | None, as_json: bool, quiet: bool) -> None:
    """Show what each layer of BASE gives and costs, to help you choose where to cut.

    Needs no weights, no network and no images. 'field' is the receptive field in pixels, 'time' the share of the
    forward pass up to each layer on one thread of this machine's CPU, and the last columns are the bytes that an image
    takes in the cache, by pooling.

    \b
    Example:
      featx layers resnet50
    """
    from featx.base_choice import BaseChoice
    from featx.bases.layer_table import layer_table
    from featx.bases.registry import resolve
    from featx.reports.layers import format_layer_table

    with waiting("measuring", quiet):
        rows = layer_table(resolve(BaseChoice(base, weights, crop=crop)))
    if as_json:
        print_json([row.to_dict() for row in rows])
    else:
        say_text(format_layer_table(rows))
