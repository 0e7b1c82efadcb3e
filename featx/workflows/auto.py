"""The whole job: extract, climb the ladder within a budget, estimate the procedure, fit what was chosen."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from featx.base_choice import BaseChoice
from featx.data.exclusion import leave_out
from featx.data.listing import check_classes, find_held_out
from featx.data.sources import ColumnChoice, list_images
from featx.errors import RequestError
from featx.evaluation.fit_report import FitReport
from featx.features.splits import FOLDS
from featx.ladder.ascent import Ascent, Watch
from featx.ladder.bench import Rows, take_rows
from featx.ladder.budget import Budget
from featx.ladder.candidates import VIEWS, Candidate
from featx.ladder.climb import Climb, Rung, Step, climb_ladder
from featx.ladder.opened_base import open_to_choose
from featx.ladder.procedure import FEW_IMAGES, ProcedureEstimate, estimate_procedure, predict_seconds
from featx.ladder.report import AutoReport
from featx.requests import AutoRequest, CompareRequest, ExtractRequest, column_flags, default_cache
from featx.runners.summary import ExtractSummary
from featx.storage.paths import side_folder
from featx.timing import format_seconds
from featx.types import Progress

ESTIMATE = "estimate"
"""Name of the estimate of the procedure among the steps that the budget decides."""


class Fit(Protocol):
    """Fits one classifier, as `featx.workflows.fit.fit_classifier` does."""

    def __call__(self, request: CompareRequest, *, with_base: bool, whole: bool) -> FitReport:
        """Fit, evaluate on the held-out part, and make the model."""


@dataclass(frozen=True)
class Tools:
    """The other verbs that this one is made of.

    Attributes
    ----------
    extract : callable
        As `featx.workflows.extract.extract_features`.
    fit : Fit
    """

    extract: Callable[[ExtractRequest, Progress | None], ExtractSummary]
    fit: Fit


def choose_automatically(request: AutoRequest, tools: Tools, watch: Watch) -> AutoReport:
    """Find the best classifier that a budget of time allows, and fit it.

    All choices are made by cross-validation on the training part. The held-out part is read once, at the end.

    Parameters
    ----------
    request : AutoRequest
    tools : Tools
    watch : Watch

    Returns
    -------
    AutoReport

    Raises
    ------
    FeatxError
        If names are unknown, weights cannot be had, the data set cannot be used, or the model cannot be written.
    """
    started = time.perf_counter()
    budget = Budget(request.seconds)
    check_target(request.out)
    columns = ColumnChoice(request.path_column, request.label_column)
    listing = leave_out(list_images(request.data, side_folder(request.cache), choice=columns), request.exclude)
    check_classes(listing.labels, request.data)
    # All of them now: weights that are missing should not be found missing after minutes.
    bases = sorted(map(open_to_choose, request.bases), key=lambda base: base.multiply_adds)

    def extract(needed: ExtractRequest, progress: Progress | None) -> list[Any]:
        return tools.extract(needed, progress).failed

    ascent = Ascent(request, bases, len(listing), budget, extract, watch)
    ascent.start()
    dataset = ascent.bench.dataset
    budget.remember(request.cache, state_request(request, dataset.digest))
    train = np.flatnonzero(dataset.train)
    rows = take_rows(dataset, train, request.seed)
    climb = climb_ladder(Climb(ascent.bench, rows), range(len(bases)), ascent)
    chosen = climb.top.candidate
    estimate, remark = estimate_if_few(ascent, watch)
    base = bases[chosen.features.base].choice
    features = chosen.features
    to_fit = request.comparison(base, [features.layer_set], [features.pooling], features.views, [chosen.clf])
    fit = tools.fit(to_fit, with_base=request.with_base, whole=request.whole)
    if request.out is not None:
        fit.model.save(request.out)
    return AutoReport(
        ladder=ascent.ladder,
        chosen=chosen,
        base=base.name,
        fit=fit,
        estimate=estimate,
        estimate_remark=remark,
        bases=ascent.names,
        select=request.select,
        measured_on=describe_rows(rows, len(train)),
        whole=request.whole,
        commands=write_commands(request, ascent, chosen),
        failed=ascent.failed,
        seconds=round(time.perf_counter() - started, 1),
    )


def check_target(out: Path | None) -> None:
    """Raise RequestError unless a model can be written where it is to be, before anything takes time."""
    if out is None:
        return
    if not out.parent.is_dir():
        raise RequestError(f"the model '{out}' cannot be written: there is no folder '{out.parent}'")
    if out.is_dir():
        raise RequestError(f"the model '{out}' cannot be written: it is a folder")


def state_request(request: AutoRequest, rows: str) -> dict[str, Any]:
    """State what makes a request the same one as far as its ladder goes."""
    return {
        "rows": rows,
        "bases": [state_base(base) for base in request.bases],
        "budget": request.budget,
        "seed": request.seed,
        "class_weight": request.class_weight,
        "select": request.select,
        "positive": request.positive,
        "memory": request.memory,
    }


def state_base(choice: BaseChoice) -> dict[str, Any]:
    """State the choice of a base; how pictures are decoded only where it is said, as that came later than ladders."""
    fields = asdict(choice)
    if choice.decode is None:
        del fields["decode"]
    return fields


@dataclass(frozen=True)
class Replay:
    """The gate of a ladder that is climbed again on other rows: the steps that were begun the first time.

    Attributes
    ----------
    begun : set of Step
    """

    begun: frozenset[Step]

    def begins(self, step: Step, climb: Climb) -> bool:
        """Whether the step was begun."""
        return step in self.begun

    def measuring(self, step: Step) -> AbstractContextManager[Progress | None]:
        """Nothing is said."""
        return nullcontext()

    def ended(self, rung: Rung) -> None:
        """Nothing is noted."""


def estimate_if_few(ascent: Ascent, watch: Watch) -> tuple[ProcedureEstimate | None, str]:
    """Estimate the whole procedure where few images were divided by featx, and the budget has room for it.

    Returns
    -------
    estimate : ProcedureEstimate or None
    remark : str
        Why there is none, where one might be expected.
    """
    dataset = ascent.bench.dataset
    if find_held_out(dataset.listing.splits) is not None or len(dataset.y) >= FEW_IMAGES:
        return None, ""
    budget = ascent.budget
    predicted = predict_seconds(ascent.bench.measured, FOLDS)
    if not budget.begin(ESTIMATE, predicted):
        decided = budget.steps[ESTIMATE]
        needed = format_seconds(decided.predicted or 0.0)
        left = format_seconds(max(0.0, decided.left))
        return None, f"the choice itself is not estimated on all images: about {needed}, budget left {left}"
    replay = Replay(frozenset(ascent.begun))

    def choose(rows: Rows) -> Candidate:
        return climb_ladder(Climb(ascent.bench, rows), range(len(ascent.bases)), replay).top.candidate

    with watch("the choice, made again in outer folds", "fold") as progress:
        estimate = estimate_procedure(ascent.bench, ascent.request.seed, choose, progress)
    budget.end(ESTIMATE)
    return estimate, ""


def describe_rows(rows: Rows, images: int) -> str:
    """Say on what candidates were measured."""
    measured = len(rows.numbers)
    part = f"the {measured} training images" if measured == images else f"{measured} of the {images} training images"
    times = count_times(rows.repeats)
    of_views = count_times(rows.count_repeats(VIEWS))
    with_views = "" if of_views == times else f" (six views: {of_views})"
    return f"{part}, cross-validated {times}{with_views}"


def count_times(repeats: int) -> str:
    """Write how many times something is done."""
    return "once" if repeats == 1 else f"{repeats} times"


def write_commands(request: AutoRequest, ascent: Ascent, chosen: Candidate) -> list[str]:
    """Write the commands that make the same model by hand."""
    features = chosen.features
    base = ascent.bases[features.base].choice
    extract = request.extraction(base, features.layers, [features.pooling], features.views)
    # A name that begins with a dash would be read as an option.
    data = f"./{request.data}" if request.data.startswith("-") else request.data
    words = ["featx", "fit", data, *column_flags(request.path_column, request.label_column), *request.group_flags()]
    words += [*base.flags(), "--layer", features.layer_set, "--pooling", features.pooling, "--clf", chosen.clf]
    if features.views > 1:
        words += ["--views", str(features.views), "--test-views", str(features.views)]
    words += list_choice_flags(request)
    if request.out is not None:
        words += ["--out", str(request.out)]
    if request.cache != default_cache():
        words += ["--cache", str(request.cache)]
    return [extract.command(), shlex.join(words)]


def list_choice_flags(request: AutoRequest) -> list[str]:
    """Write what a request chooses for its fit as flags, leaving out what is the default."""
    words = []
    default = AutoRequest(request.data, request.bases)
    for flag, name in (
        ("--seed", "seed"),
        ("--class-weight", "class_weight"),
        ("--select", "select"),
        ("--positive", "positive"),
        ("--memory", "memory"),
    ):
        value = getattr(request, name)
        if value != getattr(default, name):
            words += [flag, str(value)]
    for flag, is_given in (("--whole", request.whole), ("--with-base", request.with_base)):
        if is_given:
            words.append(flag)
    return words
