"""`featx cache`: what the store holds, and how it is looked after."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click

from featx.cli.options import cache_option, json_option, print_json, verbosity_options


@click.group("cache")
def command() -> None:
    """Look after the feature store.

    \b
    Example:
      featx cache ls
    """


@command.command("ls")
@cache_option
@json_option
@verbosity_options
def list_keys(cache: Path, as_json: bool, quiet: bool) -> None:
    """List what the cache holds: a row a base, layer and pooling.

    \b
    Example:
      featx cache ls --cache /data/features
    """
    from tabulate import tabulate

    from featx.store.store import FeatureStore

    store = FeatureStore(cache)
    sources = {base.id: base.source for base in store.bases()}
    summaries = store.keys()
    if as_json:
        print_json([{**asdict(s), "source": sources.get(s.key.base)} for s in summaries])
        return
    if not summaries:
        click.echo(f"the cache '{cache}' holds no features yet: featx extract fills it")
        return
    rows = [
        (
            s.key.folder,
            sources.get(s.key.base, "?"),
            s.images,
            "x".join(map(str, s.shape)),
            s.key.dtype,
            f"{s.bytes / 1e6:.1f} MB",
            s.parts,
            time.strftime("%Y-%m-%d %H:%M", time.localtime(s.modified)),
            f"{s.seconds:.0f} s",
        )
        for s in summaries
    ]
    headers = ("key", "weights", "images", "shape", "dtype", "size", "parts", "when", "cost")
    click.echo(tabulate(rows, headers, tablefmt="simple", disable_numparse=True))
