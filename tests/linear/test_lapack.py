"""The limit of one thread is put back whatever the order in which threads that want it end."""

from __future__ import annotations

from threadpoolctl import threadpool_info

from featx.linear.lapack import one_thread


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
