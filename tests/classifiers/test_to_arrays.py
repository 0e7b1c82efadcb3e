"""What a model file holds of a classifier gives the classifier's predictions; other classifiers are refused."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from featx.classifiers.registry import CLASSIFIERS
from featx.classifiers.search import search
from featx.classifiers.to_arrays import as_classifier, to_arrays
from featx.errors import ModelError
from featx.features.splits import make_folds
from featx.models.array_classifier import Opaque

X, Y = load_digits(n_class=3, return_X_y=True)
X = X.astype(np.float32)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_arrays_predict_as_the_classifier_does(name: str) -> None:
    model = search([name], X, Y, make_folds(Y, np.arange(len(Y)), 42), 42)[name].model
    predicted, probabilities = to_arrays(model).predict(X)
    assert predicted.tolist() == model.predict(X).tolist()
    assert probabilities.sum(axis=1) == pytest.approx(1)


def test_any_other_classifier_is_refused_by_its_type_or_wrapped() -> None:
    model = KNeighborsClassifier().fit(X, Y)
    with pytest.raises(ModelError, match="cannot hold a classifier of type 'KNeighborsClassifier': choose logreg"):
        to_arrays(model)
    wrapped = as_classifier(model, 1.0)
    assert isinstance(wrapped, Opaque)
    assert wrapped.predict(X)[0].tolist() == model.predict(X).tolist()
