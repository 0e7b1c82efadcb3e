"""`--report`: the page of `featx report` beside what another command prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from featx.cli.options import UserPath, format_count
from featx.cli.terminal import say_line

if TYPE_CHECKING:
    from featx.workflows.report import ReportSummary

report_option = click.option(
    "--report",
    "report_file",
    type=UserPath(dir_okay=False),
    help="Also write the HTML page of featx report to this file.",
)


def say_report(summary: ReportSummary, err: bool = False) -> None:
    """Say where a report is, and how large."""
    pictures = format_count(summary.pictures, "picture")
    left_out = f", {summary.left_out} left out" if summary.left_out else ""
    say_line(f"The report is '{summary.path}': {summary.bytes / 1e6:.1f} MB, {pictures}{left_out}.", err=err)
