"""Whole experiments."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from featx.api.keywords import BASE_OPTIONS, GROUPED_DATA_OPTIONS, choose_base, fill_request, takes_options
from featx.api.models import run_finetuning
from featx.base_choice import BaseChoice
from featx.requests import AutoRequest, default_cache
from featx.storage.paths import CachePath, parse_cache

if TYPE_CHECKING:
    from featx.ladder.ascent import Watch
    from featx.ladder.report import AutoReport
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
    cache: str | CachePath | None = None,
    progress: Progress | None = None,
) -> ExperimentReport:
    """Run an experiment: extract, fine-tune if it says so, and compare.

    Parameters
    ----------
    experiment : str or pathlib.Path
        A TOML file, or the name of a built-in experiment.
    cache : str or pathlib.Path, optional
        Folder or URL of the feature store; None: `$FEATX_CACHE`, else `./cache`.
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

    pipeline = load_pipeline(os.fspath(experiment), parse_cache(cache) if cache else default_cache())
    summary = extract_features(pipeline.extract, progress)
    finetuned = run_finetuning(pipeline.finetune, progress) if pipeline.finetune else None
    # Last, since the table has rows of what was fine-tuned, too.
    compared = compare_rows(pipeline.compare, progress)
    return ExperimentReport(summary, Table(compared.rows, compared.nested, compared.few_labels), finetuned)


@takes_options(
    AutoRequest,
    *GROUPED_DATA_OPTIONS,
    *BASE_OPTIONS,
    "budget",
    "out",
    "whole",
    "with_base",
    "seed",
    "device",
    "workers",
    "rehash",
    "cache",
    "memory",
    "select",
    "positive",
    "class_weight",
    "exclude",
)
def auto(
    data: str | Path,
    *,
    base: str | BaseChoice | Sequence[str | BaseChoice],
    progress: Progress | None = None,
    **options: Any,
) -> AutoReport:
    """Do the whole job within a budget of time: extract, choose, evaluate, and make the model.

    Parameters
    ----------
    data : str or pathlib.Path
        As in `extract`.
    base : str, BaseChoice, or sequence of these
        One base, or several to choose among.
    progress : callable, optional
        Called with how much is done of a step and how much there is: images, candidates, outer folds.
    **options
        `budget`: seconds, or a text such as "90s", "10m" or "1h"; `out`: the model file to be written; `whole`: train
        the model on all images in the end; `with_base`: put the weights of the base into it;
        `path_column` and `label_column` of a table; `group_column`, `group_by` and `groups` (one for each image, or by
        path): images that belong together; `weights` (of a single base), `resize`, `crop`, `precision`,
        `value_range` and `decode` of the bases; `seed`, `device`, `workers`, `rehash`, `cache`, `memory`, `select`,
        `positive`, `class_weight` and `exclude` as in `extract` and `compare`.

    Returns
    -------
    AutoReport
        The `ladder` with what each step cost and brought, what was `chosen`, `fit` with the figures of the held-out
        part, the `estimate` of the choice itself, and the `model`, which can be saved.

    Raises
    ------
    FeatxError
        If names are unknown, weights cannot be had, or the data set cannot be used.

    Examples
    --------
    >>> report = featx.auto("photos", base=["resnet50", "mobilenet_v2"], budget="10m")
    >>> report.model.save("photos.featx")
    """
    named = [base] if isinstance(base, str | BaseChoice) else list(base)
    of_base = {name: options.pop(name) for name in BASE_OPTIONS if name in options}
    bases = [choose_base(each, of_base, "auto") for each in named]
    request = fill_request(AutoRequest, "auto", {"data": data, "bases": bases, **options})
    return run_automatically(request, lambda what, unit: nullcontext(progress))


def run_automatically(request: AutoRequest, watch: Watch) -> AutoReport:
    """Carry out a request for the whole job with the other commands' own code."""
    from featx.workflows.auto import Tools, choose_automatically
    from featx.workflows.extract import extract_features
    from featx.workflows.fit import fit_classifier

    return choose_automatically(request, Tools(extract_features, fit_classifier), watch)
