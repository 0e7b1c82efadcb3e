"""What a page is made of: rows, the one that is shown in detail, and what was there beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.bases.weights import is_file_name
from featx.data.groups import list_relative_paths
from featx.evaluation.comparison import Comparison
from featx.evaluation.few_labels.figures import FewLabels
from featx.evaluation.nested.figures import NestedReport
from featx.evaluation.notes import find_majority
from featx.evaluation.result import HeldOutPredictions
from featx.evaluation.table_row import TableRow
from featx.features.catalog import LayerSet
from featx.features.dataset import Dataset
from featx.features.missing import complete_choice
from featx.ladder.report import LadderRow
from featx.reports.html.looking import Looked
from featx.requests import CompareRequest, ReportRequest, default_cache

Section = dict[str, Any]
"""What a part of the page shows, as plain values: the templates and `--json` have the same."""


@dataclass(frozen=True)
class Neighbour:
    """A training image that is like a held-out one.

    Attributes
    ----------
    row : int
        Of the data set.
    similarity : float
        Cosine of their features.
    """

    row: int
    similarity: float


@dataclass(frozen=True)
class Subject:
    """The row that is shown in detail.

    Attributes
    ----------
    row : TableRow
    predictions : HeldOutPredictions
    comparison : Comparison
        The base that it belongs to.
    layer_set : LayerSet or None
        None of a fine-tuned network, of which no features are kept.
    origin : str
        Why this one, in words.
    """

    row: TableRow
    predictions: HeldOutPredictions
    comparison: Comparison
    layer_set: LayerSet | None
    origin: str


@dataclass(frozen=True)
class Material:
    """Everything that a page is made of.

    Attributes
    ----------
    request : ReportRequest
    rows : list of TableRow
    subject : Subject
    neighbours : mapping of int to sequence of Neighbour
        Training images like a held-out one, by its row; empty where there are no features.
    few_labels : FewLabels or None
    nested : NestedReport or None
    lacking : list of str
        What is cached and was not evaluated, in sentences.
    ladder : sequence of LadderRow
        The steps of an automatic choice, where one was made.
    has_climbed : bool
        Whether an earlier run of `featx auto` made such a choice of the same images and base.
    layer_sets : list of LayerSet
        Cached cuts of the base in detail.
    looked : Looked
        What was looked at beyond results.
    """

    request: ReportRequest
    rows: list[TableRow]
    subject: Subject
    neighbours: Mapping[int, Sequence[Neighbour]] = field(default_factory=dict)
    few_labels: FewLabels | None = None
    nested: NestedReport | None = None
    lacking: list[str] = field(default_factory=list)
    ladder: Sequence[LadderRow] = ()
    has_climbed: bool = False
    layer_sets: list[LayerSet] = field(default_factory=list)
    looked: Looked = field(default_factory=Looked)

    @property
    def dataset(self) -> Dataset:
        """The labelled images."""
        return self.subject.comparison.dataset

    @cached_property
    def held_out(self) -> NDArray[np.intp]:
        """Rows that were held out: (m,) int, in the order of the predictions."""
        return np.flatnonzero(self.dataset.test)

    @cached_property
    def truth(self) -> NDArray[np.intp]:
        """Their classes: (m,) int."""
        return self.dataset.y[self.held_out]

    @property
    def predictions(self) -> HeldOutPredictions:
        """What the row in detail says of them."""
        return self.subject.predictions

    @cached_property
    def dummy_accuracy(self) -> float:
        """Accuracy of naming the most frequent class of the training part, as the classifier `dummy` does."""
        majority = find_majority(self.dataset, self.dataset.train)
        return round(float((self.truth == majority).mean()), 6)

    @cached_property
    def names(self) -> list[str]:
        """What each image is called: its path from the folder of DATA on, or a number where paths are not shown."""
        if self.request.anonymous:
            return [f"image {row + 1}" for row in range(len(self.dataset.y))]
        return list_relative_paths(self.dataset.listing)

    @property
    def data_name(self) -> str:
        """What the data set is called."""
        return "DATA" if self.request.anonymous else self.request.features.data

    @cached_property
    def repeatable(self) -> CompareRequest:
        """The request with the base in full, for commands that somebody else is to carry out."""
        features = self.request.features
        base = complete_choice(features.base, self.subject.comparison.base)
        if not self.request.anonymous:
            return replace(features, base=base)
        if base.weights is not None and is_file_name(base.weights):
            base = replace(base, weights="WEIGHTS")
        return replace(features, data="DATA", base=base, cache=default_cache())

    def without_paths(self, text: str) -> str:
        """Take out of a text what an anonymous page does not tell."""
        if not self.request.anonymous:
            return text
        for row, path in enumerate(self.dataset.listing.paths):
            if path in text:
                text = text.replace(path, f"image {row + 1}")
        return text.replace(self.request.features.data, "DATA")

    def describe_image(self, place: int) -> Section:
        """Describe a held-out image by its place among the predictions."""
        row = int(self.held_out[place])
        predicted = int(self.predictions.classes[place])
        return {
            "row": row,
            "path": self.names[row],
            "label": self.dataset.classes[int(self.truth[place])],
            "predicted": self.dataset.classes[predicted] if predicted >= 0 else None,
            "probability": float(self.predictions.confidence[place]),
        }
