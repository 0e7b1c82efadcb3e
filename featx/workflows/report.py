"""Write a report: one HTML page on what was evaluated, from results, features and pictures that are there."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from featx.classifiers.registry import CLASSIFIERS
from featx.errors import MissingFeatures, ModelError, RequestError
from featx.evaluation.comparison import Comparison, open_comparisons
from featx.evaluation.evaluate import load_evaluation, predict_held_out, recall, recall_finetuned
from featx.evaluation.few_labels.cells import list_lacking, plan_curves, recall_figures
from featx.evaluation.few_labels.curves import trace_curves
from featx.evaluation.few_labels.figures import FewLabels
from featx.evaluation.held_out_rows import EvaluatedLayerSet, make_table_rows
from featx.evaluation.nested.report import nest
from featx.evaluation.protocol import Subject as EvaluatedSubject
from featx.evaluation.protocol import Training, make_evaluation
from featx.evaluation.result import Evaluation, best
from featx.evaluation.side_by_side import evaluate_tasks
from featx.evaluation.table_row import TableRow
from featx.features.catalog import LayerSet
from featx.files import write_text
from featx.log import note
from featx.models.model import Model, load_model
from featx.reports.html.figure import write_chart
from featx.reports.html.material import Lacking, Material, Neighbour, Subject
from featx.reports.html.neighbours import find_neighbours
from featx.reports.html.page import Page, make_page
from featx.reports.html.sections_of_images import MOST_MISTAKES, NEIGHBOURS, list_wrong
from featx.requests import CompareRequest, ReportRequest
from featx.types import Progress

log = logging.getLogger(__name__)

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


def write_report(request: ReportRequest, progress: Progress | None = None) -> ReportSummary:
    """Make the page of a request and write it, with its charts where they are wanted as files, too.

    Parameters
    ----------
    request : ReportRequest
    progress : callable, optional
        Called with how much is done and how much there is: evaluations where any are missing, then pictures.

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
    material = gather_material(request, progress)
    page = make_page(material, progress)
    write_text(request.out, page.text)
    figures = [] if request.figures is None else write_figures(page, request.figures)
    size = len(page.text.encode())
    return ReportSummary(
        str(request.out), size, len(page.pictures.sources), page.pictures.left_out, figures, page.sections
    )


def check_target(out: Path) -> None:
    """Raise RequestError unless a page can be written where it is to be, before anything takes time."""
    if out.is_dir():
        raise RequestError(f"the report '{out}' cannot be written: it is a folder")
    if not out.parent.is_dir():
        raise RequestError(f"the report '{out}' cannot be written: there is no folder '{out.parent}'")


def write_figures(page: Page, folder: Path) -> list[str]:
    """Write the charts of a page as files, as SVG and PNG; give their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for chart in page.charts:
        for kind in FIGURE_KINDS:
            file = folder / f"{chart.name}{kind}"
            write_chart(chart, file)
            written.append(str(file))
    return written


def gather_material(request: ReportRequest, progress: Progress | None = None) -> Material:
    """Gather everything that a page is made of; nothing is fitted that is there already.

    Raises
    ------
    FeatxError
        As `write_report` does.
    """
    features = request.features
    model = open_model(request.model)
    shown = features.held_out()
    # Without a choice of classifiers, whatever was evaluated is shown.
    everything = replace(shown, classifiers=features.classifiers or tuple(CLASSIFIERS))
    comparisons = open_comparisons(everything)
    is_chosen = bool(features.layers or features.classifiers)
    evaluated, lacking = find_evaluations(comparisons, is_chosen, progress)
    rows = make_table_rows(comparisons[0], [(layer_set, evaluation) for _, layer_set, evaluation in evaluated])
    subject = choose_subject(rows, evaluated) if model is None else find_model(model, request, rows, evaluated)
    material = Material(request, rows, subject, lacking=lacking, commands=write_commands(request, subject))
    nested = None
    if features.nested is not None:
        _, nested = nest([replace(each, request=features) for each in open_comparisons(features)], progress)
    return replace(
        material,
        neighbours=find_alike(material),
        few_labels=find_few_labels(features, subject, evaluated, progress),
        nested=nested,
    )


Found = tuple[Comparison, LayerSet | None, Evaluation]
"""An evaluation, with the comparison and the layer set that it is of."""


def find_evaluations(
    comparisons: Sequence[Comparison], is_chosen: bool, progress: Progress | None
) -> tuple[list[Found], list[Lacking]]:
    """Find the evaluations that are there; evaluate what was asked for by name, or the usual where nothing is there.

    Returns
    -------
    evaluations : list of Found
    lacking : list of Lacking
        Layers that were left out since some classifiers have no result there.
    """
    found = recall_all(comparisons)
    finetuned: list[Found] = []
    for comparison in comparisons:
        finetuned += [(comparison, None, each) for each in recall_finetuned(comparison)]
    if is_chosen or not (found or finetuned):
        return [*evaluate_all(comparisons, is_chosen, progress), *finetuned], []
    return [*found, *finetuned], list_not_evaluated(comparisons, found)


def recall_all(comparisons: Sequence[Comparison]) -> list[Found]:
    """Find what earlier runs left, in the order of the table."""
    found: list[Found] = []
    for comparison in comparisons:
        for layer_set in comparison.layer_sets:
            found += [(comparison, layer_set, evaluation) for evaluation in recall(comparison, layer_set).values()]
    return found


def evaluate_all(comparisons: Sequence[Comparison], is_chosen: bool, progress: Progress | None) -> list[Found]:
    """Evaluate every layer set, with the classifiers that were asked for or the usual ones."""
    asked = list(comparisons)
    if not is_chosen:
        note(log, "no result is there yet for these images and this base: the usual classifiers are evaluated")
    if not is_chosen or set(asked[0].classifiers) == set(CLASSIFIERS):
        from featx.classifiers.registry import DEFAULT_CLASSIFIERS

        asked = [replace(each, classifiers=list(DEFAULT_CLASSIFIERS)) for each in asked]
    tasks = [(comparison, layer_set) for comparison in asked for layer_set in comparison.layer_sets]
    found: list[Found] = []
    for (comparison, layer_set), evaluations in zip(tasks, evaluate_tasks(tasks, progress), strict=True):
        found += [(comparison, layer_set, evaluation) for evaluation in evaluations]
    if not found:
        raise MissingFeatures("there is no result to report for this base and these images. Run: featx compare --help")
    return found


def list_not_evaluated(comparisons: Sequence[Comparison], found: Sequence[Found]) -> list[Lacking]:
    """Name the cached layers of which no result is there."""
    has_result = {(id(comparison), layer_set) for comparison, layer_set, _ in found}
    lacking = []
    for comparison in comparisons:
        names = [
            f"{layer_set.name} ({layer_set.pooling})"
            for layer_set in comparison.layer_sets
            if (id(comparison), layer_set) not in has_result
        ]
        if names:
            what = f"Cached, but not evaluated yet: {', '.join(names)}. To add them:"
            lacking.append(Lacking(what, comparison.request.command("compare")))
    return lacking


def choose_subject(rows: Sequence[TableRow], evaluated: Sequence[Found]) -> Subject:
    """Choose the best row to be shown in detail."""
    winner = best(rows)
    place = next(place for place, row in enumerate(rows) if row is winner)
    comparison, layer_set, evaluation = evaluated[place]
    origin = "The best by cross-validation" if len(rows) > 1 else "The only configuration"
    return Subject(winner, evaluation.predictions, comparison, layer_set, origin)


def open_model(model: Any) -> Model | None:
    """Read the model, unless it is in hand already."""
    if model is None or isinstance(model, Model):
        return model
    return load_model(model, with_base=False)


def find_model(model: Model, request: ReportRequest, rows: Sequence[TableRow], evaluated: Sequence[Found]) -> Subject:
    """Find the row that a model is of, or evaluate the model on the held-out images.

    Raises
    ------
    ModelError
        If its features are not cached, its classes are others, or it was trained on the held-out images.
    """
    name = "the model" if isinstance(request.model, Model) else f"model '{Path(os.fspath(request.model)).name}'"
    clf = str(model.scores.get("clf", model.classifier.kind))
    for row, (comparison, layer_set, evaluation) in zip(rows, evaluated, strict=True):
        is_layer_set = layer_set is not None and layer_set.keys == model.keys
        is_result = row.clf == clf and row.test_accuracy == model.scores.get("test_accuracy")
        if is_layer_set and is_result and row.test_views == model.views:
            return Subject(row, evaluation.predictions, comparison, layer_set, f"The classifier of {name}")
    return evaluate_model(model, name, request, clf)


def evaluate_model(model: Model, name: str, request: ReportRequest, clf: str) -> Subject:
    """Evaluate a model on cached features of the held-out images."""
    layers = ["+".join(key.layer for key in model.keys)]
    of_model = replace(
        request.features.held_out(),
        layers=layers,
        poolings=[model.keys[0].pooling],
        store_dtype=model.keys[0].dtype,
        views=model.views,
        test_views=model.views,
        classifiers=["dummy"],
        beside=(),
    )
    (comparison,) = open_comparisons(of_model)
    layer_set = comparison.layer_sets[0]
    dataset = comparison.dataset
    if layer_set.keys != model.keys:
        raise ModelError(f"{name} takes features of another base than those that are cached: extract them, or use score")
    if list(model.classes_) != dataset.classes:
        raise ModelError(f"{name} has other classes than '{dataset.listing.name}': featx score compares what both have")
    if "trained_on_all" in model.protocol:
        raise ModelError(
            f"{name} was trained on all images, the held-out ones among them: report the fit that was made without "
            "them, with --layer and --clf instead of --model"
        )
    origin = f"The classifier of {name}"
    if model.protocol.get("rows") != dataset.digest:
        origin += ", which was trained on other images or another split (images held out here may be among them)"
    output = predict_held_out(comparison, model.classifier, comparison.features(layer_set))
    subject = EvaluatedSubject(
        base=comparison.base.id.architecture,
        layer=layer_set.name,
        pooling=layer_set.pooling,
        clf=clf,
        dim=layer_set.dim,
        views=int(model.scores.get("views", model.views)),
        test_views=model.views,
    )
    cv_accuracy = float(model.scores.get("cv_accuracy", 0.0))
    training = Training(int(model.scores.get("n_train", 0)), cv_accuracy, 0.0, dict(model.params))
    evaluation = make_evaluation(subject, training, dataset.y[dataset.test], output, model.classifier)
    (row,) = make_table_rows(comparison, [(layer_set, evaluation)])
    return Subject(row, evaluation.predictions, comparison, layer_set, origin)


def find_alike(material: Material) -> dict[int, list[Neighbour]]:
    """Find the training images that the surest mistakes are like."""
    subject = material.subject
    if subject.layer_set is None:
        return {}
    images = [int(material.held_out[place]) for place in list_wrong(material)[:MOST_MISTAKES]]
    comparison = subject.comparison
    # The pictures as they are: views of them look alike by themselves.
    features = replace(comparison.unloaded(subject.layer_set), views=1)
    return find_neighbours(features, images, np.flatnonzero(material.dataset.train), NEIGHBOURS)


def find_few_labels(
    features: CompareRequest, subject: Subject, evaluated: Sequence[Found], progress: Progress | None
) -> FewLabels | None:
    """Find learning curves that are there, or trace those that are asked for: of the row in detail at least."""
    asked = bool(features.shots)
    request = replace(subject.comparison.request, shots=features.shots or USUAL_SHOTS, draws=features.draws)
    chosen: dict[LayerSet, dict[str, float]] = {}
    for comparison, layer_set, evaluation in evaluated:
        if comparison.base == subject.comparison.base and layer_set is not None:
            chosen.setdefault(layer_set, {})[evaluation.result.clf] = evaluation.result.test_accuracy
    clf = subject.row.clf
    of_clf = replace(subject.comparison, request=request, classifiers=[clf])
    try:
        plan = plan_curves(of_clf)
    except RequestError:
        # There are too few images, or this classifier has no such curve.
        if asked:
            raise
        return None
    complete = []
    for layer_set, accuracies in chosen.items():
        is_subject = layer_set == subject.layer_set
        has_curve = not list_lacking(recall_figures((of_clf, layer_set), plan), plan)
        if clf in accuracies and (has_curve or (asked and is_subject)):
            complete.append(layer_set)
    if not complete:
        return None
    # The row in detail comes first.
    complete.sort(key=lambda layer_set: layer_set != subject.layer_set)
    selection = replace(of_clf.selection, layer_sets=complete)
    whole = [chosen[layer_set] for layer_set in complete]
    return trace_curves([replace(of_clf, selection=selection)], whole, progress)


def write_commands(request: ReportRequest, subject: Subject) -> list[str]:
    """Write the commands that make the features, the results, and the page again."""
    features = request.features
    keys = () if subject.layer_set is None else subject.layer_set.keys
    commands = []
    if keys:
        layers = list(dict.fromkeys(key.layer for key in keys))
        commands.append(features.extraction(layers, [keys[0].pooling]).command())
        commands.append(
            features.command("fit", "--layer", "+".join(layers), "--pooling", keys[0].pooling, "--clf", subject.row.clf)
        )
    else:
        commands.append(features.command("compare"))
    commands.append(features.command("report", "--out", str(request.out)))
    return commands


