"""A row of a table: a result, compared with the best one image by image, and with what its features cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.evaluation.metrics import adjust_by_holm, mcnemar
from featx.evaluation.nested.figures import NestedFigures
from featx.evaluation.result import Evaluation, PositiveClass, Result, best, drop_unweighted
from featx.features.catalog import LayerSet

LAST_FIELDS = ("p_value", "megabytes", "ms_per_image", "degenerate", "views", "test_views", "recalled")
"""The last fields of a row in JSON."""


@dataclass(frozen=True)
class TableRow(Result):
    """A result beside others: what the comparison, the cache and this run add to it.

    Attributes
    ----------
    p_value : float or None
        Exact McNemar test against the best row on the same held-out images; None where nothing was compared.
    p_adjusted : float or None
        The same, adjusted for all rows that are compared with the best one (Holm, 1979).
    megabytes : float or None
        Room on disk of the layer set's features, in 10^6 bytes.
    ms_per_image : float or None
        Cost of extracting an image to this layer alone, in milliseconds, or to a deeper one where that cost less, so
        that it never falls with depth.
    recalled : bool
        Whether the result is of an earlier run. Rows are equal whether or not they were recalled.
    degenerate : str or None
        "all zero" or "constant" where the features tell no images apart.
    roc_auc, average_precision : float or None
        Of two classes, the positive one against the other; of more, the mean of one against the rest.
    matthews : float or None
        Matthews correlation.
    sensitivity, specificity : float or None
        Recall of the positive class and of the other one; only where there are two.
    positive : str or None
        The positive class.
    notes, data_notes : tuple of str
        What to know of this row, and of the data set.
    hints : tuple of str
        What else could be done; it speaks of seconds, so that rows are equal without it.
    nested : NestedFigures or None
        Details of nested cross-validation, where it made the row: all figures are then of all judged images.
    """

    p_value: float | None = None
    megabytes: float | None = None
    ms_per_image: float | None = None
    recalled: bool = field(default=False, compare=False)
    degenerate: str | None = None
    p_adjusted: float | None = None
    roc_auc: float | None = None
    average_precision: float | None = None
    matthews: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    positive: str | None = None
    notes: tuple[str, ...] = ()
    data_notes: tuple[str, ...] = ()
    hints: tuple[str, ...] = field(default=(), compare=False)
    nested: NestedFigures | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON; scripts find at the end what they have always found there."""
        values = asdict(self)
        degenerate = [word_degenerate(self)] if self.degenerate else []
        values["notes"] = [*self.notes, *degenerate, *values.pop("data_notes"), *values.pop("hints")]
        if self.nested is None:
            del values["nested"]
        for name in LAST_FIELDS:
            values[name] = values.pop(name)
        return drop_unweighted(values)


def word_degenerate(row: TableRow) -> str:
    """Say that the features of a layer tell no images apart."""
    return f"the features of {row.layer} ({row.pooling}) are {row.degenerate}: they tell no images apart"


def make_row(evaluation: Evaluation, positive: PositiveClass | None = None, **added: Any) -> TableRow:
    """Make the row of a table that shows an evaluation.

    Parameters
    ----------
    positive : PositiveClass, optional
        Of two classes.
    added
        Further fields of `TableRow`.
    """
    result = {each.name: getattr(evaluation.result, each.name) for each in fields(Result)}
    figures = evaluation.figures
    if figures is not None:
        other = None if positive is None else PositiveClass(1 - positive.place, "")
        added.update(
            roc_auc=pick_figure(figures.roc_auc, positive),
            average_precision=pick_figure(figures.average_precision, positive),
            matthews=figures.matthews,
            sensitivity=pick_figure(figures.recall, positive),
            specificity=pick_figure(figures.recall, other),
            positive=positive.name if positive else None,
        )
    return TableRow(**result, recalled=evaluation.recalled, degenerate=evaluation.degenerate, **added)


def pick_figure(values: Sequence[float | None], positive: PositiveClass | None) -> float | None:
    """Pick the figure of one of two classes, or the only one of more."""
    if len(values) == 2:
        return values[positive.place] if positive else None
    return values[0] if values else None


def make_table_row(
    evaluation: Evaluation, layer_set: LayerSet | None, positive: PositiveClass | None = None, **added: Any
) -> TableRow:
    """Make a row of a table.

    Parameters
    ----------
    layer_set : LayerSet or None
        The cached features that were used; None for fine-tuning, which has none of its own.
    positive : PositiveClass, optional
        Of two classes.
    added
        Further fields of `TableRow`.
    """
    if layer_set is None:
        return make_row(evaluation, positive, **added)
    megabytes = round(layer_set.megabytes, 3)
    ms_per_image = round(layer_set.ms_per_image, 3)
    return make_row(evaluation, positive, megabytes=megabytes, ms_per_image=ms_per_image, **added)


def compare_with_best(evaluations: Sequence[Evaluation], truth: NDArray[np.intp]) -> list[dict[str, float]]:
    """Test every evaluation against the best one on the same images by McNemar's exact test.

    Parameters
    ----------
    truth : (m,) int
        Classes of the held-out images.

    Returns
    -------
    list of dict
        `p_value` and, adjusted for all that are compared with the best, `p_adjusted`; both 1 for the best itself.
    """
    winner = best([evaluation.result for evaluation in evaluations])
    right = [evaluation.predictions.classes == truth for evaluation in evaluations]
    place = next(place for place, evaluation in enumerate(evaluations) if evaluation.result is winner)
    p_values = [mcnemar(right[place], other) for other in right]
    # The best one is not compared with itself.
    adjusted = adjust_by_holm(p_values[:place] + p_values[place + 1 :])
    adjusted.insert(place, 1.0)
    return [
        {"p_value": round(p_value, 6), "p_adjusted": round(p_adjusted, 6)}
        for p_value, p_adjusted in zip(p_values, adjusted, strict=True)
    ]
