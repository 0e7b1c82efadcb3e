"""Evaluate many layer sets, several at a time where that pays."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Container, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from joblib import Parallel, cpu_count, delayed, parallel_config

from featx.classifiers.registry import Linear, find_classifier
from featx.evaluation.comparison import Comparison, Task
from featx.evaluation.evaluate import evaluate_layer_set, recall
from featx.evaluation.result import Evaluation
from featx.features.catalog import LayerSet
from featx.features.splits import FOLDS, validates_once
from featx.linear.many_rows.cost import Problem
from featx.log import note
from featx.processes.cluster_calls import call_on_cluster
from featx.processes.parallelism import WORTH_PROCESSES, count_numbers, joblib_backend_surrounds, limit_threads
from featx.processes.workers import Workers
from featx.types import Progress

WORTH_SAYING = 60.0
"""Seconds from which on what is to come is said beforehand."""

log = logging.getLogger(__name__)

R = TypeVar("R")

Step = Callable[[Comparison, LayerSet], R]
"""Work on one layer set: a function of a module, or a `functools.partial` of one, which nodes of a cluster import."""

Results = Generator[tuple[int, list[Evaluation]], None, None]
"""Places of tasks, and their evaluations."""


def evaluate_side_by_side(tasks: Sequence[Task]) -> Results:
    """Evaluate layer sets, several at a time where that pays; yield place and evaluations as they come.

    The largest layer set comes first. Small arrays keep Python busy more than linear algebra, so layer sets go to
    processes, and only folds to threads.
    """
    sizes = [count_work(comparison, layer_set) for comparison, layer_set in tasks]
    largest_first = np.argsort(sizes, kind="stable")[::-1].tolist()
    cpus = cpu_count()
    if tasks and tasks[0][0].request.runner == "ray":
        yield from evaluate_on_cluster(tasks, [place for place in largest_first if sizes[place]])
        # What earlier runs left needs no cluster.
        largest_first = [place for place in largest_first if not sizes[place]]
        sizes = []
    jobs = 1
    if sum(sizes) > WORTH_PROCESSES:
        jobs = min(cpus, np.count_nonzero(sizes))
    if jobs < 2:
        for place in largest_first:
            yield evaluate_at(place, tasks[place], cpus)
    elif joblib_backend_surrounds():
        calls = (delayed(evaluate_at)(place, tasks[place], cpus // jobs) for place in largest_first)
        yield from Parallel(n_jobs=jobs, return_as="generator_unordered")(calls)
    else:
        yield from evaluate_in_processes(tasks, largest_first, jobs, cpus // jobs)


def evaluate_tasks(tasks: Sequence[Task], progress: Progress | None = None) -> list[list[Evaluation]]:
    """Evaluate layer sets as `evaluate_side_by_side` does, and give their evaluations in the order of the tasks.

    Parameters
    ----------
    progress : callable, optional
        Called with the number of evaluations done and to be done.
    """
    total = sum(len(comparison.classifiers) for comparison, _ in tasks)
    announce_seconds(estimate_seconds(tasks))
    done = 0
    by_place: dict[int, list[Evaluation]] = {}
    # Closed at once when something stops this: its processes end with it.
    with closing(evaluate_side_by_side(tasks)) as results:
        for place, evaluations in results:
            by_place[place] = evaluations
            done += len(evaluations)
            if progress:
                progress(done, total)
    return [by_place[place] for place in range(len(tasks))]


def estimate_seconds(tasks: Sequence[Task]) -> float:
    """Estimate what fits on many rows will take on all cores, in seconds; those on few rows count as nothing.

    What takes long is multiplication, which processes share among cores as threads do.
    """
    seconds = 0.0
    for comparison, layer_set in tasks:
        linear = [name for name in comparison.classifiers if isinstance(find_classifier(name), Linear)]
        images = int(comparison.dataset.train.sum())
        folds = 1 if validates_once(images) else FOLDS
        rows = images * comparison.request.views
        problem = Problem(rows, layer_set.dim, len(comparison.dataset.classes), folds)
        if linear and problem.is_large and count_work(comparison, layer_set):
            seconds += sum(problem.estimate_seconds(name, cpu_count()) for name in linear)
    return seconds


def announce_seconds(seconds: float) -> None:
    """Say beforehand what fits will take where that is more than a minute."""
    if seconds > WORTH_SAYING:
        note(log, f"linear classifiers on so many rows take about {seconds / 60:.0f} min on {cpu_count()} cores")


def evaluate_on_cluster(tasks: Sequence[Task], order: Sequence[int]) -> Results:
    """Evaluate layer sets on the nodes of a cluster, raising as `call_on_cluster` does."""
    yield from take_on_cluster({place: (evaluate_for_table, tasks[place]) for place in order})


def take_steps(steps: Mapping[int, tuple[Step[R], Task]], here: Container[int]) -> dict[int, R]:
    """Take some steps one after another in this process and all others on the nodes of a cluster; results by place.

    Raises
    ------
    FeatxError
        What a step raised; with others than those here, also as `call_on_cluster` does.
    """
    results: dict[int, R] = {}
    on_cluster = {place: step for place, step in steps.items() if place not in here}
    # Closed at once when something stops this: the connection ends with it.
    with closing(take_on_cluster(on_cluster)) as taken:
        results.update(taken)
    for place, (step, (comparison, layer_set)) in steps.items():
        if place in here:
            results.update([take_step(comparison, place, step, layer_set, cpu_count())])
    return results


def take_on_cluster(steps: Mapping[int, tuple[Step[R], Task]]) -> Generator[tuple[int, R], None, None]:
    """Take steps on the nodes of a cluster; yield place and result as they come.

    Nodes read features from the cache that they share. Without steps, no cluster is opened.

    Parameters
    ----------
    steps : mapping of int to (step, task)
        In the order in which they begin.

    Raises
    ------
    FeatxError
        As `call_on_cluster` does.
    """
    calls = []
    for place, (step, (comparison, layer_set)) in steps.items():
        calls.append((comparison, (place, step, layer_set)))
    if calls:
        comparison, _ = calls[0]
        yield from call_on_cluster(take_step, calls, comparison.request.cache)


def take_step(comparison: Comparison, place: int, step: Step[R], layer_set: LayerSet, threads: int) -> tuple[int, R]:
    """Take one step, folds in threads, and say where its result belongs."""
    with parallel_config("threading", n_jobs=threads):
        return place, step(comparison, layer_set)


def evaluate_in_processes(tasks: Sequence[Task], order: Sequence[int], jobs: int, threads: int) -> Results:
    """Evaluate layer sets in processes, raising as `call_in_processes` does."""
    calls = [(place, tasks[place], threads) for place in order]
    yield from call_in_processes(evaluate_at, calls, jobs, threads)


def call_in_processes(
    function: Callable[..., R], calls: Sequence[tuple[Any, ...]], jobs: int, threads: int
) -> Generator[R, None, None]:
    """Call a function in processes that end with this one; yield what it returns as it comes.

    Parameters
    ----------
    function : callable
        Of a module, since the processes import it.
    calls : sequence of tuple
        Arguments of each call, in the order in which they begin; as many as jobs at least.
    jobs : int
        Processes.
    threads : int
        Threads of linear algebra in each.

    Raises
    ------
    FeatxError
        What a call raised, or if the system ended a process.
    """
    waiting = deque(calls)
    with Workers(jobs, limit_threads(threads)) as workers:
        for worker in range(jobs):
            workers.call(worker, function, *waiting.popleft())
        for _ in calls:
            worker, result = workers.next_result()
            if waiting:
                workers.call(worker, function, *waiting.popleft())
            yield result


def count_work(comparison: Comparison, layer_set: LayerSet) -> int:
    """Count the numbers that evaluating a layer set goes through; none where earlier runs left all results."""
    if len(recall(comparison, layer_set)) == len(comparison.classifiers):
        return 0
    return count_numbers(len(comparison.dataset.y) * comparison.request.views, layer_set.dim)


def evaluate_at(place: int, task: Task, threads: int) -> tuple[int, list[Evaluation]]:
    """Evaluate one layer set, folds in threads, and say where it belongs."""
    comparison, layer_set = task
    return take_step(comparison, place, evaluate_for_table, layer_set, threads)


def evaluate_for_table(comparison: Comparison, layer_set: LayerSet) -> list[Evaluation]:
    """Evaluate one layer set, and leave out the classifiers.

    Those of wide layers take megabytes each, and evaluations travel from one process to another.
    """
    return [replace(evaluation, classifier=None) for evaluation in evaluate_layer_set(comparison, layer_set)]
