"""A row of a table: a result, compared with the best one image by image, and with what its features cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.evaluation.metrics import mcnemar
from featx.evaluation.result import WEIGHTING_FIELDS, Evaluation, Result, best
from featx.features.catalog import LayerSet


@dataclass(frozen=True)
class TableRow(Result):
    """A result beside others: what the comparison, the cache and this run add to it.

    Attributes
    ----------
    p_value : float or None
        Exact McNemar test against the best row on the same held-out images; None where nothing was compared.
    megabytes : float or None
        Room on disk of the layer set's features, in 10^6 bytes.
    ms_per_image : float or None
        Cost of extracting an image, in milliseconds: the share of this layer among those extracted together.
    recalled : bool
        Whether the result is of an earlier run. Rows are equal whether or not they were recalled.
    degenerate : str or None
        "all zero" or "constant" where the features tell no images apart.
    """

    p_value: float | None = None
    megabytes: float | None = None
    ms_per_image: float | None = None
    recalled: bool = field(default=False, compare=False)
    degenerate: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON; what was added stands before the views, where scripts have always found it."""
        values = super().to_dict()
        last = ("views", "test_views", "recalled", *WEIGHTING_FIELDS)
        for name in last:
            if name in values:
                values[name] = values.pop(name)
        return values


def make_row(evaluation: Evaluation, **added: Any) -> TableRow:
    """Make the row of a table that shows an evaluation.

    Parameters
    ----------
    added : p_value, megabytes, ms_per_image
        See `TableRow`.
    """
    figures = {figure.name: getattr(evaluation.result, figure.name) for figure in fields(Result)}
    return TableRow(**figures, recalled=evaluation.recalled, degenerate=evaluation.degenerate, **added)


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
