"""From evaluations to the rows of one table: compared with the best, image by image, and with what they cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featx.evaluation.metrics import mcnemar
from featx.evaluation.result import Evaluation, TableRow, best, make_row
from featx.features.catalog import LayerSet


def make_table_row(evaluation: Evaluation, layer_set: LayerSet | None, p_value: float | None = None) -> TableRow:
    """Make a row of a table.

    Parameters
    ----------
    layer_set : LayerSet or None
        The cached features that were used; None for fine-tuning, which has none of its own.
    p_value : float, optional
        Significance of the difference from the best row.
    """
    if layer_set is None:
        return make_row(evaluation, p_value=p_value)
    megabytes = round(layer_set.megabytes, 3)
    ms_per_image = round(layer_set.ms_per_image, 3)
    return make_row(evaluation, p_value=p_value, megabytes=megabytes, ms_per_image=ms_per_image)


def compare_with_best(evaluations: Sequence[Evaluation], truth: NDArray[np.intp]) -> list[float]:
    """Test every evaluation against the best one on the same images: p values of McNemar's exact test.

    Parameters
    ----------
    truth : (m,) int
        Classes of the held-out images.
    """
    winner = best([evaluation.result for evaluation in evaluations])
    right = [evaluation.predictions.classes == truth for evaluation in evaluations]
    place = next(place for place, evaluation in enumerate(evaluations) if evaluation.result is winner)
    return [round(mcnemar(right[place], other), 6) for other in right]
