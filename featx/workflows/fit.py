"""Train one classifier on cached features, and evaluate it once on the held-out part."""

from __future__ import annotations

from joblib import cpu_count

from featx.errors import RequestError
from featx.evaluation.error_analysis import FitReport, HeldOut, describe
from featx.evaluation.protocol import Comparison
from featx.evaluation.side_by_side import evaluate_at
from featx.requests import CompareRequest


def fit(request: CompareRequest) -> FitReport:
    """Train one classifier on one cached layer, or on a mix of layers, and judge it on the held-out part.

    Parameters
    ----------
    request : CompareRequest
        With one layer, one classifier and at most one pooling.

    Returns
    -------
    FitReport
        Its `model` can be saved, and labels new images.

    Raises
    ------
    RequestError
        If the request names several layers or classifiers.
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used.
    """
    experiment = Comparison.open(request)
    if len(experiment.cuts) != 1 or len(experiment.names) != 1:
        asked = f"{len(experiment.cuts)} layers or poolings and {len(experiment.names)} classifiers"
        raise RequestError(f"a fit takes one of each, but {asked} are asked for: choose, or use compare")
    (cut,), (name,), rows = experiment.cuts, experiment.names, experiment.rows
    _, (judged,) = evaluate_at(0, (experiment, cut), cpu_count())
    paths = [path for path, held in zip(rows.manifest.listing.paths, rows.test, strict=True) if held]
    held_out = HeldOut(paths, rows.y[rows.test], rows.classes)
    return describe(judged, held_out, lambda: experiment.model(cut, name, judged.result))
