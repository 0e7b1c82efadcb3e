"""`featx fit`: one classifier on one cached layer."""

from __future__ import annotations

from pathlib import Path

import click

from featx.cli.options import (
    base_options,
    cache_option,
    data_argument,
    json_option,
    poolings_option,
    print_json,
    progress_bar,
    rehash_option,
    seed_option,
    store_dtype_option,
    verbosity_options,
)
from featx.requests import BaseChoice, CompareRequest


@click.command("fit")
@data_argument
@base_options
@click.option("--layer", "-l", required=True, help="Layer, by name or alias.")
@click.option("--clf", required=True, help="logreg, svm or mlp.")
@poolings_option
@store_dtype_option
@seed_option
@rehash_option
@cache_option
@json_option
@verbosity_options
def command(
    data: str,
    base: BaseChoice,
    layer: str,
    clf: str,
    poolings: tuple[str, ...],
    store_dtype: str | None,
    seed: int,
    rehash: bool,
    cache: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train one classifier on a cached layer of DATA and judge it on the held-out part.

    \b
    Example:
      featx fit photos --base resnet50 --layer layer3 --clf svm
    """
    request = CompareRequest(data, base, (layer,), (clf,), poolings[:1] or ("avg",), seed, rehash, cache, store_dtype)
    from featx.evaluate import compare
    from featx.report import sentence

    with progress_bar("fit", quiet) as progress:
        (result,) = compare(request, progress)
    if as_json:
        print_json(result.to_dict())
    else:
        click.echo(sentence(result))
