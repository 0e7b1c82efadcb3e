"""Stage two: fit classifiers on cached features, and judge them once on the held-out part."""

from __future__ import annotations

from featx.errors import MissingFeatures, RequestError
from featx.evaluation.error_analysis import with_p_values
from featx.evaluation.protocol import Comparison
from featx.evaluation.result import Result
from featx.evaluation.result_cache import Evaluation
from featx.evaluation.side_by_side import evaluate_side_by_side
from featx.requests import CompareRequest
from featx.types import Progress


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
        Layers in the base's order, classifiers as asked; other bases after the first.

    Raises
    ------
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used.
    """
    experiments = [Comparison.open(request), *map(Comparison.open, request.others())]
    rows = experiments[0].rows
    if any(one.rows.digest != rows.digest for one in experiments):
        raise RequestError("the bases have features of different images: extract with all of them, then compare")
    tasks = [(experiment, cut) for experiment in experiments for cut in experiment.cuts]
    found: dict[int, list[Evaluation]] = {}
    for done, (place, judged) in enumerate(evaluate_side_by_side(tasks), 1):
        found[place] = judged
        if progress:
            progress(done * len(experiments[0].names), len(tasks) * len(experiments[0].names))
    judged = [one for place in range(len(tasks)) for one in found[place]]
    judged += [one for experiment in experiments for one in experiment.tuned()]
    if not judged:
        raise MissingFeatures("nothing of it was fine-tuned on these images yet. Run: featx finetune --help")
    return with_p_values(judged, rows.y[rows.test])
