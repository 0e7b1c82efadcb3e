"""`featx cache verify` and `featx cache clean`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from featx.cli.options import cache_option, json_option, print_json, progress_bar, verbosity_options


@click.command("verify")
@cache_option
@json_option
@verbosity_options
def verify(cache: Path, as_json: bool, quiet: bool) -> None:
    """Read everything in the cache and report all problems; the exit code is 1 if there are any.

    \b
    Example:
      featx cache verify
    """
    from featx.store.verify import verify as check

    with progress_bar("part", quiet) as progress:
        report = check(cache, progress)
    if as_json:
        print_json(report.to_dict())
    else:
        for problem in report.problems:
            click.echo(f"{problem.path}: {problem.problem}")
        found = len(report.problems)
        verdict = f"{found} {'problems' if found > 1 else 'problem'}" if found else "no problems"
        click.echo(f"{report.parts} parts, {report.rows} sound rows, {report.bytes / 1e6:.1f} MB: {verdict}")
        if any(problem.is_broken for problem in report.problems):
            click.echo("`featx cache clean` puts broken parts aside; then extract again", err=True)
    sys.exit(1 if report.problems else 0)


@click.command("clean")
@click.option("--compact", "is_compacting", is_flag=True, help="Merge small parts, too.")
@cache_option
@json_option
@verbosity_options
def clean(is_compacting: bool, cache: Path, as_json: bool, quiet: bool) -> None:
    """Remove what killed writers left, and move broken parts into the folder `quarantine` of the cache.

    Nothing sound is deleted, and a writer that still runs is left alone.

    \b
    Example:
      featx cache clean --compact
    """
    from featx.store.clean import clean as tidy
    from featx.store.compact import compact

    with progress_bar("part", quiet) as progress:
        report = tidy(cache, progress)
    merges = []
    if is_compacting:
        with progress_bar("key", quiet) as progress:
            merges = compact(cache, progress)
    if as_json:
        print_json({**report.to_dict(), "compacted": [asdict(merge) for merge in merges]})
        return
    for moved in report.quarantined:
        click.echo(f"moved to '{moved.to}': {moved.path}: {moved.problem}")
    for problem in report.problems:
        click.echo(f"left: {problem.path}: {problem.problem}")
    before = sum(merge.before for merge in merges)
    compacted = f", {before} small parts merged into {len(merges)}" if is_compacting else ""
    click.echo(
        f"{len(report.removed)} unfinished files removed, {len(report.quarantined)} broken parts moved{compacted}"
    )
