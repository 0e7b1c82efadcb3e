from __future__ import annotations

import platform
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from featx.images import memory_budget
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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_that_threads_have_freed_is_returned_before_more_is_taken() -> None:
    program = """
        import threading
        from PIL import Image
        from featx.images.memory_budget import FreedMemory, MemoryBudget, count_resident_bytes

        freed = FreedMemory()
        budget = MemoryBudget(400_000_000)
        freed.make_room(0, budget)
        before = count_resident_bytes()
        kept = []

        def use() -> None:
            # A small piece behind a large picture keeps its memory from being returned.
            for _ in range(4):
                picture = Image.new("RGB", (4000, 4000))
                kept.append(Image.new("RGB", (100, 100)))
                del picture

        threads = [threading.Thread(target=use) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with budget.hold(350_000_000):
            freed.make_room(350_000_000, budget)
            assert count_resident_bytes() - before < 50_000_000
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60)


def test_memory_is_returned_before_who_waits_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    returned = []
    monkeypatch.setattr(memory_budget, "return_freed_memory", lambda: returned.append(budget.held))
    budget = MemoryBudget(100)
    freed = memory_budget.FreedMemory()
    freed.floor = 2**60  # so that nothing has to be returned on entering
    with budget.hold(80), freed.kept_low(80, budget):
        pass
    assert returned == []
    with ThreadPoolExecutor(1) as pool:
        with budget.hold(80), freed.kept_low(80, budget):
            waiting = pool.submit(lambda: budget.hold(90).__enter__())
            while not budget.waiting:
                time.sleep(0.001)
        waiting.result()
    assert returned == [80]


def test_what_others_hold_is_no_part_of_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_budget, "count_resident_bytes", lambda: 1000)
    budget, files = MemoryBudget(500), MemoryBudget(100)
    freed = memory_budget.FreedMemory()
    freed.files.append(files)
    with budget.hold(300), budget.hold(50), files.hold(40):
        freed.make_room(50, budget)
    assert freed.floor == 1000 - 300 - 2 * 40


def test_only_a_thread_that_is_alone_moves_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    resident = [1000]
    monkeypatch.setattr(memory_budget, "count_resident_bytes", lambda: resident[0])
    budget = MemoryBudget(500)
    freed = memory_budget.FreedMemory()
    with budget.hold(50):
        freed.make_room(50, budget)
    assert freed.floor == 1000
    resident[0] = 1700
    with budget.hold(300), budget.hold(50):
        freed.make_room(50, budget)
    assert freed.floor == 1000, "others may have more than they hold: a floor that is too high never comes down"
    with budget.hold(50):
        freed.make_room(50, budget)
    assert freed.floor == 1700


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep what they like")
def test_a_large_picture_takes_the_memory_that_the_one_before_it_has_freed() -> None:
    program = """
        import io
        import resource
        import threading
        from PIL import Image
        from featx.images.decode import decode

        file = io.BytesIO()
        Image.new("RGB", (6000, 4000), "green").save(file, "JPEG")
        faults = []

        def use() -> None:
            for _ in range(3):
                before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
                decode(file.getvalue())
                faults.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        pages = 4 * 6000 * 4000 / resource.getpagesize()
        assert faults[-1] < pages / 10, (pages, faults)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60)
