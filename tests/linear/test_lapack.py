"""The limit of one thread is put back whatever the order in which threads that want it end."""

from __future__ import annotations

from threading import Event, Thread

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from featx.linear.lapack import compute_column_moments, map_threads, one_thread


def count_blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_the_limit_is_put_back_when_the_last_of_two_that_overlap_ends() -> None:
    before = count_blas_threads()
    first, second = one_thread(), one_thread()
    first.__enter__()
    second.__enter__()
    assert count_blas_threads() == {1}
    first.__exit__(None, None, None)
    assert count_blas_threads() == {1}
    second.__exit__(None, None, None)
    assert count_blas_threads() == before


def test_a_thread_gets_the_limit_that_another_thread_had_before_and_puts_it_back() -> None:
    before = count_blas_threads()
    with one_thread():
        pass
    counts: list[set[int]] = []

    def hold() -> None:
        with one_thread():
            counts.append(count_blas_threads())
        counts.append(count_blas_threads())

    thread = Thread(target=hold)
    thread.start()
    thread.join()
    assert counts == [{1}, before]


def test_the_thread_that_ends_last_puts_back_what_another_one_had_set() -> None:
    before = count_blas_threads()
    is_held, may_end = Event(), Event()

    def hold() -> None:
        with one_thread():
            is_held.set()
            may_end.wait(60)

    thread = Thread(target=hold)
    thread.start()
    assert is_held.wait(60)
    with one_thread():
        may_end.set()
        thread.join()
        assert count_blas_threads() == {1}
    assert count_blas_threads() == before


@pytest.mark.parametrize("weighted", [False, True])
def test_moments_of_columns_are_the_same_of_few_rows_and_of_many(weighted: bool) -> None:
    draw = np.random.default_rng(0)
    x = (5 + draw.standard_normal((20_000, 3))).astype(np.float32)
    shares = draw.uniform(0.5, 2.0, len(x)) if weighted else np.ones(len(x))
    shares /= shares.sum()
    mean, variance = compute_column_moments(x, shares if weighted else None)
    expected = shares @ x.astype(np.float64)
    assert np.allclose(mean, expected, rtol=1e-13)
    assert np.allclose(variance, shares @ (x - expected) ** 2, rtol=1e-12)
    in_threads = compute_column_moments(x, shares if weighted else None, threads=3)
    assert all(np.array_equal(a, b) for a, b in zip((mean, variance), in_threads, strict=True))


def test_results_of_threads_come_in_order() -> None:
    assert list(map_threads(lambda n: n * n, range(100), 3)) == [n * n for n in range(100)]
