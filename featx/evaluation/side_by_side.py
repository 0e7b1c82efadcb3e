"""Evaluate many layer sets, several at a time where that pays."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from joblib import Parallel, cpu_count, delayed, parallel_config

from featx.evaluation.comparison import Comparison
from featx.evaluation.evaluate import evaluate_layer_set, recall
from featx.evaluation.result import Evaluation
from featx.features.catalog import LayerSet

WORTH_PROCESSES = 1_000_000
"""Numbers in all features to be evaluated, from which on a second process earns back the seconds of its start."""

Task = tuple[Comparison, LayerSet]


def evaluate_side_by_side(tasks: Sequence[Task]) -> Iterator[tuple[int, list[Evaluation]]]:
    """Evaluate layer sets, several at a time where that pays; yield place and evaluations as they come.

    The largest layer set comes first. Small arrays keep Python busy more than linear algebra, so layer sets go to
    processes, and only folds to threads.
    """
    sizes = [count_work(comparison, layer_set) for comparison, layer_set in tasks]
    largest_first = np.argsort(sizes, kind="stable")[::-1].tolist()
    cpus = cpu_count()
    jobs = 1
    if sum(sizes) > WORTH_PROCESSES:
        jobs = min(cpus, np.count_nonzero(sizes))
    if jobs < 2:
        for place in largest_first:
            yield evaluate_at(place, tasks[place], cpus)
    else:
        calls = (delayed(evaluate_at)(place, tasks[place], cpus // jobs) for place in largest_first)
        # A terminal sends Ctrl-C to all processes; this one ends the others.
        ignoring = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}
        yield from Parallel(n_jobs=jobs, return_as="generator_unordered", **ignoring)(calls)


def count_work(comparison: Comparison, layer_set: LayerSet) -> int:
    """Count the numbers that evaluating a layer set goes through; none where earlier runs left all results."""
    if len(recall(comparison, layer_set)) == len(comparison.classifiers):
        return 0
    return comparison.count_numbers(layer_set)


def evaluate_at(place: int, task: Task, threads: int) -> tuple[int, list[Evaluation]]:
    """Evaluate one layer set, folds in threads, and say where it belongs."""
    comparison, layer_set = task
    with parallel_config("threading", n_jobs=threads):
        evaluations = evaluate_layer_set(comparison, layer_set)
    # Classifiers of wide layers take megabytes each, and evaluations travel from one process to another.
    return place, [replace(evaluation, classifier=None) for evaluation in evaluations]
