from __future__ import annotations

import threading
import time

import pytest

from featx.images.memory_budget import MemoryBudget


def test_large_pictures_wait_for_each_other() -> None:
    budget = MemoryBudget(100)
    held: list[int] = []
    sums: list[int] = []

    def work(share: int) -> None:
        with budget.hold(share):
            held.append(share)
            sums.append(sum(held))
            time.sleep(0.01)
            held.remove(share)

    threads = [threading.Thread(target=work, args=(share,)) for share in (60, 60, 30, 70, 10, 10, 100) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(sums) <= 100
    assert budget.held == 0


def test_a_share_larger_than_all_is_given_to_one_alone() -> None:
    budget = MemoryBudget(100)
    with budget.hold(250):
        assert budget.held == 250
    assert budget.held == 0


def test_an_error_gives_the_share_back() -> None:
    budget = MemoryBudget(100)
    with pytest.raises(ValueError, match="broken"), budget.hold(60):
        raise ValueError("broken")
    assert budget.held == 0
