"""The values of C that layers are scored at: as many as it takes to find the best."""

from __future__ import annotations

import numpy as np
import pytest

from featx.classifiers.choice import choose_value
from featx.classifiers.grids import LOGREG_C, SVM_C
from featx.evaluation.layer_scores import count_worthwhile, cross_validate_layer
from featx.features.splits import LabelledRows
from featx.linear.cross_validation import cross_validate
from featx.linear.val_scores import CVScores

GRIDS = {"logreg": LOGREG_C[::2], "svm": SVM_C[::2]}


def make_rows(spread: float, images: int = 600) -> tuple[np.ndarray, LabelledRows]:
    """Three classes whose means lie so far apart."""
    rng = np.random.default_rng(0)
    y = np.arange(images) % 3
    X = rng.standard_normal((images, 30)) + spread * rng.standard_normal((3, 30))[y]
    return X.astype(np.float32), LabelledRows(y, np.arange(images))


@pytest.mark.parametrize("spread", [0.1, 0.2, 0.3])
def test_what_is_left_out_was_no_better_and_what_is_kept_is_the_same(spread: float) -> None:
    X, rows = make_rows(spread)
    whole = cross_validate(X, rows.y, rows.folds(42), GRIDS)
    kept = cross_validate_layer(X, rows, 42)
    for name, scored in kept.items():
        count = len(scored.values)
        assert scored.values == GRIDS[name][:count]
        assert np.array_equal(scored.scores.accuracy, whole[name].accuracy[:, :count])
        assert choose_value(name, scored.scores) == choose_value(name, whole[name])
        assert scored.scores.accuracy.mean(axis=0).max() == whole[name].accuracy.mean(axis=0).max()
    assert sum(len(scored.values) for scored in kept.values()) < sum(map(len, GRIDS.values()))


def test_a_fold_of_few_images_decides_nothing_for_the_others() -> None:
    kept = cross_validate_layer(*make_rows(0.1, 120), 42)
    assert {name: scored.values for name, scored in kept.items()} == GRIDS


def test_a_fold_that_does_not_define_the_figure_asked_for_leaves_all_values() -> None:
    nothing = np.full((1, 8), np.nan)
    assert count_worthwhile("svm", CVScores(np.ones((1, 8)), np.ones((1, 8)), merit=nothing)) == 8
