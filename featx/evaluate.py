"""Stage two: fit classifiers on cached features, and judge them once on the held-out part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from joblib import Parallel, cpu_count, delayed, parallel_config

from featx.classifiers.outcome import HeldOut, Outcome, describe, with_p_values
from featx.classifiers.records import Judged
from featx.classifiers.results import Result
from featx.errors import MissingFeatures, RequestError
from featx.experiment import Experiment
from featx.requests import CompareRequest
from featx.table import Cut

Progress = Callable[[int, int], None]

WORTH_PROCESSES = 1_000_000
"""Numbers in all features to be judged, from which on a second process earns back the seconds of its start."""


def compare(request: CompareRequest, progress: Progress | None = None) -> list[Result]:
    """Judge every classifier on every layer that a request asks for.

    Parameters
    ----------
    request : CompareRequest
    progress : callable, optional
        Called with the number of evaluations done and to be done.

    Returns
    -------
    list of Result
        Layers in the base's order, classifiers as asked; other bases after the first.

    Raises
    ------
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used.
    """
    experiments = [Experiment.open(request), *map(Experiment.open, request.others())]
    rows = experiments[0].rows
    if any(one.rows.digest != rows.digest for one in experiments):
        raise RequestError("the bases have features of different images: extract with all of them, then compare")
    tasks = [(experiment, cut) for experiment in experiments for cut in experiment.cuts]
    found: dict[int, list[Judged]] = {}
    for done, (place, judged) in enumerate(evaluate_side_by_side(tasks), 1):
        found[place] = judged
        if progress:
            progress(done * len(experiments[0].names), len(tasks) * len(experiments[0].names))
    judged = [one for place in range(len(tasks)) for one in found[place]]
    judged += [one for experiment in experiments for one in experiment.tuned()]
    if not judged:
        raise MissingFeatures("nothing of it was fine-tuned on these images yet. Run: featx finetune --help")
    return with_p_values(judged, rows.y[rows.test])


def evaluate_side_by_side(tasks: Sequence[tuple[Experiment, Cut]]) -> Iterator[tuple[int, list[Judged]]]:
    """Judge cuts, several at a time where that pays; yield place and rows as they come, the largest cut first.

    Small arrays keep Python busy more than linear algebra, so cuts go to processes, and only folds to threads.
    """
    sizes = [experiment.work(cut) for experiment, cut in tasks]
    order = np.argsort(sizes, kind="stable")[::-1].tolist()
    there = cpu_count()
    jobs = min(there, np.count_nonzero(sizes)) if sum(sizes) > WORTH_PROCESSES else 1
    if jobs < 2:
        yield from (evaluate_at(place, tasks[place], there) for place in order)
    else:
        calls = (delayed(evaluate_at)(place, tasks[place], there // jobs) for place in order)
        yield from Parallel(n_jobs=jobs, return_as="generator_unordered")(calls)


def evaluate_at(place: int, task: tuple[Experiment, Cut], threads: int) -> tuple[int, list[Judged]]:
    """Judge one cut, folds in threads, and say where it belongs."""
    experiment, cut = task
    with parallel_config("threading", n_jobs=threads):
        return place, experiment.evaluate(cut)


def fit(request: CompareRequest) -> Outcome:
    """Train one classifier on one cached layer, or on a mix of layers, and judge it on the held-out part.

    Parameters
    ----------
    request : CompareRequest
        With one layer, one classifier and at most one pooling.

    Returns
    -------
    Outcome
        Its `model` can be saved, and labels new images.

    Raises
    ------
    RequestError
        If the request names several layers or classifiers.
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used.
    """
    experiment = Experiment.open(request)
    if len(experiment.cuts) != 1 or len(experiment.names) != 1:
        asked = f"{len(experiment.cuts)} layers or poolings and {len(experiment.names)} classifiers"
        raise RequestError(f"a fit takes one of each, but {asked} are asked for: choose, or use compare")
    (cut,), (name,), rows = experiment.cuts, experiment.names, experiment.rows
    _, (judged,) = evaluate_at(0, (experiment, cut), cpu_count())
    paths = [path for path, held in zip(rows.manifest.listing.paths, rows.test, strict=True) if held]
    held_out = HeldOut(paths, rows.y[rows.test], rows.classes)
    return describe(judged, held_out, lambda: experiment.model(cut, name, judged.result))
