"""`featx fit`: one classifier on one cached layer, or on a mix of layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featx.cli.options import (
    base_options,
    cache_option,
    data_argument,
    json_option,
    memory_option,
    poolings_option,
    print_json,
    refit_option,
    rehash_option,
    seed_option,
    store_dtype_option,
    test_views_option,
    verbosity_options,
    views_option,
)
from featx.requests import BaseChoice, CompareRequest

if TYPE_CHECKING:
    from featx.evaluation.error_analysis import FitReport


@click.command("fit")
@data_argument
@base_options
@click.option("--layer", "-l", required=True, help="Layer, by name or alias; layer3+layer4 puts several side by side.")
@click.option("--clf", required=True, help="logreg, svm or mlp.")
@poolings_option
@store_dtype_option
@views_option
@test_views_option
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the model for featx predict.")
@seed_option
@memory_option
@rehash_option
@refit_option
@cache_option
@json_option
@verbosity_options
def command(
    data: str,
    base: BaseChoice,
    layer: str,
    clf: str,
    poolings: tuple[str, ...],
    out: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Train one classifier on a cached layer of DATA and judge it on the held-out part.

    \b
    Example:
      featx fit photos --base resnet50 --layer layer3 --clf svm --out model.featx
    """
    request = CompareRequest(data, base, (layer,), (clf,), poolings[:1] or ("avg",), **options)
    from featx.workflows.fit import fit

    outcome = fit(request)
    if out:
        outcome.model.save(out)
    if as_json:
        print_json({**outcome.to_dict(), "model": str(out) if out else None})
    else:
        show(outcome, out)


def show(outcome: FitReport, out: Path | None) -> None:
    """Print an outcome in words and tables."""
    from featx.reports.classes import class_table, confusion_table, mistake_lines
    from featx.reports.table import sentence

    click.echo(sentence(outcome.result))
    click.echo(f"\n{class_table(outcome.per_class)}\n")
    click.echo(f"{confusion_table(outcome.confusion, outcome.classes)}\n")
    click.echo(mistake_lines(outcome.mistakes))
    if out:
        click.echo(f"\nThe model is '{out}'. Label new images with: featx predict {out} IMAGES")
