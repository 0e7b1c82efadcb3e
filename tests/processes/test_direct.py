"""One worker and the thread that waits for it. Real processes."""

from __future__ import annotations

import logging
import operator
import os

import pytest

from featx.processes.direct import DirectWorker
from featx.processes.workers import WorkerEnded
from tests.processes.test_workers import log_lines, raise_error, wait_until_dead

posix = pytest.mark.skipif(os.name == "nt", reason="signals and open files of POSIX")


def test_a_call_returns_raises_and_logs_what_the_function_does(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "featx"):
        worker = DirectWorker({"FEATX_TEST_VARIABLE": "here"})
        try:
            assert worker.call(operator.add, [1], [2]) == [1, 2]
            assert worker.call(os.getenv, "FEATX_TEST_VARIABLE") == "here"
            assert worker.call(os.getpid) == worker.process.pid
            with pytest.raises(LookupError, match="nothing there"):
                worker.call(raise_error, LookupError("nothing there"))
            assert worker.call(log_lines) is None
        finally:
            worker.close()
    assert [record.getMessage() for record in caplog.records] == ["50 % done", "odd"]


def test_a_worker_that_ends_in_a_call_or_before_it_is_one_clear_line() -> None:
    worker = DirectWorker()
    try:
        with pytest.raises(WorkerEnded, match="the system ended a process"):
            worker.call(os._exit, 9)
        with pytest.raises(WorkerEnded, match="the system ended a process"):
            worker.call(operator.add, 1, "x" * 2**20)
    finally:
        worker.close()
    assert wait_until_dead([worker.process.pid], 0) == []


@posix
def test_a_worker_writes_to_an_open_file_that_it_was_given() -> None:
    descriptor, written = os.pipe()
    worker = DirectWorker(descriptors=(written,))
    try:
        assert worker.call(os.write, written, b"pixels") == 6
        assert os.read(descriptor, 10) == b"pixels"
    finally:
        worker.close()
        os.close(descriptor)
        os.close(written)
