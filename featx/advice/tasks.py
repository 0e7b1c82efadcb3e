"""Several measurements at a time: in processes where that pays, since small arrays keep Python busy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from joblib import cpu_count

from featx.processes.parallelism import WORTH_PROCESSES, joblib_backend_surrounds, limit_threads
from featx.processes.workers import Workers
from featx.types import Progress

Task = tuple[Callable[..., Any], tuple[Any, ...]]
"""An importable function and its arguments; it is given the folds to do at a time as a further one, called `jobs`."""


class SideBySide:
    """Carries out tasks, one a CPU at a time; to be used in a `with` statement, at whose end its processes end.

    Parameters
    ----------
    numbers : int
        Numbers in all features, by `count_numbers`: processes earn back their start from `WORTH_PROCESSES` on.
    """

    def __init__(self, numbers: int) -> None:
        is_worth_it = numbers > WORTH_PROCESSES and not joblib_backend_surrounds()
        self.jobs = cpu_count() if is_worth_it else 1
        self._stack = ExitStack()
        self._workers: Workers | None = None
        self._importing = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def run(self, tasks: Sequence[Task], progress: Progress | None = None) -> list[Any]:
        """Carry out tasks, the first ones first, and give what they return, in their order.

        Raises
        ------
        FeatxError
            What one of them raised, or if the system ended a process.
        """
        results: dict[int, Any] = {}
        if self.jobs < 2:
            for place, (function, arguments) in enumerate(tasks):
                results[place] = function(*arguments, jobs=cpu_count())
                if progress:
                    progress(len(results), len(tasks))
            return list(results.values())
        workers = self.start()
        for _ in range(self._importing):
            workers.next_result()
        self._importing = 0
        waiting = deque(enumerate(tasks))
        for worker in range(min(len(workers), len(tasks))):
            workers.call(worker, carry_out, *waiting.popleft())
        for _ in tasks:
            worker, (place, result) = workers.next_result()
            if waiting:
                workers.call(worker, carry_out, *waiting.popleft())
            results[place] = result
            if progress:
                progress(len(results), len(tasks))
        return [results[place] for place in range(len(tasks))]

    def import_early(self, function: Callable[..., Any]) -> None:
        """Have the processes start and import the module of a function, while this one goes on."""
        if self.jobs > 1:
            workers = self.start()
            for worker in range(len(workers)):
                workers.call(worker, accept, function)
            self._importing = len(workers)

    def start(self) -> Workers:
        """Start the processes, unless they run already."""
        if self._workers is None:
            self._workers = self._stack.enter_context(Workers(self.jobs, limit_threads(1)))
        return self._workers


def accept(function: Callable[..., Any]) -> None:
    """Do nothing: to receive the function is to import its module."""


def carry_out(place: int, task: Task) -> tuple[int, Any]:
    """Carry out one task, its folds one after another, and say where its result belongs."""
    function, arguments = task
    return place, function(*arguments, jobs=1)
