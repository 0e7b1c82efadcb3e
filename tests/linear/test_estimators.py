"""The solvers reach the optimum that scikit-learn reaches, whatever the shape of the problem, and always the same."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from featx.errors import DataError, RequestError, UnknownName
from featx.linear.cross_validation import cross_validate, score_fold
from featx.linear.estimators import RowSpaceLinearSVC, RowSpaceLogisticRegression
from featx.linear.fit import LinearModel, fit_linear
from featx.linear.spaces import PARETO, column_basis, fit_scaling

REFERENCES = {
    "logreg": lambda c: LogisticRegression(C=c, tol=1e-9, max_iter=20_000),
    "svm": lambda c: LinearSVC(C=c, tol=1e-9, max_iter=50_000, random_state=0, dual=False),
}


@dataclass(frozen=True)
class Case:
    rows: int
    columns: int
    classes: int
    c: float
    seed: int
    duplicated: bool = False
    constant: bool = False
    unbalanced: bool = False


def problem(case: Case) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(case.seed)
    labels = np.arange(case.rows) % case.classes
    if case.unbalanced:
        labels[2 * case.classes :] = 0
    x = draw.normal(size=(case.rows, case.columns)) + 0.7 * draw.normal(size=(case.classes, case.columns))[labels]
    if case.duplicated:
        half = case.rows // 2
        x[half : 2 * half], labels[half : 2 * half] = x[:half], labels[:half]
    if case.constant:
        x[:, 0] = 3.7
    return x, labels


def objective(kind: str, scores: np.ndarray, penalty: float, labels: np.ndarray, c: float) -> float:
    """Half the squared weights plus C times the loss; scores are (n, k) or (n, 1)."""
    if kind == "svm":
        count = max(labels) + 1
        signs = np.where(labels[:, None] == (np.arange(count) if count > 2 else [1]), 1.0, -1.0)
        loss = (np.maximum(0, 1 - signs * scores) ** 2).sum()
    elif scores.shape[1] == 1:
        loss = np.logaddexp(0, -np.where(labels == 1, 1, -1) * scores[:, 0]).sum()
    else:
        loss = (np.logaddexp.reduce(scores, axis=1) - scores[np.arange(len(labels)), labels]).sum()
    return 0.5 * penalty + c * float(loss)


def objectives(kind: str, x: np.ndarray, labels: np.ndarray, c: float) -> tuple[float, float]:
    """Ours and scikit-learn's, on columns that are centred (where both penalise the same intercept)."""
    x = x - x.mean(axis=0)
    estimator = (RowSpaceLinearSVC if kind == "svm" else RowSpaceLogisticRegression)(C=c).fit(x, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        reference = REFERENCES[kind](c).fit(x, labels)
    values = []
    for model in (estimator, reference):
        intercept = np.atleast_1d(model.intercept_)
        penalty = (model.coef_**2).sum() + ((intercept**2).sum() if kind == "svm" else 0.0)
        values.append(objective(kind, x @ model.coef_.T + intercept, penalty, labels, c))
    return values[0], values[1]


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


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=CASES)
def test_the_objective_is_scikit_learns_within_a_ten_thousandth(kind: str, case: Case) -> None:
    ours, theirs = objectives(kind, *problem(case), case.c)
    assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("c", [1e-8, 1e3])
@pytest.mark.parametrize("shape", [(60, 200), (200, 20)], ids=["rows", "columns"])
def test_extreme_c_is_no_worse_than_scikit_learn(kind: str, c: float, shape: tuple[int, int]) -> None:
    ours, theirs = objectives(kind, *problem(Case(*shape, 4, c, 3)), c)
    assert ours <= theirs * (1 + 1e-4)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("shape", [(40, 90), (90, 40)], ids=["rows", "columns"])
def test_scaling_the_features_only_scales_the_weights(scale: float, shape: tuple[int, int]) -> None:
    x, labels = problem(Case(*shape, 3, 1.0, 5))
    plain = RowSpaceLogisticRegression(C=0.1).fit(x, labels)
    scaled = RowSpaceLogisticRegression(C=0.1 / scale**2).fit(x * scale, labels)
    np.testing.assert_allclose(scaled.coef_ * scale, plain.coef_, atol=1e-4 * np.abs(plain.coef_).max())


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("power", [PARETO, 1.0, None])
def test_features_of_any_scale_are_told_apart(scale: float, kind: str, power: float | None) -> None:
    x, labels = problem(Case(60, 30, 3, 1.0, 6))
    c = 1.0 if power else 0.1 / scale**2
    model = fit_linear((x * scale).astype(np.float32), labels, kind, c, power=power)
    assert np.isfinite(model.weights).all()
    assert (model.predict((x * scale).astype(np.float32)) == labels).mean() > 0.95


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("classes", [37, 100])
def test_many_classes_reach_the_reference(kind: str, classes: int) -> None:
    ours, theirs = objectives(kind, *problem(Case(3 * classes, 40, classes, 0.1, 7)), 0.1)
    assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("kind", ["logreg", "svm"])
def test_row_space_and_column_space_meet(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, labels = problem(Case(50, 60, 3, 1.0, 11))
    by_rows = fit_linear(x, labels, kind)
    monkeypatch.setattr("featx.linear.fit.prefers_rows", lambda n, d: False)
    by_columns = fit_linear(x, labels, kind)
    np.testing.assert_allclose(by_columns.decision(x), by_rows.decision(x), atol=1e-3)


@parametrize_with_checks([RowSpaceLogisticRegression(), RowSpaceLinearSVC()])
def test_scikit_learn_accepts_the_estimators(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]


def scaled(x: np.ndarray, train: np.ndarray, power: float) -> np.ndarray:
    """Scale all rows as the training rows ask for, by scikit-learn's standard scaler and what is left to Pareto's."""
    standard = StandardScaler().fit(x[train]).transform(x)
    deviation = np.where(np.ptp(x[train], axis=0) > 0, x[train].std(axis=0), 0)
    return standard * (deviation / deviation.mean()) ** (1 - power)


def reference_accuracies(kind: str, folds: list, labels: np.ndarray, values: list) -> np.ndarray:
    """Score scikit-learn at every C on folds of (all rows scaled, train rows, test rows): (folds, values)."""
    return np.array(
        [
            [REFERENCES[kind](c).fit(x[train], labels[train]).score(x[test], labels[test]) for c in values]
            for x, train, test in folds
        ]
    )


def reference_losses(folds: list, labels: np.ndarray, values: list) -> np.ndarray:
    """Score scikit-learn's logistic regression by its log-loss at every C: (folds, values)."""
    result = []
    for x, train, test in folds:
        rows = [LogisticRegression(C=c, max_iter=5000).fit(x[train], labels[train]) for c in values]
        result.append([log_loss(labels[test], row.predict_proba(x[test])) for row in rows])
    return np.array(result)


def test_scaled_columns_vary_by_one_on_average_and_weak_ones_less() -> None:
    x = np.random.default_rng(0).normal(3, [1e-3, 1, 4, 0], (200, 4))
    variance = fit_scaling(x).apply(x, "float64").var(axis=0)
    assert variance[:3].sum() == pytest.approx(4)  # as if the constant column varied, too
    assert variance == pytest.approx(x.std(axis=0) / x.std(axis=0).mean(), abs=1e-9)
    assert fit_scaling(x, power=1.0).apply(x, "float64").var(axis=0) == pytest.approx([1, 1, 1, 0])
    constant = fit_scaling(np.full((5, 3), 7.0))
    assert constant.scale.tolist() == [1, 1, 1]


@pytest.mark.parametrize("power", [PARETO, 1.0])
@pytest.mark.parametrize("shape", [(240, 400), (240, 30)], ids=["rows", "columns"])
def test_cross_validated_accuracies_are_scikit_learns_at_every_c(shape: tuple[int, int], power: float) -> None:
    x, labels = problem(Case(*shape, 4, 1.0, 13, constant=True))
    x, values = x.astype(np.float32), [1e-4, 1e-2, 1.0]
    wrong = np.random.default_rng(0).random(len(x)) < 0.3
    labels[wrong] = (labels[wrong] + 1) % 4
    folds = list(StratifiedKFold(3, shuffle=True, random_state=0).split(x, labels))
    ours = cross_validate(x, labels, folds, {"logreg": values, "svm": values}, power=power)
    wide = [(scaled(x.astype(np.float64), train, power), train, test) for train, test in folds]
    for kind, (accuracies, losses) in ours.items():
        theirs = reference_accuracies(kind, wide, labels, values)
        # One image is 0.42 points here.
        np.testing.assert_allclose(accuracies.mean(axis=0), theirs.mean(axis=0), atol=0.0043)
        assert theirs.mean() < 0.99, "the problem is too easy to tell anything"
        if kind == "logreg":
            theirs = reference_losses(wide, labels, values)
            np.testing.assert_allclose(losses.mean(axis=0), theirs.mean(axis=0), rtol=0.01)


@pytest.mark.parametrize("factorised", [0.0, float("inf")], ids=["products", "systems"])
def test_a_basis_of_all_rows_changes_no_score(factorised: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featx.linear.fit.FACTORISED", factorised)
    x, labels = problem(Case(200, 30, 4, 1.0, 37))
    x, fold, grid = (
        x.astype(np.float32),
        (np.arange(120), np.arange(120, 200)),
        {"logreg": [0.01, 10], "svm": [0.01, 10]},
    )
    own = score_fold(x, labels, fold, grid)
    shared = score_fold(x, labels, fold, grid, column_basis(x, fit_scaling(x)))
    for kind in grid:
        np.testing.assert_allclose(shared[kind].loss, own[kind].loss, rtol=0.01)
        np.testing.assert_allclose(shared[kind].accuracy, own[kind].accuracy, atol=0.013)  # one image of 80


def test_accuracies_come_in_the_order_of_the_c_asked_for() -> None:
    x, labels = problem(Case(90, 40, 3, 1.0, 17))
    folds = list(StratifiedKFold(3).split(x, labels))
    rising = cross_validate(x, labels, folds, {"logreg": [1e-5, 1e-1, 1e3]})["logreg"].accuracy
    falling = cross_validate(x, labels, folds, {"logreg": [1e3, 1e-1, 1e-5]})["logreg"].accuracy
    np.testing.assert_array_equal(rising, falling[:, ::-1])


def test_shuffled_labels_score_at_chance() -> None:
    x, labels = problem(Case(400, 600, 4, 1.0, 19))
    labels = np.random.default_rng(0).permutation(labels)
    folds = list(StratifiedKFold(5).split(x, labels))
    for accuracies, _ in cross_validate(x, labels, folds, {"logreg": [1e-3, 1.0], "svm": [1e-3, 1.0]}).values():
        # Three standard deviations of 400 draws at one in four.
        assert abs(accuracies.mean() - 0.25) < 3 * (0.25 * 0.75 / 400) ** 0.5


def test_a_fold_that_lacks_a_class_is_scored_on_the_others() -> None:
    x, labels = problem(Case(60, 10, 3, 1.0, 23))
    train, test = np.flatnonzero(labels < 2)[:20], np.arange(60)
    scored = cross_validate(x, labels, [(train, test)], {"logreg": [1.0], "svm": [1.0]})
    assert all(one.accuracy.max() <= 2 / 3 and np.isfinite(one.loss).all() for one in scored.values())


@pytest.mark.parametrize("shape", [(80, 120), (120, 30)], ids=["rows", "columns"])
def test_ten_fits_are_identical_to_the_last_bit(shape: tuple[int, int]) -> None:
    x, labels = problem(Case(*shape, 3, 1.0, 29))
    x = x.astype(np.float32)
    folds = list(StratifiedKFold(3).split(x, labels))
    for kind in ("logreg", "svm"):
        weights = {fit_linear(x, labels, kind).weights.tobytes() for _ in range(10)}
        scores = {cross_validate(x, labels, folds, {kind: [0.1, 10.0]})[kind].loss.tobytes() for _ in range(10)}
        assert len(weights) == len(scores) == 1


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_is_refused(kind: str, bad: float) -> None:
    x, labels = problem(Case(30, 10, 2, 1.0, 31))
    x[[4, 7], 2] = bad
    with pytest.raises(DataError, match=r"NaN or infinity in 2 of 30 rows \(the first is row 4\)"):
        fit_linear(x, labels, kind)
    with pytest.raises(DataError, match="NaN or infinity"):
        cross_validate(x, labels, [(np.arange(20), np.arange(20, 30))], {kind: [1.0]})


def test_requests_that_make_no_sense_are_refused() -> None:
    x, labels = problem(Case(30, 10, 2, 1.0, 37))
    with pytest.raises(DataError, match="one class only, '0'"):
        fit_linear(x, np.zeros(30, int))
    with pytest.raises(RequestError, match="must be positive"):
        fit_linear(x, labels, c=0.0)
    with pytest.raises(UnknownName, match="Did you mean 'svm'"):
        fit_linear(x, labels, "svn")


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("shape", [(60, 90), (90, 40)], ids=["rows", "columns"])
@pytest.mark.parametrize("classes", [2, 4])
def test_torch_tensors_give_what_numpy_arrays_give(kind: str, shape: tuple[int, int], classes: int) -> None:
    torch = pytest.importorskip("torch")
    x, labels = problem(Case(*shape, classes, 1.0, 41))
    x = x.astype(np.float32)
    folds = list(StratifiedKFold(3).split(x, labels))
    plain, tensor = fit_linear(x, labels, kind), fit_linear(torch.from_numpy(x), torch.from_numpy(labels), kind)
    np.testing.assert_allclose(tensor.decision(x), plain.decision(x), atol=1e-4)
    grid = {kind: [1e-3, 1.0]}
    there = cross_validate(torch.from_numpy(x), labels, folds, grid, jobs=1)[kind]
    here = cross_validate(x, labels, folds, grid)[kind]
    np.testing.assert_allclose(there.accuracy, here.accuracy, atol=1.5 / 30)
    np.testing.assert_allclose(there.loss, here.loss, rtol=0.02)


def test_a_folded_model_takes_features_as_they_are() -> None:
    x, labels = problem(Case(60, 20, 3, 1.0, 43, constant=True))
    model: LinearModel = fit_linear(x * 5 + 2, labels)
    weights, intercept = model.folded()
    np.testing.assert_allclose((x * 5 + 2) @ weights.T + intercept, model.decision(x * 5 + 2), atol=1e-9)
    assert (model.predict(x * 5 + 2) == labels).mean() > 0.9
