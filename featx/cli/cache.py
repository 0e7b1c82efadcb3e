"""`featx cache`: what the store holds, and how it is looked after."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click

from featx.cli import cache_check, cache_export
from featx.cli.options import cache_option, json_option, print_json, verbosity_options


@click.group("cache")
def command() -> None:
    """Look after the feature store.

    \b
    Example:
      featx cache ls
    """


command.add_command(cache_check.verify)
command.add_command(cache_check.clean)
command.add_command(cache_export.command)


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
        print_json([{**asdict(s), "folder": s.key.folder, "source": sources.get(s.key.base)} for s in summaries])
        return
    if not summaries:
        click.echo(f"the cache '{cache}' holds no features yet: featx extract fills it")
        return
    rows = [
        (
            s.key.folder,
            sources.get(s.key.base, "?"),
            f"{s.key.base.transform.crop} of {s.key.base.transform.resize} px",
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
    headers = ("key", "weights", "input", "images", "shape", "dtype", "size", "parts", "when", "cost")
    click.echo(tabulate(rows, headers, tablefmt="simple", disable_numparse=True))


@command.command("rm")
@click.argument("key")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@cache_option
@json_option
@verbosity_options
def remove(key: str, yes: bool, cache: Path, as_json: bool, quiet: bool) -> None:
    """Remove the features of KEY: a folder that `ls` shows, or the first parts of one, for all that lies in it.

    \b
    Example:
      featx cache rm resnet50-0123456789ab/layer3
    """
    from featx.errors import unknown
    from featx.store.store import FeatureStore

    store = FeatureStore(cache)
    asked = key.strip("/")
    summaries = store.keys()
    chosen = [s for s in summaries if f"{s.key.folder}/".startswith(f"{asked}/")]
    if not chosen:
        raise unknown(f"key in the cache '{cache}'", key, [s.key.folder for s in summaries])
    if not yes:
        for s in chosen:
            click.echo(
                f"{s.key.folder}: {s.images} images, {s.bytes / 1e6:.1f} MB, {s.seconds:.0f} s of work", err=True
            )
        click.confirm("Remove these features?", abort=True, err=True)
    for s in chosen:
        store.remove(s.key)
    if as_json:
        print_json({"removed": [{"key": s.key.folder, "images": s.images, "bytes": s.bytes} for s in chosen]})
    else:
        size = sum(s.bytes for s in chosen) / 1e6
        click.echo(f"removed {len(chosen)} {'keys' if len(chosen) > 1 else 'key'}, {size:.1f} MB")
