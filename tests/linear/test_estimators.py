"""The estimators reach the optimum that scikit-learn's reach, whatever the shape of the problem, and are used alike."""

from __future__ import annotations

import doctest
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import featx.linear
from featx.errors import RequestError
from featx.linear import LinearSVC, LogisticRegression, estimators
from tests.linear.problems import REFERENCES, Case, make_problem

pytestmark = pytest.mark.slow

ESTIMATORS = {"logreg": LogisticRegression, "svm": LinearSVC}


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
    estimator = ESTIMATORS[kind](C=c).fit(x, labels)
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
    ours, theirs = objectives(kind, *make_problem(case), case.c)
    assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("c", [1e-8, 1e3])
@pytest.mark.parametrize("shape", [(60, 200), (200, 20)], ids=["rows", "columns"])
def test_extreme_c_is_no_worse_than_scikit_learn(kind: str, c: float, shape: tuple[int, int]) -> None:
    ours, theirs = objectives(kind, *make_problem(Case(*shape, 4, c, 3)), c)
    assert ours <= theirs * (1 + 1e-4)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("shape", [(40, 90), (90, 40)], ids=["rows", "columns"])
def test_scaling_the_features_only_scales_the_weights(scale: float, shape: tuple[int, int]) -> None:
    x, labels = make_problem(Case(*shape, 3, 1.0, 5))
    plain = LogisticRegression(C=0.1).fit(x, labels)
    scaled = LogisticRegression(C=0.1 / scale**2).fit(x * scale, labels)
    np.testing.assert_allclose(scaled.coef_ * scale, plain.coef_, atol=1e-4 * np.abs(plain.coef_).max())


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("classes", [37, 100])
def test_many_classes_reach_the_reference(kind: str, classes: int) -> None:
    ours, theirs = objectives(kind, *make_problem(Case(3 * classes, 40, classes, 0.1, 7)), 0.1)
    assert ours == pytest.approx(theirs, rel=1e-4)


@parametrize_with_checks([LogisticRegression(), LinearSVC()])
def test_scikit_learn_accepts_the_estimators(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]


def flowers(classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Iris, of the last two or of all three species, standardised: there both SVMs penalise the same intercept."""
    X, species = load_iris(return_X_y=True)
    kept = species >= 3 - classes
    names = np.array(["setosa", "versicolor", "virginica"])
    return StandardScaler().fit_transform(X[kept]), names[species[kept]]


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("C", [0.1, 10.0])
def test_coefficients_and_predictions_on_iris_are_scikit_learns(kind: str, classes: int, C: float) -> None:
    X, y = flowers(classes)
    ours = ESTIMATORS[kind](C=C).fit(X, y)
    theirs = REFERENCES[kind](C).fit(X, y)
    assert ours.classes_.tolist() == theirs.classes_.tolist()
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-3, atol=1e-3)
    # A common shift of all scores changes nothing in a softmax, so its optimum leaves the shift open.
    is_softmax = kind == "logreg" and classes > 2
    shift = theirs.intercept_.mean() - ours.intercept_.mean() if is_softmax else 0.0
    np.testing.assert_allclose(ours.intercept_ + shift, theirs.intercept_, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(ours.decision_function(X) + shift, theirs.decision_function(X), rtol=1e-3, atol=5e-3)
    assert ours.predict(X).tolist() == theirs.predict(X).tolist()
    assert ours.score(X, y) == theirs.score(X, y)
    if kind == "logreg":
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-3)
        np.testing.assert_allclose(np.exp(ours.predict_log_proba(X)), ours.predict_proba(X))


@pytest.mark.parametrize("kind", ["logreg", "svm"])
def test_a_grid_search_over_a_pipeline_finds_what_it_finds_with_scikit_learn(kind: str) -> None:
    X, y = load_iris(return_X_y=True)

    def search(estimator: Any) -> GridSearchCV:
        pipeline = make_pipeline(StandardScaler(), clone(estimator))
        step = pipeline.steps[-1][0]
        return GridSearchCV(pipeline, {f"{step}__C": [1e-3, 1e-1, 1.0]}, cv=5).fit(X, y)

    ours = search(ESTIMATORS[kind]())
    theirs = search(REFERENCES[kind](1.0))
    # One flower of the thirty in a fold, in one of the five folds.
    one_flower = 1 / 150 + 1e-9
    np.testing.assert_allclose(
        ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], atol=one_flower
    )
    assert list(ours.best_params_.values()) == list(theirs.best_params_.values())
    assert ours.score(X, y) > 0.93


def test_parameters_are_named_as_in_scikit_learn_and_cloned() -> None:
    estimator = LogisticRegression(C=3.0, tol=1e-6, max_iter=50)
    assert clone(estimator).get_params() == {"C": 3.0, "tol": 1e-6, "max_iter": 50, "class_weight": None}
    assert set(LinearSVC().get_params()) < set(REFERENCES["svm"](1.0).get_params())


def test_a_penalty_that_makes_no_sense_is_refused() -> None:
    X, y = flowers(2)
    with pytest.raises(RequestError, match="must be positive and finite"):
        LinearSVC(C=-1.0).fit(X, y)


def test_the_examples_of_the_docstrings_are_right() -> None:
    results = doctest.testmod(estimators)
    assert results.attempted > 0
    assert results.failed == 0


def test_only_the_estimators_load_scikit_learn_and_nothing_loads_torch() -> None:
    script = (
        "import sys\n"
        "import featx.linear.fit, featx.linear.out_of_core, featx.linear.cross_validation\n"
        "assert 'featx.linear.estimators' not in sys.modules and 'sklearn' not in sys.modules\n"
        "from featx.linear import LinearSVC\n"
        "assert 'sklearn' in sys.modules and 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_name_that_the_package_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Ridge'"):
        _ = featx.linear.Ridge
