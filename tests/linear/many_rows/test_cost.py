"""Passes use the threads that their surroundings leave them."""

from __future__ import annotations

from joblib import Parallel, cpu_count, delayed, parallel_config

from featx.linear.many_rows.cost import count_threads


def test_threads_are_those_asked_for_else_of_the_surroundings_else_all() -> None:
    assert count_threads(3) == 3
    assert count_threads(-1) == cpu_count()
    assert count_threads() == cpu_count()
    with parallel_config("threading", n_jobs=3):
        assert count_threads() == 3
    with parallel_config("threading", n_jobs=1):
        assert count_threads() == 1


def test_folds_in_threads_have_one_thread_each() -> None:
    counts = Parallel(n_jobs=2, prefer="threads")(delayed(count_threads)() for _ in range(2))
    assert counts == [1, 1]
