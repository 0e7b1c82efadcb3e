"""The page on scaling says what the simulator computes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def planning() -> ModuleType:
    """The simulator, which is a script."""
    spec = importlib.util.spec_from_file_location("scaling_plan", ROOT / "benchmarks" / "scaling_plan.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Data classes look their module up.
    sys.modules["scaling_plan"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("what", ["tabulate_bytes", "tabulate_memory", "tabulate_time"])
def test_its_tables_are_those_of_the_simulator(planning: ModuleType, what: str) -> None:
    assert getattr(planning.Plan(), what)() in PAGE


def test_its_prices_and_measurements_are_those_that_the_simulator_takes(planning: ModuleType) -> None:
    text = " ".join(PAGE.split())
    measured = planning.MEASURED
    assert f"{measured.digest_bytes} bytes of digest a row and some {measured.part_overhead:,} bytes of its own" in text
    assert f"parts of {measured.part_rows:,} rows" in text
    assert f"takes {measured.find_ms} ms for a part" in text
    assert f"{measured.path_bytes} bytes of a path" in text
    assert f"{measured.known_bytes} of its stamp and digest" in text
    assert f"{measured.index_bytes} a row and key" in text
    assert f"computes {measured.images_per_second:,} photos" in text
    assert f"items of {planning.ITEM_ROWS:,} rows" in text
    assert f"{planning.PRICES.put * 1000:g} for a thousand PUT" in text
    assert f"{planning.PRICES.get * 1000:g} for a thousand GET" in text
    assert f"{planning.PRICES.gpu_hour:g} dollars for an hour of a GPU" in text


def test_prices_fall_by_steps(planning: ModuleType) -> None:
    month = planning.PRICES.store_month
    assert month(50e12) == pytest.approx(50_000 * 0.023)
    assert month(600e12) == pytest.approx(50_000 * 0.023 + 450_000 * 0.022 + 100_000 * 0.021)


def test_the_simulated_workers_lose_about_half_an_item_each_time_one_ends(planning: ModuleType) -> None:
    run = planning.simulate(10**8, 64, hours_between_failures=0.2)
    assert run.failures > 50
    assert 0.35 < run.repeated / run.failures / planning.ITEM_ROWS < 0.65
    # Without failures it is images by speed, and the start.
    alone = planning.simulate(10**7, 4, hours_between_failures=1e9)
    ideal = 10**7 / 4 / planning.MEASURED.images_per_second + planning.MEASURED.start_seconds
    assert alone.hours * 3600 == pytest.approx(ideal, rel=0.01)


def test_the_simulator_takes_what_the_runner_does(planning: ModuleType) -> None:
    from featx.runners.work_items import ITEM_ROWS
    from featx.store.part import PART_BYTES
    from featx.store.writer import rows_per_part

    assert planning.ITEM_ROWS == ITEM_ROWS
    assert planning.MEASURED.part_bytes == PART_BYTES
    assert planning.MEASURED.part_rows == rows_per_part(10**9)
