"""The limit of one thread is put back whatever the order in which threads that want it end."""

from __future__ import annotations

from threading import Event, Thread

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
