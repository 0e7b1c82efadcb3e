"""The procedure "let featx choose" is unbiased, and its interval covers what it says."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.nested import SCENARIOS, Scenario, run_trial
from featx.evaluation.nested.evaluations import NestedRow
from featx.evaluation.nested.folds import make_outer_folds
from featx.evaluation.nested.procedure import choose_rows, judge_procedure
from featx.features.catalog import LayerSet
from featx.linear.lapack import one_thread
from tests.evaluation.nested.test_folds import make_dataset
from tests.evaluation.nested.test_pooling import make_folds

IS_LONG = bool(os.environ.get("FEATX_STRESS"))


def test_each_fold_is_judged_by_the_row_that_is_best_inside_it() -> None:
    outer = make_outer_folds(make_dataset([row % 3 for row in range(60)]), 5, 2, 42)
    first, _ = make_folds(outer, 0)
    second, _ = make_folds(outer, 1)
    # The first is better inside in folds 0 and 1 of either repeat; what it is worth outside must not matter.
    for folds in second:
        for number, evaluation in enumerate(folds):
            inside = evaluation.result.cv_accuracy + (0.01 if number > 1 else -0.01)
            folds[number] = replace(evaluation, result=replace(evaluation.result, cv_accuracy=inside, clf="logreg"))
    rows = [NestedRow(LayerSet(()), first), NestedRow(LayerSet(()), second)]
    assert choose_rows(rows) == [[0, 0, 1, 1, 1]] * 2
    procedure = judge_procedure(rows, outer)
    hits = 0.0
    for repeat in range(2):
        for number in range(5):
            result = (second if number > 1 else first)[repeat][number].result
            hits += result.test_accuracy * result.n_test
    assert procedure.test_accuracy == pytest.approx(hits / 120, abs=1e-5)
    assert [(choice.clf, choice.folds) for choice in procedure.chosen] == [("logreg", 6), ("svm", 4)]
    assert procedure.nested.repeats == 2


def check(scenario: Scenario, clf: str, sims: int, least: float) -> None:
    """Check bias and coverage of the procedure over some made data sets."""
    with one_thread():
        trials = [run_trial(scenario, clf, number, 4000 if IS_LONG else 600) for number in range(sims)]
    errors = np.array([trial.nested[0] - trial.nested_truth for trial in trials])
    covered = np.mean([trial.nested[1] <= trial.nested_truth <= trial.nested[2] for trial in trials])
    assert abs(errors.mean()) < 0.01 + 3 * errors.std(ddof=1) / sims**0.5
    assert covered >= least


@pytest.mark.slow
@pytest.mark.parametrize("noise", [None, 0.1])
def test_the_estimate_is_unbiased_and_covered_at_chance_and_away_from_it(noise: float | None) -> None:
    check(Scenario("made", 60, 8, 2, noise), "knn", 40, 0.85)


@pytest.mark.slow
@pytest.mark.stress
@pytest.mark.parametrize("scenario", SCENARIOS if IS_LONG else SCENARIOS[:1], ids=str)
def test_linear_classifiers_are_judged_without_bias(scenario: Scenario) -> None:
    check(scenario, "logreg" if IS_LONG else "svm", 200 if IS_LONG else 6, 0.9 if IS_LONG else 0.5)
