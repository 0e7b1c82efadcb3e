"""`featx cache`: list, remove, check, clean and export what the store holds."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from featx.cli import cache_check, cache_export
from featx.cli.cache_options import cache_option
from featx.cli.options import format_count, output_options, print_json
from featx.cli.terminal import say_line, say_text
from featx.log import escape_controls
from featx.storage.paths import CachePath
from featx.timing import format_seconds

if TYPE_CHECKING:
    from featx.store.key_summary import KeySummary


class NamedGroup(click.Group):
    """A group that says which of its commands is nearest to a mistyped one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name, or say which is nearest."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            from featx.errors import unknown

            raise click.UsageError(str(unknown("command of featx cache", args[0], self.commands)))
        return super().resolve_command(ctx, args)


@click.group("cache", cls=NamedGroup)
def command() -> None:
    """List, check, clean and export the feature store.

    \b
    Example:
      featx cache ls
    """


command.add_command(cache_check.verify_command)
command.add_command(cache_check.clean_command)
command.add_command(cache_export.command)


@command.command("ls")
@cache_option
@output_options
def list_keys(cache: CachePath, as_json: bool, quiet: bool) -> None:
    """List the keys of the cache: one line for each base, layer, pooling, stored dtype and view.

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
        print_json([describe_key(summary, sources.get(summary.key.base)) for summary in summaries])
    elif summaries:
        rows = [format_key(summary, sources.get(summary.key.base, "?")) for summary in summaries]
        say_text(tabulate(rows, KEY_HEADINGS, tablefmt="simple", disable_numparse=True))
    else:
        say_line(f"the cache '{cache}' holds no features yet; run featx extract to fill it")


KEY_HEADINGS = ("key", "weights", "input", "images", "shape", "dtype", "size", "parts", "when", "cost")


def describe_key(summary: KeySummary, source: str | None) -> dict[str, Any]:
    """Give a key, and where the base's weights came from, as plain values for JSON."""
    return {**asdict(summary), "folder": summary.key.folder, "source": source}


def format_key(summary: KeySummary, source: str) -> list[Any]:
    """Write a key as one row of the table, in the order of `KEY_HEADINGS`."""
    transform = summary.key.base.transform
    modified = time.localtime(summary.modified)
    return [
        escape_controls(summary.key.folder),
        escape_controls(source),
        f"{transform.crop} of {transform.resize} px" + (", scaled" if transform.decode == "scaled" else ""),
        summary.images,
        "x".join(map(str, summary.shape)),
        summary.key.dtype,
        f"{summary.bytes / 1e6:.1f} MB",
        summary.parts,
        time.strftime("%Y-%m-%d %H:%M", modified),
        format_seconds(summary.seconds),
    ]


@command.command("rm")
@click.argument("key")
@click.option("--yes", "-y", is_flag=True, help="Remove without asking.")
@cache_option
@output_options
def remove(key: str, yes: bool, cache: CachePath, as_json: bool, quiet: bool) -> None:
    """Remove the features of KEY: a key that `ls` shows, or BASE or BASE/LAYER for all keys below it.

    \b
    Example:
      featx cache rm resnet50-0123456789ab/layer3
    """
    from featx.errors import unknown
    from featx.store.store import FeatureStore

    store = FeatureStore(cache)
    folder = key.strip("/")
    summaries = store.keys()
    # With a slash at the end of both, or `layer1` would take `layer10` with it.
    chosen = [summary for summary in summaries if f"{summary.key.folder}/".startswith(f"{folder}/")]
    if not chosen:
        raise unknown(f"key in the cache '{cache}'", key, [summary.key.folder for summary in summaries])
    if not yes:
        for summary in chosen:
            images = format_count(summary.images, "image")
            cost = f"{summary.bytes / 1e6:.1f} MB, {format_seconds(summary.seconds)} to compute"
            say_line(f"{summary.key.folder}: {images}, {cost}", err=True)
        click.confirm("Remove these features?", abort=True, err=True)
    for summary in chosen:
        store.remove(summary.key)
    if as_json:
        print_json({"removed": [describe_removal(summary) for summary in chosen]})
    else:
        megabytes = sum(summary.bytes for summary in chosen) / 1e6
        say_line(f"removed {format_count(len(chosen), 'key')}, {megabytes:.1f} MB")


def describe_removal(summary: KeySummary) -> dict[str, Any]:
    """Give what was removed with a key as plain values for JSON."""
    return {"key": summary.key.folder, "images": summary.images, "bytes": summary.bytes}
