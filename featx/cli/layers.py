"""`featx layers`: the layer table of a base."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from featx.cli.options import json_option, print_json, verbosity_options

if TYPE_CHECKING:
    from featx.bases.layer_table import LayerRow


@click.command("layers")
@click.argument("base")
@click.option("--weights", help="Weights by name, where other ones see images of another size; none are loaded.")
@click.option("--crop", type=click.IntRange(min=1), help="Side of the image in pixels.  [default: the base's]")
@json_option
@verbosity_options
def command(base: str, weights: str | None, crop: int | None, as_json: bool, quiet: bool) -> None:
    """Show what each layer of BASE gives and costs, so that a cut can be chosen by looking.

    Needs no weights, no network and no images. 'field' is the receptive field in pixels, 'time' the share of the
    forward pass up to each layer on this machine's CPU, and the last columns are bytes an image takes in the cache.

    \b
    Example:
      featx layers resnet50
    """
    from featx.bases.layer_table import layer_table
    from featx.bases.registry import resolve
    from featx.requests import BaseChoice

    rows = layer_table(resolve(BaseChoice(base, weights, crop=crop)))
    if as_json:
        print_json([row.to_dict() for row in rows])
        return
    click.echo(table(rows))


def table(rows: list[LayerRow]) -> str:
    """Write the layer table, and below it what was estimated."""
    from tabulate import tabulate

    poolings = list(dict.fromkeys(pooling for row in rows for pooling in row.bytes))
    headings = ["", "layer", "alias", "shape", "stride", "field", "parameters", "10^6 multiply-adds", "time", *poolings]
    passed, lines = 0.0, []
    for row in rows:
        passed += row.time_share
        mark = "" if row.time_measured else "~"
        costs = [f"{row.parameters:,}", f"{row.total_multiply_adds / 1e6:,.1f}", f"{mark}{min(1.0, passed):.0%}"]
        size = [row.index, row.name, row.alias, " x ".join(map(str, row.shape)), row.stride or "", row.receptive_field]
        lines.append([*size, *costs, *(f"{row.bytes[name]:,}" if name in row.bytes else "" for name in poolings)])
    aligned = ["right", "left", "left", *["right"] * (len(headings) - 3)]
    last = rows[-1]
    notes = [
        f"{last.total_parameters:,} parameters, {last.total_multiply_adds / 1e9:.2f} x 10^9 multiply-adds an image"
    ]
    if not all(row.time_measured for row in rows):
        notes.append("(~) estimated from multiply-adds: measuring would take too long")
    return tabulate(lines, headings, colalign=aligned, disable_numparse=True) + "\n\n" + "\n".join(notes)
