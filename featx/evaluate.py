"""Stage two: fit classifiers on cached features, and judge them once on the held-out part."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from featx.classifiers.results import Result
from featx.classifiers.scores import wilson
from featx.classifiers.search import search
from featx.classifiers.splits import make_folds
from featx.classifiers.zoo import CLASSIFIERS, classifier_of
from featx.keys import FeatureKey
from featx.requests import CompareRequest
from featx.store.store import FeatureStore
from featx.table import Rows, choose_keys, find_base, load_rows

Progress = Callable[[int, int], None]


def judge(key: FeatureKey, clf: str, X: NDArray[np.floating[Any]], rows: Rows, seed: int) -> Result:
    """Choose, refit and judge one classifier on one key's features.

    Parameters
    ----------
    X : (n, d) float
        Features of all rows; the held-out ones are read once, at the end.
    """
    train, test, y = ~rows.test, rows.test, rows.y
    started = time.perf_counter()
    folds = make_folds(y[train], rows.groups[train], seed)
    fitted = search(classifier_of(clf), X[train], y[train], folds, seed)
    seconds = time.perf_counter() - started
    predicted = fitted.model.predict(X[test])
    hits, total = int((predicted == y[test]).sum()), int(test.sum())
    low, high = wilson(hits, total)
    return Result(
        base=key.base.architecture,
        layer=key.layer,
        pooling=key.pooling,
        clf=clf,
        dim=X.shape[1],
        n_train=int(train.sum()),
        n_test=total,
        cv_accuracy=round(fitted.cv_accuracy, 6),
        test_accuracy=round(hits / total, 6),
        ci_low=round(low, 6),
        ci_high=round(high, 6),
        macro_f1=round(float(f1_score(y[test], predicted, average="macro", zero_division=0)), 6),
        fit_seconds=round(seconds, 3),
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
        X = features.reshape(len(features), -1).astype(np.float32, copy=False)
        for name in classifiers:
            results.append(judge(key, name, X, rows, request.seed))
            if progress:
                progress(len(results), len(keys) * len(classifiers))
    return results
