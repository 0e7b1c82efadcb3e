"""Workers do what they are told, tell what went wrong, and never outlive who started them. Real processes."""

from __future__ import annotations

import logging
import operator
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from featx.errors import DataError, unknown
from featx.processes.worker import DONE, FAILED, REPORT, STOPPED_CODE, report
from featx.processes.workers import WorkerEnded, Workers

posix = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

PARENT = """
import sys, time
from featx.processes.workers import Workers

workers = Workers(2)
workers.call(0, {call})
workers.call(1, time.sleep, 600)
print(*[process.pid for process in workers.processes], flush=True)
time.sleep(600)
"""


SWALLOWED = """
import signal, time, weakref
class Thing: pass
thing = Thing()
reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGTERM))
del thing
time.sleep(600)
"""

WRAPPED = """
import signal
try:
    signal.raise_signal(signal.SIGTERM)
except KeyboardInterrupt as stop:
    raise RuntimeError("as a class body does in Python 3.11") from stop
"""


def is_alive(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_until_dead(processes: list[int], seconds: float = 5) -> list[int]:
    end = time.monotonic() + seconds
    while (alive := [process for process in processes if is_alive(process)]) and time.monotonic() < end:
        time.sleep(0.02)
    return alive


def test_calls_return_what_they_return() -> None:
    with Workers(2) as workers:
        workers.call(0, operator.add, 1, 2)
        workers.call(1, operator.add, [3], [4])
        results = dict(workers.next_result() for _ in range(2))
        assert results == {0: 3, 1: [3, 4]}
        workers.call(1, os.getpid)
        assert workers.next_result() == (1, workers.processes[1].pid)


def test_progress_arrives_before_the_result() -> None:
    with Workers(1) as workers:
        workers.call(0, report, (3, 5))
        replies = [workers.wait() for _ in range(2)]
    assert [(reply.kind, reply.value) for reply in replies] == [(REPORT, (3, 5)), (DONE, None)]


def test_an_error_is_raised_as_it_was() -> None:
    with Workers(1) as workers:
        workers.call(0, raise_error, unknown("layer", "layer9", ["layer1"]))
        with pytest.raises(LookupError, match="unknown layer 'layer9'"):
            workers.next_result()
        workers.call(0, raise_error, DataError("too few"))
        assert workers.wait().kind == FAILED


def test_a_mistake_of_ours_brings_its_traceback() -> None:
    with Workers(1) as workers:
        workers.call(0, operator.truediv, 1, 0)
        with pytest.raises(ZeroDivisionError) as caught:
            workers.next_result()
        assert "carry_out" in caught.value.__notes__[0]
        workers.call(0, raise_error, UnpicklableError("a", "b"))
        with pytest.raises(RuntimeError, match="UnpicklableError: a and b"):
            workers.next_result()


def test_what_a_worker_logs_is_logged_here(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "featx"), Workers(1) as workers:
        workers.call(0, log_lines)
        workers.next_result()
    assert [(record.name, record.levelname, record.getMessage()) for record in caplog.records] == [
        ("featx.some.module", "INFO", "50 % done"),
        ("featx.some.module", "WARNING", "odd"),
    ]


def test_what_a_worker_prints_is_not_on_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    with Workers(1) as workers:
        workers.call(0, os.system, "echo printed")
        workers.next_result()
        workers.call(0, os.read, 0, 10)
        assert workers.next_result() == (0, b"")
    assert capfd.readouterr() == ("", "printed\n")


def test_a_worker_that_ends_is_one_clear_line() -> None:
    with Workers(2) as workers:
        workers.call(1, os._exit, 9)
        with pytest.raises(WorkerEnded, match="the system ended one of the processes"):
            workers.next_result()


def test_no_module_is_taken_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pickle", "signal", "featx", "numpy"):
        (tmp_path / f"{name}.py").write_text("open('was-run', 'w')\n")
    monkeypatch.chdir(tmp_path)
    with Workers(1) as workers:
        workers.call(0, operator.add, 1, 2)
        assert workers.next_result() == (0, 3)
    assert not (tmp_path / "was-run").exists()


@posix
def test_leaving_ends_the_workers_whatever_they_do() -> None:
    with Workers(2) as workers:
        processes = [process.pid for process in workers.processes]
        workers.call(0, time.sleep, 600)
        assert all(map(is_alive, processes))
    assert wait_until_dead(processes, 0) == []


@posix
def test_a_worker_stops_when_it_is_told_to_however_soon() -> None:
    with Workers(2) as workers:
        workers.call(0, time.sleep, 600)
        workers.stop()
        workers.stop()
        workers.wait_for_ends()
        assert workers.ended == {0, 1}


@posix
def test_a_worker_stops_where_python_swallows_the_signal() -> None:
    with Workers(2) as workers:
        workers.call(0, exec, SWALLOWED)
        workers.call(1, exec, WRAPPED)
        assert [process.wait(20) for process in workers.processes] == [STOPPED_CODE] * 2


@posix
def test_ctrl_c_and_a_closed_terminal_are_left_to_the_parent() -> None:
    with Workers(1) as workers:
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(workers.processes[0].pid, number)
        workers.call(0, operator.add, 1, 2)
        assert workers.next_result() == (0, 3)
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(workers.processes[0].pid, number)
        workers.call(0, operator.add, 1, 2)
        assert workers.next_result() == (0, 3)


@posix
def test_workers_of_a_thread_outlive_it() -> None:
    # Linux sends the signal for the death of a parent when the thread dies that started the process.
    made: list[Workers] = []
    thread = threading.Thread(target=lambda: made.append(Workers(1)))
    thread.start()
    thread.join()
    with made[0] as workers:
        time.sleep(0.5)
        workers.call(0, operator.add, 1, 2)
        assert workers.next_result() == (0, 3)


@posix
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("way", ["signal", "pipe", "signal, busy", "at once"])
def test_workers_die_with_a_killed_parent(way: str, tmp_path: Path) -> None:
    # Without the signal only the pipe tells, as on other systems than Linux; a worker that is busy in C gets no turn.
    call = "pow, 3, 7**9" if way == "signal, busy" else "time.sleep, 600"
    script = PARENT.format(call=call)
    if way == "pipe":
        in_a_thread = "import threading\nthread = threading.Thread(target=exec, args=({0!r},))\nthread.start()\n"
        script = in_a_thread.format(script)
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    processes = [int(word) for word in parent.stdout.readline().split()]
    assert len(processes) == 2
    if way != "at once":
        time.sleep(1)
        assert all(map(is_alive, processes))
    parent.kill()
    parent.wait()
    # The end of the pipe: nobody else holds it.
    assert parent.stdout.read() == ""
    parent.stdout.close()
    try:
        assert wait_until_dead(processes) == []
    finally:
        for process in processes:
            if is_alive(process):
                os.kill(process, signal.SIGKILL)


def raise_error(error: Exception) -> None:
    raise error


def log_lines() -> None:
    log = logging.getLogger("featx.some.module")
    log.debug("not wanted")
    log.info("%d %% done", 50)
    log.warning("odd")


class UnpicklableError(Exception):
    """Made of two words, of which pickle keeps none."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")
        self.words = (first, second)

    def __reduce__(self) -> tuple[type, tuple[str, ...]]:
        # Sent to the worker with both, but not back.
        in_worker = os.environ.get("FEATX_TEST_PARENT") != str(os.getpid())
        return type(self), self.words[:1] if in_worker else self.words


os.environ.setdefault("FEATX_TEST_PARENT", str(os.getpid()))
