"""`featx extract`: stage one."""

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
    layers_option,
    poolings_option,
    print_json,
    progress_bar,
    rehash_option,
    store_dtype_option,
    verbosity_options,
    views_option,
)
from featx.requests import BaseChoice, ExtractRequest

if TYPE_CHECKING:
    from featx.runners.local import ExtractSummary

SHOWN = 20


def parse_shard(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """Read `i/n`."""
    if text is None:
        return None
    share, _, shares = text.partition("/")
    if not (share.isdigit() and shares.isdigit() and 1 <= int(share) <= int(shares)):
        raise click.BadParameter(f"'{text}' is no share: write i/n with i from 1 to n, such as 2/8")
    return int(share), int(shares)


@click.command("extract")
@data_argument
@base_options
@layers_option
@poolings_option
@store_dtype_option
@views_option
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto, cpu, cuda, cuda:1, mps; several: cuda:0,cuda:1; or all GPUs.",
)
@click.option("--engine", default="auto", show_default=True, help="auto, torch, compile, openvino or eager.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Images a forward pass.  [default: by device]")
@click.option("--workers", type=click.IntRange(min=1), help="Threads.  [default: one a core]")
@click.option("--shard", callback=parse_shard, metavar="I/N", help="Compute only the I-th of N disjoint shares.")
@rehash_option
@cache_option
@json_option
@verbosity_options
def command(
    data: str,
    base: BaseChoice,
    layers: tuple[str, ...],
    poolings: tuple[str, ...],
    store_dtype: str | None,
    cache: Path,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Compute features of DATA at the layers asked for, and store those that the cache lacks.

    DATA is a folder (CLASS/photo.jpg, or train/CLASS/photo.jpg beside val/ or test/), a CSV file (path,label[,split])
    or the built-in data set 'digits'.

    \b
    Example:
      featx extract photos --base resnet50 --layer layer3 --layer layer4
    """
    layers = layers or only_layer(base.name)
    if not layers:
        raise click.UsageError("no layer asked for: give --layer once or more, such as --layer layer3 --layer layer4")
    stored = store_dtype or "float32"
    request = ExtractRequest(data, base, layers, poolings or ("avg",), cache=cache, store_dtype=stored, **options)
    from featx.runners.devices import extract_on_devices

    with progress_bar("image", quiet) as progress:
        summary = extract_on_devices(request, progress)
    report(summary, as_json, quiet)
    sys.exit(1 if summary.failed else 0)


def only_layer(name: str) -> tuple[str, ...]:
    """Name the layer of a base where there is no depth to choose: of hand-crafted features."""
    from featx.bases.names import HANDCRAFTED_BASES
    from featx.bases.registry import BASES

    return (BASES[name].default_layer(),) if name in HANDCRAFTED_BASES else ()


def report(summary: ExtractSummary, as_json: bool, quiet: bool) -> None:
    """Name what was skipped and what failed, and close with one line of figures."""
    if as_json:
        print_json(summary.to_dict())
    if not quiet:
        for file in summary.skipped[:SHOWN]:
            click.echo(f"skipped: {file.path}: {file.reason}", err=True)
        if len(summary.skipped) > SHOWN:
            click.echo(f"skipped: and {len(summary.skipped) - SHOWN} more (--json lists all)", err=True)
    for file in summary.failed:
        click.echo(f"failed: {file.path}: {file.reason}", err=True)
    if not (as_json and quiet):
        click.echo(summary_line(summary), err=as_json)


def summary_line(summary: ExtractSummary) -> str:
    """Write the figures of an extraction as one line."""
    duplicates = f", {summary.duplicates} duplicates" if summary.duplicates else ""
    return (
        f"{summary.images} images: {summary.cached} cached, {summary.extracted} extracted{duplicates}, "
        f"{len(summary.failed)} failed, {summary.seconds:.1f} s, {summary.images_per_second:.0f} images/s"
    )
