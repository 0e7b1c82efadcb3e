"""What is asked of every layer set, cell by cell, and what earlier runs left of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta, Struct

from featx.errors import RequestError
from featx.evaluation.comparison import Comparison, Task
from featx.evaluation.evaluate import fingerprint
from featx.evaluation.few_labels.draws import count_training_images
from featx.evaluation.few_labels.training import has_curve
from featx.evaluation.records import load_record, save_record
from featx.evaluation.result_cache import Parameter, Share

KIND = "shots"
"""Beginning of the names of the records."""

Cell = tuple[str, int]
"""A classifier, and a number of labelled images of each class."""


Measured = dict[Cell, tuple[float, dict[str, float]]]
"""Accuracy and hyper-parameters of each cell in one draw."""


class DrawnFigures(Struct, frozen=True, forbid_unknown_fields=True):
    """What the draws of a cell gave, as its record states it: the first draws, as many as were asked for so far."""

    accuracies: list[Share]
    params: list[Annotated[dict[str, Parameter], Meta(min_length=1)]]

    def count(self) -> int:
        """Count the draws; none where the lists do not belong together."""
        return len(self.accuracies) if len(self.accuracies) == len(self.params) else 0

    def add(self, accuracy: float, params: dict[str, float]) -> DrawnFigures:
        """Add the next draw."""
        return DrawnFigures([*self.accuracies, accuracy], [*self.params, params])


@dataclass(frozen=True)
class Plan:
    """What is asked of every layer set.

    Attributes
    ----------
    names : list of str
        Classifiers.
    shots : list of int
        Rising.
    draws : int
    """

    names: list[str]
    shots: list[int]
    draws: int

    @property
    def cells(self) -> list[Cell]:
        """Classifiers and numbers of labelled images, in the order of the table."""
        return [(name, shots) for name in self.names for shots in self.shots]

    @property
    def fits(self) -> int:
        """Classifiers to be trained on each layer set."""
        return len(self.cells) * self.draws


def plan_curves(comparison: Comparison) -> Plan:
    """Say what is asked of every layer set, before anything is fitted.

    Raises
    ------
    RequestError
        If no classifier has a curve, or every class has fewer images than are to be labelled.
    """
    request = comparison.request
    names = [name for name in comparison.classifiers if has_curve(name)]
    if not names:
        raise RequestError("'shots' is for logreg, svm and knn: name one of them with --clf, or leave --shots out")
    most = int(count_training_images(comparison.dataset).max())
    shots = [each for each in request.shots if each <= most]
    if not shots:
        raise RequestError(
            f"'shots' begins at {request.shots[0]}, but no class has more than {most} images in the training part"
        )
    return Plan(names, shots, request.count_draws())


def state_cell(task: Task, cell: Cell) -> dict[str, Any]:
    """State everything that the figures of a cell depend on, but for the number of draws."""
    comparison, layer_set = task
    name, shots = cell
    stated = fingerprint(comparison, layer_set, name)
    # Few rows are fitted in memory, however large the whole is.
    stated.pop("passes", None)
    return {**stated, "shots": shots}


def recall_figures(task: Task, plan: Plan) -> dict[Cell, DrawnFigures]:
    """Find what earlier runs left of each cell; nothing where the request says to fit again."""
    request = task[0].request
    figures = {}
    for cell in plan.cells:
        found = None if request.refit else load_record(request.cache, KIND, state_cell(task, cell), DrawnFigures)
        figures[cell] = found if found and found.count() else DrawnFigures([], [])
    return figures


def list_lacking(figures: Mapping[Cell, DrawnFigures], plan: Plan) -> dict[int, list[Cell]]:
    """List the cells that lack a draw, by the number of the draw; draws that no cell lacks are left out."""
    lacking = {}
    for draw in range(plan.draws):
        cells = [cell for cell in plan.cells if figures[cell].count() <= draw]
        if cells:
            lacking[draw] = cells
    return lacking


def keep_figures(
    task: Task, recalled: Mapping[Cell, DrawnFigures], measured: Mapping[int, Measured]
) -> dict[Cell, DrawnFigures]:
    """Put what was measured in further draws, by their numbers, behind what was recalled, and write the records."""
    figures = dict(recalled)
    for draw in sorted(measured):
        for cell, (accuracy, params) in measured[draw].items():
            figures[cell] = figures[cell].add(accuracy, params)
    for cell, drawn in figures.items():
        if drawn is not recalled[cell]:
            save_record(task[0].request.cache, KIND, state_cell(task, cell), drawn)
    return figures
