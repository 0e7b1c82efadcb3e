"""Whole experiments."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from featx.api.models import run_finetuning
from featx.requests import default_cache

if TYPE_CHECKING:
    from featx.reports.comparison import Table
    from featx.runners.summary import ExtractSummary
    from featx.types import Progress
    from featx.workflows.finetune import FinetuneReport


class ExperimentReport(NamedTuple):
    """What `run` gives; the names are those of `featx run --json`."""

    extract: ExtractSummary
    compare: Table
    finetune: FinetuneReport | None


def run(
    experiment: str | Path,
    *,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> ExperimentReport:
    """Run an experiment: extract, fine-tune if it says so, and compare.

    Parameters
    ----------
    experiment : str or pathlib.Path
        A TOML file, or the name of a built-in experiment.
    cache : str or pathlib.Path, optional
        Folder of the feature store; None: `$FEATX_CACHE`, else `./cache`.
    progress : callable, optional
        Called with the number of images done and to be done, then with the number of evaluations.

    Returns
    -------
    ExperimentReport
        What each step gave: `extract`, `compare`, and `finetune`, which is None where nothing is fine-tuned.

    Raises
    ------
    FeatxError
        If the experiment is not valid or cannot be carried out.

    Examples
    --------
    >>> featx.run("digits").compare
    """
    from featx.reports.comparison import Table
    from featx.workflows.compare import compare_rows
    from featx.workflows.experiment_file import load_pipeline
    from featx.workflows.extract import extract_features

    pipeline = load_pipeline(os.fspath(experiment), Path(cache) if cache else default_cache())
    summary = extract_features(pipeline.extract, progress)
    finetuned = run_finetuning(pipeline.finetune, progress) if pipeline.finetune else None
    # Last, since the table has rows of what was fine-tuned, too.
    compared = compare_rows(pipeline.compare, progress)
    return ExperimentReport(summary, Table(compared.rows, compared.nested), finetuned)
