"""A call in the background gives what it returns or raises, and keeps nobody waiting who does not ask for it."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from featx.errors import DataError
from featx.processes.background import Background


def test_the_call_goes_on_beside_and_gives_its_result() -> None:
    gate = threading.Event()
    call = Background(lambda: gate.wait(20))
    gate.set()
    assert call.result() is True


def test_what_it_raises_is_raised_where_the_result_is_wanted() -> None:
    def fail() -> None:
        raise DataError("nothing there")

    call = Background(fail)
    with pytest.raises(DataError, match="nothing there"):
        call.result()


def test_the_program_does_not_wait_for_it() -> None:
    script = "import time\nfrom featx.processes.background import Background\nBackground(lambda: time.sleep(600))\n"
    assert subprocess.run([sys.executable, "-c", script], timeout=30, check=False).returncode == 0
