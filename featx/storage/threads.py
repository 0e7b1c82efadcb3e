"""Threads that make requests side by side, and wait for no more answers once nobody wants them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

from featx.storage.client import find_stop_event, heed_stop


@contextmanager
def requesting_threads(count: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Start threads that may make requests; what they have not begun at the end is given up.

    Where the end comes early, as by Ctrl-C, they wait for no more answers of buckets.

    Parameters
    ----------
    count : int
    name : str
        How the names of the threads begin.
    """
    outer = find_stop_event()
    # Threads of a thread end with it; others of its kind go on when it fails.
    stop = Event() if outer is None else outer
    pool = ThreadPoolExecutor(count, thread_name_prefix=name, initializer=heed_stop, initargs=(stop,))
    try:
        yield pool
    except BaseException:
        if outer is None:
            stop.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
