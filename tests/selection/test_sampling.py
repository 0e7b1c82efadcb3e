from __future__ import annotations

import numpy as np
import pytest

from featx.features.splits import LabelledRows
from featx.selection.sampling import draw_rows


def test_few_rows_are_all_drawn() -> None:
    rows = LabelledRows(np.arange(30) % 3, np.arange(30))
    assert draw_rows(rows, 30, 0).tolist() == list(range(30))


def test_each_class_is_drawn_by_its_share() -> None:
    y = np.repeat([0, 1, 2], [6000, 3000, 1000])
    drawn = draw_rows(LabelledRows(y, np.arange(10000)), 1000, 0)
    assert np.bincount(y[drawn]).tolist() == [600, 300, 100]
    assert np.array_equal(drawn, draw_rows(LabelledRows(y, np.arange(10000)), 1000, 0))
    assert not np.array_equal(drawn, draw_rows(LabelledRows(y, np.arange(10000)), 1000, 1))


def test_a_rare_class_fills_every_fold() -> None:
    y = np.repeat([0, 1], [5000, 12])
    drawn = draw_rows(LabelledRows(y, np.arange(5012)), 500, 0)
    assert (y[drawn] == 1).sum() == 5
    many = np.repeat(np.arange(400), 6)
    assert np.bincount(many[draw_rows(LabelledRows(many, np.arange(2400)), 1000, 0)]).min() >= 2


def test_groups_are_drawn_whole() -> None:
    random = np.random.default_rng(0)
    groups = random.integers(0, 300, 3000)
    y = (groups % 3 + (random.random(3000) < 0.1)) % 3
    drawn = draw_rows(LabelledRows(y, groups), 600, 0)
    assert 540 <= len(drawn) <= 660
    assert not set(groups[drawn]) & set(np.delete(groups, drawn))


@pytest.mark.parametrize("in_groups", [False, True])
def test_what_is_drawn_does_not_depend_on_when_it_is_looked_for_the_end(
    in_groups: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 30, 5000) ** 2 // 30
    groups = random.integers(0, 2000, 5000) if in_groups else np.arange(5000)
    drawn = []
    for every in (1, 10**9):
        monkeypatch.setattr("featx.selection.sampling.CHECK_EVERY", every)
        drawn.append(draw_rows(LabelledRows(y, groups), 700, 0))
    assert np.array_equal(*drawn)
