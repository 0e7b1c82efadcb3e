"""`featx run`: a whole experiment from one TOML file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from featx.cli.cache_options import cache_option
from featx.cli.options import UserPath, output_options, print_json, wide_option
from featx.cli.progress import progress_bar
from featx.cli.shot_options import name_shots_file
from featx.cli.terminal import say_line, say_table, say_text
from featx.storage.paths import CachePath


@click.command("run")
@click.argument("experiment")
@cache_option
@click.option("--csv", "csv_file", type=UserPath(dir_okay=False), help="Also write the table to this CSV file.")
@wide_option
@output_options
def command(experiment: str, cache: CachePath, csv_file: Path | None, wide: bool, as_json: bool, quiet: bool) -> None:
    """Extract, fine-tune if asked, and compare as EXPERIMENT says: a TOML file, or a built-in experiment ('digits').

    \b
    Example:
      featx run pipelines/flowers17.toml
    """
    from featx.cli import finetune
    from featx.cli.extract import name_failures, summary_line
    from featx.files import write_text
    from featx.reports.closing import closing_lines, say_extraction
    from featx.reports.table import table, terminal_width, to_csv
    from featx.reports.table_few_labels import few_labels_table, few_labels_to_csv
    from featx.workflows.compare import compare_rows
    from featx.workflows.experiment_file import load_pipeline
    from featx.workflows.extract import extract_features

    pipeline = load_pipeline(experiment, cache)
    with progress_bar("image", quiet) as progress:
        summary = extract_features(pipeline.extract, progress)
    name_failures(summary, quiet)
    if not as_json:
        say_line(summary_line(summary))
    tuned = None
    model = pipeline.finetune.out if pipeline.finetune else None
    if pipeline.finetune:
        tuned = finetune.extract_and_finetune(pipeline.finetune, quiet)
        finetune.name_problems(tuned)
    # Last, since the table has rows of what was fine-tuned, too.
    with progress_bar("fit", quiet) as progress:
        compared = compare_rows(pipeline.compare, progress)
    results = compared.rows
    if csv_file:
        write_text(csv_file, to_csv(results))
        if compared.few_labels:
            write_text(name_shots_file(csv_file), few_labels_to_csv(compared.few_labels))
    if as_json:
        report_json: dict[str, Any] = {
            "extract": summary.to_dict(),
            "compare": [result.to_dict() for result in results],
        }
        report_json |= compared.further()
        if tuned:
            report_json["finetune"] = {**tuned.to_dict(), "model": str(model)}
        print_json(report_json)
    else:
        width = None if wide else terminal_width()
        say_table(f"\n{table(results, width=width, nested=compared.nested)}\n")
        if compared.few_labels:
            say_text(f"{few_labels_table(compared.few_labels, width=width)}\n")
        closing = [*closing_lines(results, compared.depths), say_extraction(summary.extracted, summary.seconds)]
        say_text("\n".join(closing))
        if model:
            say_line(f"The fine-tuned model is '{model}'.")
    sys.exit(1 if summary.failed or (tuned and finetune.has_problems(tuned)) else 0)
