"""Long time slices are asked for where the system grants them, for all threads; elsewhere nothing happens."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from featx.processes.time_slices import SLICE_SECONDS, SYSTEM_CALLS, ask_for_long_slices

READ = """
import ctypes, platform, threading
from featx.processes.time_slices import SYSTEM_CALLS, SchedulingAttributes, ask_for_long_slices

def read():
    attributes = SchedulingAttributes()
    number = SYSTEM_CALLS[platform.machine()][0]
    assert ctypes.CDLL(None).syscall(number, 0, ctypes.byref(attributes), ctypes.sizeof(attributes), 0) == 0
    found.append((attributes.runtime, attributes.nice, attributes.policy))

def wait_and_read():
    asked.wait(20)
    read()

found, asked = [], threading.Event()
before = threading.Thread(target=wait_and_read)
before.start()
read()
ask_for_long_slices()
asked.set()
before.join()
after = threading.Thread(target=read)
after.start()
after.join()
read()
print(found)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="slices can be asked for on Linux only")
@pytest.mark.skipif(platform.machine() not in SYSTEM_CALLS, reason="calls of this processor are not known")
def test_all_threads_have_the_slice_and_nothing_else_changes() -> None:
    result = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, timeout=60, check=True)
    first, *others = eval(result.stdout)
    if not first[0]:
        pytest.skip("this system tells no slices: Linux does from 6.12 on")
    assert others == [(int(SLICE_SECONDS * 1e9), *first[1:])] * 3


def test_a_processor_whose_calls_are_not_known_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "s390x")
    monkeypatch.setattr("ctypes.CDLL", lambda name: pytest.fail("the system was asked"))
    ask_for_long_slices()
