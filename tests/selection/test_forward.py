from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, combinations

import numpy as np
import pytest

from featx.features.scaling import join
from featx.features.splits import LabelledRows
from featx.linear.lapack import one_thread
from featx.selection.forward import MOST_ROWS, select_among, select_forward
from featx.selection.grams import compute_block_gram, sum_blocks
from featx.selection.kernel_ridge import RidgeTargets, score_gram


def make_blocks(n: int = 240, seed: int = 0) -> tuple[dict[str, np.ndarray], LabelledRows]:
    """Four classes: one block tells the first two from the others, another the odd from the even, two tell nothing."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 4
    noise = {name: random.normal(size=(n, 20)) for name in ("nothing", "halves", "parity", "little")}
    noise["halves"][:, 0] += 5 * (y >= 2)
    noise["parity"][:, 0] += 4 * (y % 2)
    noise["little"][:, 0] += 1 * (y == 0)
    return {name: join([X]) for name, X in noise.items()}, LabelledRows(y, np.arange(n))


def test_layers_that_complete_each_other_are_found() -> None:
    blocks, rows = make_blocks()
    steps = select_forward(blocks, rows, 42)
    assert {step.added for step in steps[:2]} == {"halves", "parity"}
    assert steps[1].names == ("halves", "parity")
    assert steps[1].accuracy > steps[0].accuracy + 0.2


def test_each_step_is_the_best_one_and_gains() -> None:
    blocks, rows = make_blocks(n=120)
    grams = {name: compute_block_gram(X) for name, X in blocks.items()}
    targets = RidgeTargets(rows.y, rows.folds(42))
    steps = select_among(grams, targets)
    of_sets = {}
    for names in chain.from_iterable(combinations(blocks, count) for count in (1, 2, 3, 4)):
        with one_thread():
            of_sets[names] = score_gram(sum_blocks([grams[name] for name in names]).gram, targets)
    before: set[str] = set()
    accuracy = 0.0
    for step in steps:
        sets = [names for names in of_sets if before < set(names) and len(names) == len(before) + 1]
        assert step.accuracy == pytest.approx(max(of_sets[names] for names in sets), abs=1e-9)
        assert step.gain == pytest.approx(step.accuracy - accuracy)
        assert step.gain > 0
        before = set(step.names)
        accuracy = step.accuracy
    assert steps == select_forward(blocks, rows, 42)
    further = [of_sets[names] for names in of_sets if before < set(names) and len(names) == len(before) + 1]
    assert len(steps) == 4 or max(further) <= accuracy


def test_no_more_layers_are_taken_than_asked_for() -> None:
    blocks, rows = make_blocks()
    assert len(select_forward(blocks, rows, 42, most=1)) == 1


class ReadOnDemand(Mapping[str, np.ndarray]):
    """Features that are read when they are asked for; counts how often."""

    def __init__(self, blocks: dict[str, np.ndarray]) -> None:
        self.blocks = blocks
        self.asked: list[str] = []

    def __getitem__(self, name: str) -> np.ndarray:
        self.asked.append(name)
        return self.blocks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.blocks)

    def __len__(self) -> int:
        return len(self.blocks)


def test_of_many_rows_a_sample_is_judged_and_each_block_is_read_once() -> None:
    blocks, rows = make_blocks(n=4 * MOST_ROWS)
    on_demand = ReadOnDemand(blocks)
    steps = select_forward(on_demand, rows, 42)
    assert sorted(on_demand.asked) == sorted(blocks)
    assert {step.added for step in steps[:2]} == {"halves", "parity"}


def test_the_same_blocks_rows_and_seed_give_the_same_numbers() -> None:
    blocks, rows = make_blocks()
    first = select_forward(blocks, rows, 7)
    assert all(select_forward(blocks, rows, 7) == first for _ in range(3))


def test_rare_classes_count_alike_where_asked() -> None:
    """One block ranks the frequent classes, the other tells the rare one apart."""
    random = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [200, 200, 20])
    frequent = random.normal(size=(420, 10))
    frequent[:, 0] += 4 * (y == 1)
    rare = random.normal(size=(420, 10))
    rare[:, 0] += 12 * (y == 2)
    rare[:, 1] += 1.0 * (y == 1)
    blocks = {"frequent": frequent, "rare": rare}
    rows = LabelledRows(y, np.arange(420))
    assert select_forward(blocks, rows, 1, most=1)[0].added == "frequent"
    assert select_forward(blocks, rows, 1, most=1, balanced=True)[0].added == "rare"
