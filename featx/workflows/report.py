"""Write a report: one HTML page on what was evaluated, from results, features and pictures that are there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from featx.classifiers.registry import CLASSIFIERS
from featx.errors import MissingFeatures, RequestError, StoreError, shorten
from featx.evaluation.comparison import Comparison, open_comparisons
from featx.evaluation.few_labels.cells import list_lacking, plan_curves, recall_figures
from featx.evaluation.few_labels.curves import trace_curves
from featx.evaluation.few_labels.figures import FewLabels
from featx.evaluation.nested.figures import NestedReport
from featx.evaluation.nested.report import nest
from featx.evaluation.result import best
from featx.evaluation.rows.found import Found, evaluate_all, evaluate_usual, list_not_evaluated, recall_all
from featx.evaluation.rows.held_out import make_table_rows
from featx.evaluation.rows.of_model import evaluate_model, was_trained_here
from featx.features.catalog import LayerSet
from featx.files import write_text
from featx.images.memory_budget import return_freed_memory
from featx.ladder.budget import has_climbed
from featx.ladder.report import LadderRow
from featx.models.model import Model, load_model
from featx.reports.html.figure import write_chart
from featx.reports.html.look import Tools, look, start_inspection
from featx.reports.html.material import Material, Neighbour, Subject
from featx.reports.html.neighbours import find_neighbours
from featx.reports.html.page import Page, make_page
from featx.reports.html.sections_of_images import MOST_MISTAKES, NEIGHBOURS, list_wrong
from featx.requests import CompareRequest, ReportRequest
from featx.types import Progress

USUAL_SHOTS = (1, 2, 5, 10, 20)
"""Numbers of labelled images whose curves are looked for where none are asked for: those that the page suggests."""

FIGURE_KINDS = (".svg", ".png")


@dataclass(frozen=True)
class ReportSummary:
    """What was written.

    Attributes
    ----------
    path : str
    bytes : int
        Size of the page.
    pictures, left_out : int
        Pictures in the page, and those that there was no room for.
    figures : list of str
        Charts that were written as files.
    sections : dict
        What the page shows, as plain values.
    """

    path: str
    bytes: int
    pictures: int
    left_out: int
    figures: list[str]
    sections: dict[str, dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {
            "report": self.path,
            "bytes": self.bytes,
            "pictures": self.pictures,
            "left_out": self.left_out,
            "figures": self.figures,
            **self.sections,
        }


def write_report(
    request: ReportRequest,
    progress: Progress | None = None,
    ladder: Sequence[LadderRow] = (),
    tools: Tools | None = None,
) -> ReportSummary:
    """Make the page of a request and write it, with its charts where they are wanted as files, too.

    Parameters
    ----------
    request : ReportRequest
    progress : callable, optional
        Called with how much is done and how much there is: evaluations where any are missing, then pictures.
    ladder : sequence of LadderRow
        The steps of an automatic choice, where one was made.
    tools : Tools, optional
        Other ways to look.

    Returns
    -------
    ReportSummary

    Raises
    ------
    RequestError
        If a package is not installed, or the page cannot be written where it is to be.
    FeatxError
        If names are unknown, features are not cached, or the data set or the model cannot be used.
    """
    check_target(request.out)
    tools = tools or Tools()
    if request.shows_images and (tools.explain or tools.answer):
        import_torch_alone()
    summary = write_page(request, tools, progress, ladder)
    # What torch reads of its libraries when the process ends comes on top.
    return_freed_memory()
    return summary


def write_page(
    request: ReportRequest, tools: Tools, progress: Progress | None, ladder: Sequence[LadderRow]
) -> ReportSummary:
    """Do what `write_report` does, once torch is imported."""
    inspection = start_inspection(request, tools)
    material = replace(gather_material(request, progress), ladder=ladder)
    return_freed_memory()
    material = replace(material, looked=look(material, tools, inspection))
    return_freed_memory()
    page = make_page(material, progress)
    write_text(request.out, page.text)
    figures = [] if request.figures is None else write_figures(page, request.figures)
    size = len(page.text.encode())
    return ReportSummary(
        str(request.out), size, len(page.pictures.sources), page.pictures.left_out, figures, page.sections
    )


def import_torch_alone() -> None:
    """Import torch, where it can be imported, before threads begin.

    Functions of scipy ask any torch in `sys.modules` for its tensors, and one that another thread is still importing
    has none: they raise an AttributeError.
    """
    with suppress(ImportError, OSError):
        import torch  # noqa: F401


def check_target(out: Path) -> None:
    """Raise RequestError unless a page can be written where it is to be, before anything takes time."""
    if out.is_dir():
        raise RequestError(f"the report '{out}' cannot be written: it is a folder")
    if not out.parent.is_dir():
        raise RequestError(f"the report '{out}' cannot be written: there is no folder '{out.parent}'")


def write_figures(page: Page, folder: Path) -> list[str]:
    """Write the charts of a page as files, as SVG and PNG; give their paths.

    Raises
    ------
    StoreError
        If they cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder '{folder}' cannot be made: {error.strerror or error}") from error
    written = []
    for chart in page.charts:
        for kind in FIGURE_KINDS:
            file = folder / f"{chart.name}{kind}"
            write_chart(chart, file)
            written.append(str(file))
    return written


def gather_material(request: ReportRequest, progress: Progress | None = None) -> Material:
    """Gather everything that a page is made of; what earlier runs left is not computed again.

    Raises
    ------
    FeatxError
        As `write_report` does.
    """
    features = request.features
    # Without a choice of classifiers, whatever was evaluated is shown.
    everything = replace(features.held_out(), classifiers=features.classifiers or tuple(CLASSIFIERS))
    comparisons = open_comparisons(everything)
    found = find_evaluations(request, comparisons, progress)
    subject_place = None
    origin = "The best by cross-validation" if len(found) > 1 else "The only configuration"
    if request.model is not None:
        found, subject_place, origin = add_model(request, found)
    rows = make_table_rows(comparisons[0], [(each.layer_set, each.evaluation) for each in found])
    if subject_place is None:
        winner = best(rows)
        subject_place = next(place for place, row in enumerate(rows) if row is winner)
    shown = found[subject_place]
    subject = Subject(rows[subject_place], shown.evaluation.predictions, shown.comparison, shown.layer_set, origin)
    material = Material(
        request,
        rows,
        subject,
        lacking=list_lacking_rows(comparisons, found),
        has_climbed=has_climbed(features.cache, subject.comparison.dataset.digest, features.base.name),
        layer_sets=comparisons[0].layer_sets if subject.comparison.base == comparisons[0].base else [],
    )
    return replace(
        material,
        neighbours=find_alike(material),
        few_labels=find_few_labels(features, subject, found, progress),
        nested=judge_nested(features, progress),
    )


def find_evaluations(
    request: ReportRequest, comparisons: Sequence[Comparison], progress: Progress | None
) -> list[Found]:
    """Find what earlier runs left; evaluate what was asked for by name, or the usual where nothing is there.

    Raises
    ------
    MissingFeatures
        If there is nothing to be shown.
    """
    features = request.features
    if features.classifiers:
        found = evaluate_all(comparisons, progress)
    else:
        found = recall_all(comparisons)
        if not found and request.model is None:
            found = evaluate_usual(comparisons, progress)
    if not found and request.model is None:
        raise MissingFeatures("there is no result to report for this base and these images. Run: featx compare --help")
    return found


def add_model(request: ReportRequest, found: list[Found]) -> tuple[list[Found], int, str]:
    """Add the row of the model, unless it is there.

    Returns
    -------
    found : list of Found
    place : int
        Of the model's row among them.
    origin : str
        What is shown in detail, in words.
    """
    model = request.model
    name = "the model"
    if not isinstance(model, Model):
        if not request.anonymous:
            name = f"the model '{Path(os.fspath(model)).name}'"
        model = load_model(model, with_base=False)
    of_model = evaluate_model(model, name, request.features)
    origin = f"The classifier of {name}"
    if not was_trained_here(model, of_model.comparison) and "groups" not in model.protocol:
        origin += ", which was trained on other images or another split, so that it may have seen these"
    result = of_model.evaluation.result
    for place, each in enumerate(found):
        if each.layer_set == of_model.layer_set and each.evaluation.result == result:
            return found, place, origin
    dataset = of_model.comparison.dataset
    if found and found[0].comparison.dataset.digest != dataset.digest:
        # Its features are of fewer images: the other rows are of others.
        found = []
    return [*found, of_model], len(found), origin


def list_lacking_rows(comparisons: Sequence[Comparison], found: Sequence[Found]) -> list[str]:
    """Name the cached layers that are not shown since nobody has evaluated them, in a sentence for each base."""
    lacking = []
    for comparison in comparisons:
        names = [f"{each.name} ({each.pooling})" for each in list_not_evaluated(comparison, found)]
        if names:
            lacking.append(f"Cached of {comparison.base.id.architecture}, but not evaluated yet: {shorten(names, 6)}.")
    return lacking


def find_alike(material: Material) -> dict[int, list[Neighbour]]:
    """Find the training images that the surest mistakes are like."""
    subject = material.subject
    if subject.layer_set is None:
        return {}
    images = [int(material.held_out[place]) for place in list_wrong(material)[:MOST_MISTAKES]]
    # The pictures as they are: views of one look alike by themselves.
    features = replace(subject.comparison.unloaded(subject.layer_set), views=1)
    return find_neighbours(features, images, np.flatnonzero(material.dataset.train), NEIGHBOURS)


def judge_nested(features: CompareRequest, progress: Progress | None) -> NestedReport | None:
    """Judge the choice by nested cross-validation, where it is asked for; folds that are there are not fitted again."""
    if features.nested is None:
        return None
    _, report = nest(open_comparisons(replace(features, shots=(), draws=None)), progress)
    return report


def find_few_labels(
    features: CompareRequest, subject: Subject, found: Sequence[Found], progress: Progress | None
) -> FewLabels | None:
    """Find learning curves that are there, or trace that of the row in detail where it is asked for."""
    is_asked = bool(features.shots)
    request = replace(subject.comparison.request, shots=features.shots or USUAL_SHOTS, draws=features.draws)
    of_clf = replace(subject.comparison, request=request, classifiers=[subject.row.clf])
    try:
        plan = plan_curves(of_clf)
    except RequestError:
        # There are too few images, or this classifier has no such curve.
        if is_asked:
            raise
        return None
    whole: dict[LayerSet, float] = {}
    for each in found:
        is_same_base = each.comparison.base == subject.comparison.base
        if is_same_base and each.layer_set is not None and each.evaluation.result.clf == subject.row.clf:
            whole[each.layer_set] = each.evaluation.result.test_accuracy
    complete = []
    for layer_set in whole:
        has_curve = not list_lacking(recall_figures((of_clf, layer_set), plan), plan)
        if has_curve or (is_asked and layer_set == subject.layer_set):
            complete.append(layer_set)
    if not complete:
        return None
    # The row in detail comes first.
    complete.sort(key=lambda layer_set: layer_set != subject.layer_set)
    curves_of = replace(of_clf, selection=replace(of_clf.selection, layer_sets=complete))
    accuracies = [{subject.row.clf: whole[layer_set]} for layer_set in complete]
    return trace_curves([curves_of], accuracies, progress)
