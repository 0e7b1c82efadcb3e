"""Rows stay on the cores unless a GPU is asked for or pays, and torch is imported only then."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from featx.classifiers.grids import LOGREG_C
from featx.classifiers.registry import Linear
from featx.classifiers.search import search_linear
from featx.errors import RequestError
from featx.features.splits import make_folds
from featx.linear.many_rows.device import DRIVER, WORTH_GPU, place_rows, to_tensor

HAS_GPU = torch.cuda.is_available()


@pytest.mark.skipif(HAS_GPU, reason="this machine has a GPU")
def test_without_a_gpu_rows_stay_where_they_are_and_asking_for_one_is_an_error() -> None:
    x = np.zeros((3, 2), np.float32)
    for device in ("cpu", "auto", "mps", "all"):
        assert place_rows(x, device, 1e6) is x
    with pytest.raises(RequestError, match="device 'cuda' is not on this machine: choose auto or cpu"):
        place_rows(x, "cuda", 0.0)


def test_work_that_a_gpu_does_not_shorten_stays_on_the_cores() -> None:
    x = np.zeros((3, 2), np.float32)
    assert place_rows(x, "auto", WORTH_GPU / 2) is x


@pytest.mark.skipif(DRIVER.exists(), reason="this machine has a GPU")
def test_torch_is_not_imported_where_there_is_no_driver_of_a_gpu() -> None:
    code = (
        "import sys, numpy as np; from featx.linear.many_rows.device import place_rows;"
        "place_rows(np.zeros((3, 2)), 'auto', 1e9); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_search_on_tensors_gives_the_model_of_one_on_arrays() -> None:
    random = np.random.default_rng(0)
    y = random.permutation(np.arange(10_000) % 40)
    X = random.standard_normal((len(y), 64)) + 0.4 * random.standard_normal((40, 64))[y]
    X = X.astype(np.float32)
    folds = make_folds(y, np.arange(len(y)), 0)[:1]
    classifiers = {"logreg": Linear(LOGREG_C)}
    of_array = search_linear(classifiers, X, y, folds)["logreg"]
    of_tensor = search_linear(classifiers, to_tensor(X, "cpu"), y, folds)["logreg"]
    assert of_tensor.params == of_array.params
    assert of_tensor.cv_accuracy == pytest.approx(of_array.cv_accuracy, abs=2e-3)
    error = np.linalg.norm(of_tensor.model.weights - of_array.model.weights)
    assert error < 1e-4 * np.linalg.norm(of_array.model.weights)
