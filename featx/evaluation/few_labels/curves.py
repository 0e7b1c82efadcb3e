"""Trace the curves of a comparison: every draw of every row, several layer sets at a time where that pays."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
from joblib import cpu_count, parallel_config

from featx.evaluation.comparison import Comparison, Task
from featx.evaluation.evaluate import held_out_blocks
from featx.evaluation.few_labels.cells import (
    Cell,
    DrawnFigures,
    Measured,
    Plan,
    keep_figures,
    list_lacking,
    plan_curves,
    recall_figures,
)
from featx.evaluation.few_labels.draws import count_training_images, draw_labels
from featx.evaluation.few_labels.figures import Curve, FewLabels, Point
from featx.evaluation.few_labels.notes import note_few_labels
from featx.evaluation.few_labels.training import Chosen, take_labelled, train_on_labelled
from featx.evaluation.result import FittedClassifier
from featx.evaluation.side_by_side import call_in_processes
from featx.features.catalog import LayerSet
from featx.features.matrix import Features
from featx.processes.cluster_calls import call_on_cluster
from featx.processes.parallelism import joblib_backend_surrounds
from featx.types import Progress

WORTH_PROCESSES = 40
"""Classifiers to be trained, from which on a second process earns back the seconds of its start."""

Lacking = dict[int, list[Cell]]
"""Cells that are to be measured, by the number of the draw."""

MeasuredDraw = tuple[int, int, Measured]
"""Place of a layer set, number of a draw, and what was measured."""


def trace_curves(
    comparisons: Sequence[Comparison], whole: Sequence[Mapping[str, float]], progress: Progress | None = None
) -> FewLabels:
    """Trace the curves of all layer sets of all bases.

    Parameters
    ----------
    comparisons : sequence of Comparison
        One a base.
    whole : sequence of mapping of str to float
        For each layer set the accuracy of each classifier with the whole training part.
    progress : callable, optional
        Called with the number of classifiers trained and to be trained.

    Raises
    ------
    RequestError
        As `plan_curves` does.
    """
    plan = plan_curves(comparisons[0])
    tasks = [(comparison, layer_set) for comparison in comparisons for layer_set in comparison.layer_sets]
    figures = measure_all(tasks, plan, progress)
    curves: list[Curve] = []
    for task, of_task, accuracies in zip(tasks, figures, whole, strict=True):
        curves += make_curves(task, plan, of_task, accuracies)
    train = int(comparisons[0].dataset.train.sum())
    notes = note_few_labels(comparisons[0], plan.names, plan.shots)
    return FewLabels(tuple(curves), plan.draws, comparisons[0].request.seed, train, tuple(notes))


def measure_all(tasks: Sequence[Task], plan: Plan, progress: Progress | None) -> list[dict[Cell, DrawnFigures]]:
    """Measure all cells of all layer sets, but for what earlier runs left; each layer set is kept once it is done."""
    figures = [recall_figures(task, plan) for task in tasks]
    lacking = [list_lacking(of_task, plan) for of_task in figures]
    measured: list[dict[int, Measured]] = [{} for _ in tasks]
    total = plan.fits * len(tasks)
    done = total - sum(count_fits(of_task) for of_task in lacking)
    if progress:
        progress(done, total)
    # Closed at once when something stops this: its processes end with it.
    with closing(measure_side_by_side(tasks, lacking)) as results:
        for place, draw, of_draw in results:
            measured[place][draw] = of_draw
            done += len(of_draw)
            if progress:
                progress(done, total)
            if len(measured[place]) == len(lacking[place]):
                figures[place] = keep_figures(tasks[place], figures[place], measured[place])
    return figures


def count_fits(lacking: Lacking) -> int:
    """Count the classifiers to be trained."""
    return sum(map(len, lacking.values()))


def measure_side_by_side(tasks: Sequence[Task], lacking: Sequence[Lacking]) -> Generator[MeasuredDraw, None, None]:
    """Measure what layer sets lack, their draws dealt to as many processes as there are cores where that pays."""
    jobs = cpu_count()
    if tasks and tasks[0][0].request.runner == "ray":
        yield from measure_on_cluster(tasks, lacking)
        return
    if jobs < 2 or joblib_backend_surrounds() or sum(map(count_fits, lacking)) < WORTH_PROCESSES:
        for place, (task, of_task) in enumerate(zip(tasks, lacking, strict=True)):
            yield from measure_draws(place, task, of_task)
        return
    calls = []
    for place, (task, of_task) in enumerate(zip(tasks, lacking, strict=True)):
        for first in range(jobs):
            part = {draw: of_task[draw] for draw in list(of_task)[first::jobs]}
            if part:
                calls.append((place, task, part))
    for results in call_in_processes(measure_in_process, calls, min(jobs, len(calls)), 1):
        yield from results


def measure_on_cluster(tasks: Sequence[Task], lacking: Sequence[Lacking]) -> Generator[MeasuredDraw, None, None]:
    """Measure what layer sets lack on the nodes of a cluster, raising as `call_on_cluster` does."""
    calls = []
    for place, ((comparison, layer_set), of_task) in enumerate(zip(tasks, lacking, strict=True)):
        if of_task:
            calls.append((comparison, (place, layer_set, of_task)))
    if not calls:
        return
    for results in call_on_cluster(measure_on_node, calls, tasks[0][0].request.cache):
        yield from results


def measure_on_node(
    comparison: Comparison, place: int, layer_set: LayerSet, lacking: Lacking, threads: int
) -> list[MeasuredDraw]:
    """Measure what a layer set lacks, on a node of a cluster."""
    return measure_in_process(place, (comparison, layer_set), lacking)


def measure_in_process(place: int, task: Task, lacking: Lacking) -> list[MeasuredDraw]:
    """Measure what a layer set lacks with one thread."""
    with parallel_config("threading", n_jobs=1):
        return list(measure_draws(place, task, lacking))


def measure_draws(place: int, task: Task, lacking: Lacking) -> Iterator[MeasuredDraw]:
    """Measure what a layer set lacks, draw by draw; its features are loaded once."""
    if not lacking:
        return
    comparison, layer_set = task
    features = comparison.features(layer_set)
    for draw, cells in lacking.items():
        yield place, draw, measure_draw(comparison, features, draw, cells)


def measure_draw(comparison: Comparison, features: Features, number: int, cells: Sequence[Cell]) -> Measured:
    """Train on the labelled images of a draw, and judge on the held-out part: accuracy and hyper-parameters."""
    draw = draw_labels(comparison.dataset, comparison.request.seed + number)
    chosen: dict[Cell, Chosen] = {}
    for shots in dict.fromkeys(shots for _, shots in cells):
        names = [name for name, wanted in cells if wanted == shots]
        rows = draw.take(shots)
        labelled = take_labelled(comparison, rows, draw.seed)
        of_rows = replace(
            features,
            digests=features.digests[rows],
            array=features.take(features.rows(rows, comparison.request.views)),
        )
        for name, of_name in train_on_labelled(labelled, names, of_rows).items():
            chosen[name, shots] = of_name
    accuracies = judge(comparison, [classifier for _, classifier in chosen.values()], features)
    return {cell: (accuracy, params) for (cell, (params, _)), accuracy in zip(chosen.items(), accuracies, strict=True)}


def judge(comparison: Comparison, classifiers: Sequence[FittedClassifier], features: Features) -> list[float]:
    """Give the share of the held-out images that each classifier labels correctly; they are read once for all."""
    right = np.zeros(len(classifiers), np.intp)
    for images, X in held_out_blocks(comparison, features):
        truth = comparison.dataset.y[images]
        right += [int((classifier.predict(X)[0] == truth).sum()) for classifier in classifiers]
    shares: list[float] = (right / comparison.dataset.test.sum()).tolist()
    return shares


def make_curves(
    task: Task, plan: Plan, figures: Mapping[Cell, DrawnFigures], whole: Mapping[str, float]
) -> list[Curve]:
    """Put the figures of a layer set together, one curve a classifier; draws beyond those asked for are left out."""
    comparison, layer_set = task
    counts = count_training_images(comparison.dataset)
    curves = []
    for name in plan.names:
        points = []
        for shots in plan.shots:
            drawn = figures[name, shots]
            accuracies = tuple(drawn.accuracies[: plan.draws])
            params = tuple(drawn.params[: plan.draws])
            points.append(Point(shots, int(np.minimum(counts, shots).sum()), accuracies, params))
        base = comparison.base.id.architecture
        curves.append(Curve(base, layer_set.name, layer_set.pooling, name, tuple(points), whole[name]))
    return curves
