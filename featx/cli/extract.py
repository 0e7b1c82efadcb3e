"""`featx extract`: compute and store features."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from featx.base_choice import BaseChoice
from featx.cli.cache_options import feature_cache_options
from featx.cli.data_options import exclude_option, labelled_data
from featx.cli.options import (
    base_options,
    format_count,
    layers_option,
    output_options,
    poolings_option,
    print_json,
    store_dtype_option,
    views_option,
)
from featx.cli.progress import progress_bar
from featx.cli.terminal import say_line
from featx.errors import RequestError
from featx.requests import ExtractRequest
from featx.storage.paths import CachePath
from featx.timing import format_seconds

if TYPE_CHECKING:
    from featx.runners.summary import ExtractSummary


def parse_shard(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """Read `I/N`."""
    if text is None:
        return None
    from featx.runners.shard import Shard

    try:
        shard = Shard.parse(text)
    except RequestError as error:
        raise click.BadParameter(str(error)) from error
    return shard.index, shard.count


@click.command("extract")
@labelled_data
@base_options
@layers_option
@poolings_option
@store_dtype_option
@views_option
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Device to compute on: auto, cpu, cuda, cuda:1 or mps; several as cuda:0,cuda:1; 'all' for every GPU.",
)
@click.option(
    "--engine",
    default="auto",
    show_default=True,
    help="Engine: auto, torch, compile, openvino or eager.",
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Images of one forward pass.  [default: by device]")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Threads that decode images; with --runner ray, processes of the cluster.  [default: number of cores; as many "
    "as the cluster has room for]",
)
@click.option(
    "--runner",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Who computes: this machine, or the nodes of a Ray cluster (RAY_ADDRESS; without it, Ray is started here).",
)
@click.option(
    "--gpus-per-worker",
    type=click.FloatRange(min=0, max=1),
    help="With --runner ray: GPUs of each worker; 0.5 lets two share one.  [default: 1 where the cluster has any]",
)
@click.option(
    "--cpus-per-worker",
    type=click.IntRange(min=1),
    help="With --runner ray: cores of each worker, which decode.  [default: 1; of a node with GPUs, its part]",
)
@click.option("--shard", callback=parse_shard, metavar="I/N", help="Compute only the I-th of N shards of the images.")
@click.option(
    "--strict", is_flag=True, help="Count files in class folders that are not pictures (.json, .txt) as failed images."
)
@exclude_option
@feature_cache_options
@output_options
def command(
    data: str,
    base: BaseChoice,
    layers: tuple[str, ...],
    poolings: tuple[str, ...],
    store_dtype: Any,
    cache: CachePath,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Compute the features of DATA that the cache lacks, at the layers asked for, and store them.

    DATA is a folder (CLASS/photo.jpg, or train/CLASS/photo.jpg beside val/ or test/), a CSV file (path,label[,split]),
    a JSON Lines file, a zip file of such a folder, tar shards (shards/{000..099}.tar), Parquet files with images, the
    URL of a folder, of shards or of a table in a bucket (s3://, gs://, az://), the address of a table (https://), or
    the built-in data set 'digits'.

    \b
    Example:
      featx extract photos --base resnet50 --layer layer3 --layer layer4
    """
    layers = layers or only_layer(base.name)
    if not layers:
        raise click.UsageError("no layer asked for: give --layer once or more, such as --layer layer3 --layer layer4")
    request = ExtractRequest(
        data,
        base,
        layers,
        poolings or ("avg",),
        cache=cache,
        store_dtype=store_dtype or "float32",
        **options,
    )
    from featx.workflows.extract import extract_features

    with progress_bar("image", quiet) as progress:
        summary = extract_features(request, progress)
    if as_json:
        print_json(summary.to_dict())
    name_failures(summary, quiet)
    proposal = summary.propose_scaling()
    if proposal and not quiet:
        say_line(f"note: {proposal}", err=True)
    if not (as_json and quiet):
        say_line(summary_line(summary), err=as_json)
    sys.exit(1 if summary.failed else 0)


def only_layer(name: str) -> tuple[str, ...]:
    """Name the layer of hand-crafted features, which have no depth to choose; nothing for other bases."""
    from featx.bases.names import HANDCRAFTED_BASES
    from featx.bases.registry import BASES

    if name not in HANDCRAFTED_BASES:
        return ()
    return (BASES[name].default_layer(),)


def name_failures(summary: ExtractSummary, quiet: bool) -> None:
    """Say on stderr how pictures were read, unless quiet, and name those that failed."""
    if not quiet:
        for note in summary.pictures.list_notes():
            say_line(f"note: {note}", err=True)
    for file in summary.failed:
        say_line(f"failed: {file.path}: {file.reason}", err=True)


def summary_line(summary: ExtractSummary) -> str:
    """Write the figures of an extraction as one line."""
    counts = [f"{summary.cached} cached", f"{summary.extracted} extracted"]
    if summary.duplicates:
        counts.append(format_count(summary.duplicates, "duplicate"))
    counts.append(f"{len(summary.failed)} failed")
    speed = f", {summary.images_per_second:.0f} images/s" if summary.extracted else ""
    took = format_seconds(summary.seconds, 1)
    return f"{format_count(summary.images, 'image')}: {', '.join(counts)}, {took}{speed}"
