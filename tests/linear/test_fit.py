"""Every way to a solution leads to the same one, always the same, and what cannot be fitted is refused."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from featx.errors import DataError, RequestError, UnknownName
from featx.linear.cross_validation import cross_validate
from featx.linear.fit import fit_linear
from featx.linear.options import TIGHT, SolverOptions
from featx.linear.spaces import PARETO
from tests.linear.problems import Case, make_problem


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("power", [PARETO, 1.0, None])
def test_features_of_any_scale_are_told_apart(scale: float, kind: str, power: float | None) -> None:
    x, labels = make_problem(Case(60, 30, 3, 1.0, 6))
    c = 1.0 if power else 0.1 / scale**2
    model = fit_linear((x * scale).astype(np.float32), labels, kind, c, power=power)
    assert np.isfinite(model.weights).all()
    assert (model.predict((x * scale).astype(np.float32)) == labels).mean() > 0.95


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("shape", [(50, 60), (60, 50)], ids=["wide", "tall"])
def test_row_space_and_column_space_meet(kind: str, shape: tuple[int, int]) -> None:
    x, labels = make_problem(Case(*shape, 3, 1.0, 11))
    by_rows = fit_linear(x, labels, kind, options=SolverOptions(TIGHT.tolerance, space="rows"))
    by_columns = fit_linear(x, labels, kind, options=SolverOptions(TIGHT.tolerance, space="columns"))
    np.testing.assert_allclose(by_columns.decision_function(x), by_rows.decision_function(x), atol=1e-3)


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize(("shape", "space"), [((50, 60), "rows"), ((60, 50), "columns")])
def test_the_smaller_space_is_chosen_by_itself(kind: str, shape: tuple[int, int], space: str) -> None:
    x, labels = make_problem(Case(*shape, 3, 1.0, 11))
    automatic = fit_linear(x, labels, kind)
    explicit = fit_linear(x, labels, kind, options=SolverOptions(TIGHT.tolerance, space=space))  # type: ignore[arg-type]
    assert automatic.weights.tobytes() == explicit.weights.tobytes()


@pytest.mark.parametrize("shape", [(80, 120), (120, 30)], ids=["rows", "columns"])
@pytest.mark.parametrize("c", [1e-3, 1.0])
def test_both_solvers_of_the_svm_meet(shape: tuple[int, int], c: float) -> None:
    x, labels = make_problem(Case(*shape, 3, c, 47))
    newton = fit_linear(x, labels, "svm", c, SolverOptions(TIGHT.tolerance, svm_solver="newton"))
    lbfgs = fit_linear(x, labels, "svm", c, SolverOptions(TIGHT.tolerance, svm_solver="lbfgs"))
    np.testing.assert_allclose(lbfgs.decision_function(x), newton.decision_function(x), atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(80, 120), (120, 30)], ids=["rows", "columns"])
def test_ten_fits_are_identical_to_the_last_bit(shape: tuple[int, int]) -> None:
    x, labels = make_problem(Case(*shape, 3, 1.0, 29))
    x = x.astype(np.float32)
    folds = list(StratifiedKFold(3).split(x, labels))
    for kind in ("logreg", "svm"):
        weights = {fit_linear(x, labels, kind).weights.tobytes() for _ in range(10)}
        losses = {cross_validate(x, labels, folds, {kind: [0.1, 10.0]})[kind].loss.tobytes() for _ in range(10)}
        assert len(weights) == len(losses) == 1


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused(kind: str, bad: float) -> None:
    x, labels = make_problem(Case(30, 10, 2, 1.0, 31))
    x[[4, 7], 2] = bad
    with pytest.raises(DataError, match=r"NaN or infinity in 2 of 30 rows \(the first is row 4\)"):
        fit_linear(x, labels, kind)
    with pytest.raises(DataError, match="NaN or infinity"):
        cross_validate(x, labels, [(np.arange(20), np.arange(20, 30))], {kind: [1.0]})


def test_requests_that_make_no_sense_are_refused() -> None:
    x, labels = make_problem(Case(30, 10, 2, 1.0, 37))
    with pytest.raises(DataError, match="the 30 training rows have one class only, '0'"):
        fit_linear(x, np.zeros(30, int))
    with pytest.raises(DataError, match="the 1 training row has one class only, '0'"):
        fit_linear(x[:1], labels[:1])
    with pytest.raises(RequestError, match="must be positive"):
        fit_linear(x, labels, c=0.0)
    with pytest.raises(UnknownName, match="Did you mean 'svm'"):
        fit_linear(x, labels, "svn")


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("shape", [(60, 90), (90, 40)], ids=["rows", "columns"])
@pytest.mark.parametrize("classes", [2, 4])
def test_torch_tensors_give_what_numpy_arrays_give(kind: str, shape: tuple[int, int], classes: int) -> None:
    torch = pytest.importorskip("torch")
    x, labels = make_problem(Case(*shape, classes, 1.0, 41))
    x = x.astype(np.float32)
    folds = list(StratifiedKFold(3).split(x, labels))
    from_array = fit_linear(x, labels, kind)
    from_tensor = fit_linear(torch.from_numpy(x), torch.from_numpy(labels), kind)
    np.testing.assert_allclose(from_tensor.decision_function(x), from_array.decision_function(x), atol=1e-4)
    grid = {kind: [1e-3, 1.0]}
    tensor_scores = cross_validate(torch.from_numpy(x), labels, folds, grid, jobs=1)[kind]
    array_scores = cross_validate(x, labels, folds, grid)[kind]
    np.testing.assert_allclose(tensor_scores.accuracy, array_scores.accuracy, atol=1.5 / 30)
    np.testing.assert_allclose(tensor_scores.loss, array_scores.loss, rtol=0.02)


def test_weights_with_the_scaling_folded_in_take_unscaled_features() -> None:
    x, labels = make_problem(Case(60, 20, 3, 1.0, 43, constant=True))
    x = x * 5 + 2
    model = fit_linear(x, labels)
    weights, intercept = model.fold_scaling()
    np.testing.assert_allclose(x @ weights.T + intercept, model.decision_function(x), atol=1e-9)
    assert (model.predict(x) == labels).mean() > 0.9


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("shape", [(300, 500), (900, 40)], ids=["rows", "columns"])
@pytest.mark.parametrize("classes", [2, 5])
def test_a_gpu_gives_what_numpy_gives(kind: str, shape: tuple[int, int], classes: int) -> None:
    torch = pytest.importorskip("torch")
    x, labels = make_problem(Case(*shape, classes, 1.0, 53))
    on_gpu = torch.from_numpy(x).cuda()
    tightest = SolverOptions(1e-16)
    expected = fit_linear(x, labels, kind, options=tightest)
    model = fit_linear(on_gpu, labels, kind, options=tightest)
    assert np.abs(model.weights - expected.weights).max() < 1e-6 * np.abs(expected.weights).max()
    folds = list(StratifiedKFold(3).split(x, labels))
    grid = {kind: [1e-3, 1.0]}
    accuracy = cross_validate(on_gpu, labels, folds, grid, jobs=3)[kind].accuracy
    expected_accuracy = cross_validate(x, labels, folds, grid)[kind].accuracy
    one_sample = 1 / len(folds[0][1])
    assert np.abs(accuracy - expected_accuracy).max() <= 1.01 * one_sample
