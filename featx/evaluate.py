"""Stage two: fit classifiers on cached features, and judge them once on the held-out part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from featx.classifiers.results import Result
from featx.classifiers.scores import wilson
from featx.classifiers.search import Fitted, search, unit_length
from featx.classifiers.splits import make_folds
from featx.classifiers.zoo import CLASSIFIERS, classifier_of
from featx.keys import FeatureKey
from featx.requests import CompareRequest
from featx.store.store import FeatureStore
from featx.table import Rows, choose_keys, find_base, load_rows

Progress = Callable[[int, int], None]


def judge(key: FeatureKey, names: Sequence[str], X: NDArray[np.floating[Any]], rows: Rows, seed: int) -> list[Result]:
    """Choose, refit and judge classifiers on one key's features.

    Parameters
    ----------
    names : sequence of str
        Names in `CLASSIFIERS`.
    X : (n, d) float
        Features of all rows; the held-out ones are read once for each classifier, at the end.
    """
    train = ~rows.test
    folds = make_folds(rows.y[train], rows.groups[train], seed)
    fitted = search(names, X[train], rows.y[train], folds, seed)
    return [record(key, name, fitted[name], X, rows) for name in names]


def record(key: FeatureKey, name: str, fitted: Fitted, X: NDArray[np.floating[Any]], rows: Rows) -> Result:
    """Judge one fitted classifier on the held-out part."""
    truth = rows.y[rows.test]
    predicted = fitted.model.predict(X[rows.test])
    hits, total = int((predicted == truth).sum()), len(truth)
    low, high = wilson(hits, total)
    return Result(
        base=key.base.architecture,
        layer=key.layer,
        pooling=key.pooling,
        clf=name,
        dim=X.shape[1],
        n_train=len(rows.y) - total,
        n_test=total,
        cv_accuracy=round(fitted.cv_accuracy, 6),
        test_accuracy=round(hits / total, 6),
        ci_low=round(low, 6),
        ci_high=round(high, 6),
        macro_f1=round(float(f1_score(truth, predicted, average="macro", zero_division=0)), 6),
        fit_seconds=round(fitted.seconds, 3),
        params=fitted.params,
    )


def compare(request: CompareRequest, progress: Progress | None = None) -> list[Result]:
    """Judge every classifier on every layer that a request asks for.

    Parameters
    ----------
    request : CompareRequest
    progress : callable, optional
        Called with the number of evaluations done and to be done.

    Returns
    -------
    list of Result
        Layers in the base's order, classifiers as asked.

    Raises
    ------
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used.
    """
    classifiers = list(dict.fromkeys(request.classifiers)) or list(CLASSIFIERS)
    for name in classifiers:
        classifier_of(name)
    store = FeatureStore(request.cache)
    keys = choose_keys(store, find_base(store, request), request)
    rows = load_rows(request, store, keys)
    results = []
    for key in keys:
        features = store.get(key, rows.manifest.digests)
        X = unit_length(features.reshape(len(features), -1))
        results += judge(key, classifiers, X, rows, request.seed)
        if progress:
            progress(len(results), len(keys) * len(classifiers))
    return results
