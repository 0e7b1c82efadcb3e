"""`featx doctor`: what is and is not in order on this machine."""

from __future__ import annotations

import sys

import click

from featx.cli.cache_options import cache_option
from featx.cli.options import output_options, print_json
from featx.cli.progress import waiting
from featx.cli.terminal import colour, say_text
from featx.storage.paths import CachePath


@click.command("doctor")
@cache_option
@output_options
def command(cache: CachePath, as_json: bool, quiet: bool) -> None:
    """Check Python, packages, devices, engines, weights and the cache; no network is used.

    Each line is ok, a note, or a problem with what to do about it; the exit code is 1 where there is a problem. Nothing
    in it tells paths or names of people: paste it whole into a bug report.

    \b
    Example:
      featx doctor
    """
    from featx.workflows.doctor import diagnose

    with waiting("trying engines", quiet or as_json):
        diagnosis = diagnose(cache)
    if as_json:
        print_json(diagnosis.to_dict())
    else:
        colours = {"ok": "green", "note": "yellow", "problem": "red"}
        say_text(f"featx {diagnosis.version}")
        for finding in diagnosis.findings:
            status = colour(f"{finding.status:8}", colours[finding.status])
            say_text(f"{finding.topic:9} {finding.text}", before=status)
            if finding.advice:
                say_text(f"{'':18} {finding.advice}")
        count = diagnosis.problems
        say_text(f"{count} problem{'' if count == 1 else 's'}" if count else "no problems")
    sys.exit(1 if diagnosis.problems else 0)
