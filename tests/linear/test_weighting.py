"""Weights of rows and classes give scikit-learn's weighted objectives; a row's weight is how often it is there."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.class_weight import compute_class_weight

from featx.errors import DataError, RequestError
from featx.linear import LinearSVC, LogisticRegression
from featx.linear.cross_validation import Scoring, cross_validate, score_folds
from featx.linear.fit import fit_linear
from featx.linear.options import TIGHT, SolverOptions
from featx.linear.out_of_core import fit_out_of_core
from featx.linear.spaces import encode_labels
from featx.linear.weighting import ValWeights, WeightedLabels, Weighting, weigh_rows
from tests.linear.problems import REFERENCES, Case, make_problem

ESTIMATORS = {"logreg": LogisticRegression, "svm": LinearSVC}
KINDS = ["logreg", "svm"]
SHAPES = [(60, 90), (90, 40)]


def objective(kind: str, model: Any, x: np.ndarray, y: np.ndarray, c: float, rows: np.ndarray, prices: Any) -> float:
    """The weighted objective of a fitted model; prices are (k,), one a class.

    Of several classes told apart one by one, scikit-learn's SVM takes the price of a class for its own rows alone.
    """
    intercept = np.atleast_1d(model.intercept_)
    scores = x @ model.coef_.T + intercept
    penalty = (model.coef_**2).sum() + ((intercept**2).sum() if kind == "svm" else 0.0)
    if kind == "svm":
        scored = np.arange(len(prices)) if len(prices) > 2 else np.array([1])
        signs = np.where(y[:, None] == scored, 1.0, -1.0)
        costs = np.where(signs > 0, prices[scored], 1.0) if len(prices) > 2 else prices[y][:, None]
        loss = (rows[:, None] * costs * np.maximum(0, 1 - signs * scores) ** 2).sum()
    else:
        scores = np.hstack([np.zeros_like(scores), scores]) if scores.shape[1] == 1 else scores
        losses = np.logaddexp.reduce(scores, axis=1) - scores[np.arange(len(y)), y]
        loss = (rows * prices[y] * losses).sum()
    return 0.5 * penalty + c * float(loss)


def compare_objectives(kind: str, case: Case, class_weight: Any, rows: np.ndarray | None) -> tuple[float, float]:
    """Ours and scikit-learn's on columns whose weighted mean is 0, where both penalise the same intercept."""
    x, y = make_problem(case)
    x = x - np.average(x, axis=0, weights=rows)
    ours = ESTIMATORS[kind](case.c, class_weight=class_weight).fit(x, y, sample_weight=rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        reference = REFERENCES[kind](case.c).set_params(class_weight=class_weight)
        theirs = reference.fit(x, y, sample_weight=rows)
    prices = compute_class_weight(class_weight, classes=np.unique(y), y=y, sample_weight=rows)
    counts = np.ones(len(y)) if rows is None else rows
    ours_value = objective(kind, ours, x, y, case.c, counts, prices)
    return ours_value, objective(kind, theirs, x, y, case.c, counts, prices)


CASES = st.builds(
    Case,
    rows=st.integers(12, 90),
    columns=st.integers(1, 120),
    classes=st.integers(2, 5),
    c=st.floats(-3, 2).map(lambda power: 10.0**power),
    seed=st.integers(0, 10_000),
    duplicated=st.booleans(),
    constant=st.booleans(),
    unbalanced=st.booleans(),
)
TWENTY = settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", ["balanced", "named"])
@TWENTY
@given(case=CASES)
def test_with_class_weights_the_objective_is_scikit_learns(kind: str, rule: str, case: Case) -> None:
    random = np.random.default_rng(case.seed)
    named = {label: float(weight) for label, weight in enumerate(10 ** random.uniform(-1.5, 1.5, case.classes))}
    ours, theirs = compare_objectives(kind, case, rule if rule == "balanced" else named, None)
    assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("class_weight", [None, "balanced"])
@TWENTY
@given(case=CASES)
def test_with_sample_weights_the_objective_is_scikit_learns(kind: str, class_weight: Any, case: Case) -> None:
    rows = np.random.default_rng(case.seed).exponential(size=case.rows) + 0.01
    ours, theirs = compare_objectives(kind, case, class_weight, rows)
    assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=["rows", "columns"])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_whole_weights_are_repeated_rows(kind: str, shape: tuple[int, int], class_weight: Any) -> None:
    x, y = make_problem(Case(*shape, 3, 0.1, 3))
    rows = np.random.default_rng(0).integers(0, 4, len(x))
    weighted = fit_linear(x, WeightedLabels(y, Weighting(class_weight, rows.astype(float))), kind, 0.1)
    repeated = fit_linear(x.repeat(rows, axis=0), WeightedLabels(y.repeat(rows), Weighting(class_weight)), kind, 0.1)
    np.testing.assert_allclose(weighted.mean, repeated.mean, atol=1e-12)
    np.testing.assert_allclose(weighted.scale, repeated.scale, rtol=1e-12)
    np.testing.assert_allclose(weighted.decision_function(x), repeated.decision_function(x), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=["rows", "columns"])
def test_a_weight_of_zero_removes_the_row(kind: str, shape: tuple[int, int]) -> None:
    x, y = make_problem(Case(*shape, 3, 0.1, 5))
    kept = np.arange(len(x)) % 4 > 0
    weighted = fit_linear(x, WeightedLabels(y, Weighting("balanced", kept.astype(float))), kind, 0.1)
    removed = fit_linear(x[kept], WeightedLabels(y[kept], Weighting("balanced")), kind, 0.1)
    np.testing.assert_allclose(weighted.weights, removed.weights, atol=1e-6 * np.abs(removed.weights).max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=["rows", "columns"])
@pytest.mark.parametrize("classes", [2, 3])
def test_weights_that_are_all_one_change_no_bit(kind: str, shape: tuple[int, int], classes: int) -> None:
    x, y = make_problem(Case(*shape, classes, 0.1, 7))
    plain = fit_linear(x, y, kind, 0.1)
    for weighting in (Weighting(), Weighting(rows=np.ones(len(x))), Weighting("balanced"), Weighting({0: 1.0})):
        weighted = fit_linear(x, WeightedLabels(y, weighting), kind, 0.1)
        assert weighted.weights.tobytes() == plain.weights.tobytes()
        assert weighted.intercept.tobytes() == plain.intercept.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("class_weight", [None, {0: 5.0, 1: 0.2}])
def test_spaces_and_solvers_meet_where_rows_are_weighted(kind: str, classes: int, class_weight: Any) -> None:
    x, y = make_problem(Case(60, 50, classes, 1.0, 11))
    weighting = Weighting(class_weight, np.random.default_rng(0).exponential(size=60))
    scores = []
    for space in ("rows", "columns"):
        for solver in ("newton", "lbfgs") if kind == "svm" else ("auto",):
            options = SolverOptions(TIGHT.tolerance, space=space, svm_solver=solver)  # type: ignore[arg-type]
            scores.append(fit_linear(x, WeightedLabels(y, weighting), kind, 0.1, options).decision_function(x))
    for other in scores[1:]:
        np.testing.assert_allclose(other, scores[0], atol=2e-3)


def in_blocks(x: np.ndarray, y: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield features and labels of some rows at a time."""
    return ((x[i : i + size], y[i : i + size]) for i in range(0, len(x), size))


def without_shift(kind: str, scores: np.ndarray) -> np.ndarray:
    """Take off what all classes of a softmax share, which changes no probability."""
    is_softmax = kind == "logreg" and scores.shape[1] > 1
    return scores - scores.mean(axis=1, keepdims=True) if is_softmax else scores


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 5.0, 1: 0.2}])
def test_out_of_core_weights_mean_the_same(kind: str, classes: int, class_weight: Any) -> None:
    x, y = make_problem(Case(300, 40, classes, 1.0, 13, unbalanced=True))
    x = x.astype(np.float32)
    rows = np.random.default_rng(0).exponential(size=300)
    rows[::7] = 0.0
    # A whole block that does not count.
    rows[74:111] = 0.0
    weighting = Weighting(class_weight, rows)
    values = [1e-2, 1e-1]
    models = fit_out_of_core(lambda: in_blocks(x, y, 37), kind, values, weighting=weighting)
    for c, model in zip(values, models, strict=True):
        in_memory = fit_linear(x, WeightedLabels(y, weighting), kind, c)
        np.testing.assert_allclose(model.mean, in_memory.mean, atol=1e-6)
        ours = without_shift(kind, model.decision_function(x))
        np.testing.assert_allclose(ours, without_shift(kind, in_memory.decision_function(x)), atol=2e-2)


def test_balanced_classes_are_counted_by_the_weights_of_their_rows() -> None:
    y = np.array(["a", "a", "a", "b"])
    rows = np.array([1.0, 1.0, 2.0, 2.0])
    expected = compute_class_weight("balanced", classes=np.unique(y), y=y, sample_weight=rows)
    np.testing.assert_allclose(weigh_rows(y, Weighting("balanced", rows)), rows * expected[[0, 0, 0, 1]])
    assert weigh_rows(y, Weighting()) is None
    assert encode_labels(y).count == 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(120, 200), (120, 20)], ids=["rows", "columns"])
def test_cross_validation_weighs_what_chooses_and_not_what_is_reported(kind: str, shape: tuple[int, int]) -> None:
    x, y = make_problem(Case(*shape, 3, 1.0, 17, unbalanced=True))
    y[-20:] = np.arange(20) % 3
    folds = [(np.arange(80), np.arange(80, 120))]
    plain = cross_validate(x, y, folds, {kind: [0.1]})[kind]
    weighted = cross_validate(x, WeightedLabels(y, Weighting("balanced")), folds, {kind: [0.1]})[kind]
    assert plain.weighted_accuracy is None
    assert weighted.weighted_accuracy is not None
    model = fit_linear(x[:80], WeightedLabels(y[:80], Weighting("balanced")), kind, 0.1)
    is_right = model.predict(x[80:]) == y[80:]
    prices = compute_class_weight("balanced", classes=np.arange(3), y=y[:80])[y[80:]]
    one_image = 1 / 40 + 1e-9
    assert weighted.accuracy[0, 0] == pytest.approx(is_right.mean(), abs=one_image)
    heaviest = prices.max() / prices.sum() + 1e-9
    assert weighted.weighted_accuracy[0, 0] == pytest.approx(np.average(is_right, weights=prices), abs=heaviest)


def test_rows_of_weight_zero_neither_train_nor_choose_in_cross_validation() -> None:
    x, y = make_problem(Case(90, 30, 3, 1.0, 19))
    rows = (np.arange(90) % 3 > 0).astype(float)
    kept = np.flatnonzero(rows)
    folds = [(np.arange(60), np.arange(60, 90))]
    fewer = [(kept[kept < 60], kept[kept >= 60])]
    grid = {"logreg": [0.1], "svm": [0.1]}
    for kind, scores in cross_validate(x, WeightedLabels(y, Weighting(rows=rows)), folds, grid).items():
        expected = cross_validate(x, y, fewer, grid)[kind]
        np.testing.assert_allclose(scores.loss, expected.loss, rtol=1e-3)
        np.testing.assert_allclose(scores.weighted_accuracy, expected.accuracy, atol=1e-9)


def test_torch_tensors_are_weighted_as_numpy_arrays_are() -> None:
    torch = pytest.importorskip("torch")
    for shape in SHAPES:
        x, y = make_problem(Case(*shape, 3, 1.0, 41))
        weighting = Weighting("balanced", np.arange(len(x)) % 3 / 2)
        for kind in KINDS:
            from_array = fit_linear(x, WeightedLabels(y, weighting), kind).decision_function(x)
            tensors = fit_linear(torch.from_numpy(x), WeightedLabels(torch.from_numpy(y), weighting), kind)
            np.testing.assert_allclose(tensors.decision_function(x), from_array, atol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, 1e-300, 1e200])
def test_weights_of_rows_that_make_no_sense_are_refused(bad: float) -> None:
    x, y = make_problem(Case(30, 10, 2, 1.0, 23))
    rows = np.ones(30)
    rows[4] = bad
    with pytest.raises(DataError, match=r"1 of 30 weights cannot be used, such as .* of row 4"):
        fit_linear(x, WeightedLabels(y, Weighting(rows=rows)))
    with pytest.raises(DataError, match="1 of 30 weights"):
        cross_validate(x, WeightedLabels(y, Weighting(rows=rows)), [(np.arange(20), np.arange(20, 30))], {"svm": [1.0]})
    with pytest.raises(DataError, match="give one weight a row"):
        fit_linear(x, WeightedLabels(y, Weighting(rows=np.ones(29))))
    with pytest.raises(DataError, match="all 30 weights are 0"):
        fit_linear(x, WeightedLabels(y, Weighting(rows=np.zeros(30))))


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf, 1e-300, 1e200])
def test_weights_of_classes_that_make_no_sense_are_refused(bad: float) -> None:
    x, y = make_problem(Case(30, 10, 2, 1.0, 29))
    with pytest.raises(RequestError, match="every weight must be positive and finite"):
        LogisticRegression(class_weight={0: bad}).fit(x, y)
    with pytest.raises(RequestError, match="choose 'balanced', or map labels to weights"):
        LinearSVC(class_weight="even").fit(x, y)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=["rows", "columns"])
@pytest.mark.parametrize("heavy", [1e-12, 1e-6, 1e6, 1e12])
@pytest.mark.filterwarnings("error")
def test_weights_of_any_size_give_finite_models(kind: str, shape: tuple[int, int], heavy: float) -> None:
    x, y = make_problem(Case(*shape, 3, 1.0, 31, duplicated=True, constant=True))
    for rows in (np.full(len(x), heavy), np.where(np.arange(len(x)) % 2, heavy, 1.0)):
        for class_weight in (None, "balanced", {0: 1e6, 1: 1e-6}):
            model = fit_linear(x, WeightedLabels(y, Weighting(class_weight, rows)), kind, 0.1)
            assert np.isfinite(model.weights).all()
            assert np.isfinite(model.intercept).all()


def test_a_figure_that_is_asked_for_is_given_plain_and_weighted() -> None:
    x, y = make_problem(Case(90, 30, 3, 1.0, 19))
    seen = []

    def count_rows(kind: str, scores: np.ndarray, classes: np.ndarray, truth: np.ndarray, weights: ValWeights) -> float:
        seen.append(weights.rows)
        return len(truth) if weights.rows is None else float(weights.rows.sum())

    folds = [(np.arange(60), np.arange(60, 90))]
    scoring = Scoring({"logreg": [0.1, 1.0]}, merit=count_rows)
    scores = score_folds(x, WeightedLabels(y, Weighting(rows=np.full(90, 2.0))), folds, scoring)["logreg"]
    assert scores.merit is not None
    assert scores.weighted_merit is not None
    assert (scores.merit.tolist(), scores.weighted_merit.tolist()) == ([[30, 30]], [[60, 60]])
    plain = score_folds(x, y, folds, scoring)["logreg"]
    assert plain.weighted_merit is None
    assert len(seen) == 2 * 2 + 2, "not rated twice where nothing is weighted"
