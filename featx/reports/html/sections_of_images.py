"""Parts of the page that show pictures: mistakes, the confusion matrix, and classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featx.evaluation.curves import DIGITS, f1_interval
from featx.evaluation.error_analysis import report_classes, take_held_out
from featx.evaluation.metrics import wilson
from featx.reports.html.material import Material, Section

MOST_MISTAKES = 24
NEIGHBOURS = 3
MOST_OF_CELL = 24
"""Pictures of a cell of the confusion matrix."""

MOST_RIGHT_OF_CELL = 12
"""Pictures of a cell on the diagonal: where nothing is wrong there is less to look at."""

MOST_CLASSES = 40
"""Of more classes, the most confused pairs are listed first, and the matrix shows those with the most mistakes."""

MOST_PAIRS = 200
PICTURES_OF_CLASS = 3


def list_wrong(material: Material) -> list[int]:
    """List the places of mistakes among the predictions, the surest first, as `fit` names them."""
    predictions = material.predictions
    paths = material.dataset.listing.paths
    wrong = np.flatnonzero(predictions.classes != material.truth).tolist()
    wrong.sort(key=lambda place: (-predictions.confidence[place], paths[int(material.held_out[place])]))
    return wrong


def describe_mistakes(material: Material) -> Section:
    """Describe the surest mistakes, each with training images that it is like."""
    wrong = list_wrong(material)
    shown = []
    for place in wrong[:MOST_MISTAKES]:
        image = material.describe_image(place)
        image["neighbours"] = [
            {
                "row": near.row,
                "path": material.names[near.row],
                "label": material.dataset.classes[int(material.dataset.y[near.row])],
                "similarity": near.similarity,
            }
            for near in material.neighbours.get(image["row"], ())
        ]
        shown.append(image)
    return {"count": len(wrong), "images": len(material.truth), "shown": shown}


def describe_confusion(material: Material) -> Section:
    """Describe the confusion matrix: counts, the most confused pairs, and the images of each cell up to a limit."""
    classes = material.dataset.classes
    counts = count_confusions(material)
    pairs = []
    images_of = counts.sum(axis=1)
    for true, predicted in np.argwhere(counts).tolist():
        if true != predicted:
            count = int(counts[true, predicted])
            share = round(count / int(images_of[true]), DIGITS)
            pairs.append({"true": true, "predicted": predicted, "count": count, "share": share})
    pairs.sort(key=lambda pair: (-pair["count"], -pair["share"], pair["true"], pair["predicted"]))
    shown = list(range(len(classes)))
    if len(classes) > MOST_CLASSES:
        mistakes = images_of + counts.sum(axis=0) - 2 * np.diag(counts)
        shown = sorted(np.argsort(-mistakes, kind="stable")[:MOST_CLASSES].tolist())
    return {
        "classes": classes,
        "counts": counts.tolist(),
        "shown": shown,
        "pairs": pairs[:MOST_PAIRS],
        "pairs_in_all": len(pairs),
        "cells": list_cells(material, shown, pairs[:MOST_PAIRS]),
    }


def count_confusions(material: Material) -> NDArray[np.intp]:
    """Count images by true (row) and predicted (column) class: (k, k) int."""
    count = len(material.dataset.classes)
    predicted = material.predictions.classes
    # An image that could not be read any more was called nothing.
    is_called = predicted >= 0
    cells = material.truth[is_called] * count + predicted[is_called]
    counts = np.bincount(cells, minlength=count * count).reshape(count, count)
    return counts


def list_cells(material: Material, shown: Sequence[int], pairs: Sequence[Section]) -> dict[str, list[int]]:
    """List the images of each cell that can be opened, as rows: "true,predicted" to the surest ones."""
    wanted = {(pair["true"], pair["predicted"]) for pair in pairs}
    wanted |= {(true, predicted) for true in shown for predicted in shown}
    predictions = material.predictions
    cells: dict[str, list[int]] = {}
    for place in np.argsort(-predictions.confidence, kind="stable").tolist():
        true = int(material.truth[place])
        predicted = int(predictions.classes[place])
        if (true, predicted) not in wanted:
            continue
        rows = cells.setdefault(f"{true},{predicted}", [])
        most = MOST_RIGHT_OF_CELL if true == predicted else MOST_OF_CELL
        if len(rows) < most:
            rows.append(int(material.held_out[place]))
    return cells


def describe_classes(material: Material) -> Section:
    """Describe every class, the worst first: figures with intervals, typical and hard images."""
    dataset = material.dataset
    reports = report_classes(take_held_out(dataset, material.held_out), material.predictions.classes)
    counts = count_confusions(material)
    trained_on = np.bincount(dataset.y[dataset.train], minlength=len(dataset.classes))
    of_class = group_by_class(material)
    classes = []
    for code, report in enumerate(reports):
        right = int(counts[code, code])
        predicted = int(counts[:, code].sum())
        typical, hard = of_class[code]
        classes.append(
            {
                "label": report.label,
                "code": code,
                "precision": report.precision,
                "precision_ci": interval(right, predicted),
                "recall": report.recall,
                "recall_ci": interval(right, report.images),
                "f1": report.f1,
                "f1_ci": round_pair(f1_interval(right, report.images + predicted - 2 * right))
                if report.images + predicted
                else None,
                "images": report.images,
                "trained_on": int(trained_on[code]),
                "typical": [material.describe_image(place) for place in typical],
                "hard": [material.describe_image(place) for place in hard],
            }
        )
    classes.sort(key=lambda each: (each["f1"], each["code"]))
    return {"classes": classes}


def interval(hits: int, total: int) -> tuple[float, float] | None:
    """Give the 95 % interval of a share (Wilson); None of nothing."""
    return round_pair(wilson(hits, total)) if total else None


def round_pair(pair: tuple[float, float]) -> tuple[float, float]:
    """Round both bounds of an interval as figures are rounded."""
    return round(pair[0], DIGITS), round(pair[1], DIGITS)


def group_by_class(material: Material) -> list[tuple[list[int], list[int]]]:
    """Choose typical and hard images of each class: places among the predictions.

    Typical ones are right and surest; hard ones are wrong, the surest mistake first, then right and least sure.
    """
    chosen: list[tuple[list[int], list[int]]] = []
    confidence = material.predictions.confidence
    is_right = material.predictions.classes == material.truth
    for code in range(len(material.dataset.classes)):
        places = np.flatnonzero(material.truth == code)
        right = places[is_right[places]]
        wrong = places[~is_right[places]]
        surest = right[np.argsort(-confidence[right], kind="stable")]
        typical = surest[:PICTURES_OF_CLASS].tolist()
        by_hardness = [*wrong[np.argsort(-confidence[wrong], kind="stable")].tolist(), *surest[::-1].tolist()]
        hard = [place for place in by_hardness if place not in typical][:PICTURES_OF_CLASS]
        chosen.append((typical, hard))
    return chosen
