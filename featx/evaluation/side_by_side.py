"""Evaluate many layer sets, several at a time where that pays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from joblib import Parallel, cpu_count, delayed, parallel_config

from featx.evaluation.protocol import Comparison
from featx.evaluation.result_cache import Evaluation
from featx.features.catalog import LayerSet

WORTH_PROCESSES = 1_000_000
"""Numbers in all features to be judged, from which on a second process earns back the seconds of its start."""


def evaluate_side_by_side(tasks: Sequence[tuple[Comparison, LayerSet]]) -> Iterator[tuple[int, list[Evaluation]]]:
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


def evaluate_at(place: int, task: tuple[Comparison, LayerSet], threads: int) -> tuple[int, list[Evaluation]]:
    """Judge one cut, folds in threads, and say where it belongs."""
    experiment, cut = task
    with parallel_config("threading", n_jobs=threads):
        return place, experiment.evaluate(cut)
