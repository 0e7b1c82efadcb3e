"""`featx cache verify` and `featx cache clean`."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from featx.cli.cache_options import cache_option
from featx.cli.options import format_count, output_options, print_json
from featx.cli.progress import progress_bar
from featx.cli.terminal import say_line
from featx.storage.paths import CachePath


@click.command("verify")
@cache_option
@output_options
def verify_command(cache: CachePath, as_json: bool, quiet: bool) -> None:
    """Read everything in the cache and report all problems; the exit code is 1 if there are any.

    \b
    Example:
      featx cache verify
    """
    from featx.store.verify import verify

    with progress_bar("part", quiet) as progress:
        report = verify(cache, progress)
    if as_json:
        print_json(report.to_dict())
    else:
        for problem in report.problems:
            say_line(f"{problem.path}: {problem.problem}")
        parts = format_count(report.parts, "part")
        rows = format_count(report.rows, "sound row")
        problems = format_count(len(report.problems), "problem") if report.problems else "no problems"
        say_line(f"{parts}, {rows}, {report.bytes / 1e6:.1f} MB: {problems}")
        if any(problem.is_broken for problem in report.problems):
            say_line("To move broken parts aside, run: featx cache clean. Then extract again.", err=True)
    sys.exit(1 if report.problems else 0)


@click.command("clean")
@click.option("--compact", "is_compacting", is_flag=True, help="Also merge small parts.")
@cache_option
@output_options
def clean_command(is_compacting: bool, cache: CachePath, as_json: bool, quiet: bool) -> None:
    """Remove files that killed writers left, and move broken parts into the folder `quarantine` of the cache.

    Nothing sound is deleted, and files of a writer that is still running are left alone.

    \b
    Example:
      featx cache clean --compact
    """
    from featx.store.clean import clean
    from featx.store.compact import compact

    with progress_bar("part", quiet) as progress:
        report = clean(cache, progress)
    merges = []
    if is_compacting:
        with progress_bar("key", quiet) as progress:
            merges = compact(cache, progress)
    if as_json:
        print_json({**report.to_dict(), "compacted": [asdict(merge) for merge in merges]})
        return
    for moved in report.quarantined:
        say_line(f"moved to '{moved.to}': {moved.path}: {moved.problem}")
    for problem in report.problems:
        say_line(f"left in place: {problem.path}: {problem.problem}")
    done = [
        f"{format_count(len(report.removed), 'unfinished file')} removed",
        f"{format_count(len(report.quarantined), 'broken part')} moved",
    ]
    if is_compacting:
        small_parts = sum(merge.before for merge in merges)
        done.append(f"{format_count(small_parts, 'small part')} merged into {len(merges)}")
    say_line(", ".join(done))
