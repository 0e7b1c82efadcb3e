"""`featx cache export`: cached features as one ordinary HDF5 file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from featx.base_choice import BaseChoice
from featx.cli.cache_options import feature_cache_options
from featx.cli.data_options import labelled_data
from featx.cli.options import UserPath, base_options, cached_dtype_option, format_count, output_options, print_json
from featx.cli.progress import waiting
from featx.cli.terminal import say_line
from featx.requests import CompareRequest, ExportRequest
from featx.storage.paths import CachePath


@click.command("export")
@labelled_data
@base_options
@click.option("--layer", "-l", required=True, help="Layer, by name or alias.")
@click.option("--pooling", help="avg, max, avg+max, pyramid, cls or flat.  [default: the one that is cached]")
@cached_dtype_option
@click.option("--out", "-o", required=True, type=UserPath(), help="The HDF5 file to write.")
@feature_cache_options
@output_options
def command(
    data: str,
    base: BaseChoice,
    layer: str,
    pooling: str | None,
    store_dtype: Any,
    out: Path,
    rehash: bool,
    cache: CachePath,
    as_json: bool,
    quiet: bool,
    **columns: Any,
) -> None:
    """Write the features of DATA at one layer, with labels, paths, digests and split, for other programs.

    \b
    Example:
      featx cache export photos --base resnet50 --layer layer3 --out photos.h5
    """
    poolings = (pooling,) if pooling else ()
    features = CompareRequest(
        data, base, (layer,), poolings=poolings, rehash=rehash, cache=cache, store_dtype=store_dtype, **columns
    )
    from featx.workflows.export import export

    with waiting("exporting", quiet):
        summary = export(ExportRequest(features, out))
    if as_json:
        print_json(summary.to_dict())
    else:
        rows = format_count(summary.images, "row")
        line = f"{rows} of {summary.key} written to '{summary.path}' ({summary.bytes / 1e6:.1f} MB)"
        if summary.left_out:
            line += f", {format_count(summary.left_out, 'image')} left out"
        say_line(line)
