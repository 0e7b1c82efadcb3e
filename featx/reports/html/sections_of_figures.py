"""Parts of the page that show figures: the table, calibration and threshold, learning curves, data, and origin."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path

import numpy as np

from featx.bases.weights import is_file_name
from featx.evaluation.curves import ThresholdCurve, score_positive, trace_reliability, trace_thresholds
from featx.evaluation.metrics import SIGNIFICANCE
from featx.evaluation.protocol import PROTOCOL, describe_protocol
from featx.evaluation.result import TUNED, PositiveClass, best
from featx.evaluation.table_row import TableRow
from featx.keys import list_fields
from featx.reports.html.material import Material, Section
from featx.reports.table_notes import explain_marks, gather_notes, mark_row

VERSIONS_OF = ("featx", "numpy", "scipy", "scikit-learn", "pillow", "torch", "torchvision", "h5py")

COLUMNS = (
    ("base", "base", "Frozen network whose features are taken"),
    ("layer", "layer", "Where the base is cut; layers joined by + are concatenated"),
    ("pooling", "pooling", "How an activation becomes one vector"),
    ("clf", "classifier", "What was trained on the features"),
    ("dim", "length", "Numbers in a feature vector"),
    ("views", "views", "Views of each training image"),
    ("cv_accuracy", "cv acc", "Accuracy in cross-validation inside the training part"),
    ("cv_figure", "cv figure", "The figure of --select in cross-validation"),
    ("test_accuracy", "accuracy", "Share of the held-out images that is labelled correctly"),
    ("ci", "95 % CI", "Interval of that share (Wilson)"),
    ("p_adjusted", "p", "Exact McNemar test against the best row, adjusted for all rows (Holm)"),
    ("balanced_accuracy", "balanced", "Mean recall over classes"),
    ("macro_f1", "macro F1", "Mean F1 over classes"),
    ("top5_accuracy", "top 5", "Share whose class is among the five most probable"),
    ("roc_auc", "ROC AUC", "Area under the ROC curve; of several classes, the mean of one against the rest"),
    ("average_precision", "AP", "Average precision"),
    ("matthews", "MCC", "Matthews correlation: 0 at chance, 1 at best"),
    ("sensitivity", "sens.", "Recall of the positive class"),
    ("specificity", "spec.", "Recall of the other class"),
    ("calibration_error", "ECE", "Expected calibration error: how far probabilities lie from shares that are right"),
    (
        "ms_per_image",
        "ms/image",
        "Cost of extracting an image to this cut alone: the least measured of it or a deeper one",
    ),
    ("megabytes", "MB", "Room on disk of the features"),
    ("fit_seconds", "seconds", "Search and refit of the classifier"),
)
"""Field of a row, the heading of its column, and what it means."""

WORDS = ("base", "layer", "pooling", "clf")
"""Columns of words, which are sorted by letters."""

AT_FIRST = {"base", "layer", "pooling", "clf", "cv_accuracy", "test_accuracy", "ci", "p_adjusted", "ms_per_image"}
"""Columns that are shown before anybody chooses others."""

SMALL_IS_GOOD = {"calibration_error", "ms_per_image", "megabytes", "fit_seconds"}


def describe_table(material: Material) -> Section:
    """Describe the table: rows with their marks, and the columns that say anything."""
    rows = material.rows
    winner = best(rows)
    columns = []
    for field, heading, meaning in COLUMNS:
        if is_worth_showing(field, rows):
            columns.append(
                {
                    "field": field,
                    "heading": heading,
                    "meaning": meaning,
                    "is_word": field in WORDS,
                    "is_shown": field in AT_FIRST,
                    "rises": field in SMALL_IS_GOOD,
                }
            )
    marked = [{"mark": mark_row(row, winner), **row.to_dict()} for row in rows]
    notes = [material.without_paths(note) for note in (*explain_marks(rows, winner), *gather_notes(rows))]
    return {
        "rows": marked,
        "columns": columns,
        "reading": read_depths(rows, winner),
        "has_hollow_marks": len({(row.pooling, row.views) for row in rows if row.clf not in TUNED}) > 1,
        "notes": notes,
        "significance": SIGNIFICANCE,
        "lacking": material.lacking,
        "command": material.repeatable.command("compare"),
    }


def read_depths(rows: Sequence[TableRow], winner: TableRow) -> list[str]:
    """Say in words what the chart of depths shows: where the best cut lies, and from where on cuts are as good."""
    cuts = [
        row for row in rows if row.clf not in (*TUNED, "dummy") and "+" not in row.layer and row.base == winner.base
    ]
    layers = list(dict.fromkeys(row.layer for row in cuts))
    if len(layers) < 2:
        return ["One cut was evaluated: others show what depth does."]
    deepest = max((row for row in cuts if row.layer == layers[-1]), key=lambda row: row.merit)
    if winner.layer == deepest.layer:
        words = [f"The best cut is the deepest of these, {winner.layer}."]
    else:
        gain = 100 * (winner.test_accuracy - deepest.test_accuracy)
        words = [
            f"The best, {winner.layer} {winner.clf}, differs from the deepest cut, {deepest.layer} {deepest.clf}, by "
            f"{gain:+.1f} points (adjusted p {deepest.p_adjusted:.3f})."
        ]
    tied = [row for row in cuts if mark_row(row, winner) == "=" and row.layer != winner.layer]
    if tied:
        first = min(tied, key=lambda row: layers.index(row.layer))
        words.append(
            f"From {first.layer} on, there are cuts that cannot be told apart from it ({first.clf}, "
            f"{first.test_accuracy:.3f})."
        )
    else:
        words.append("No other cut does as well on these images.")
    return words


def is_worth_showing(field: str, rows: Sequence[TableRow]) -> bool:
    """Whether a column says anything: it has values, and names that are the same in every row are left out."""
    if field == "ci":
        return True
    values = {getattr(row, field) for row in rows}
    if field in ("base", "pooling", "views"):
        return len(values) > 1
    return values != {None}


def describe_calibration(material: Material) -> Section:
    """Describe how far probabilities hold, and of two classes what a threshold would change."""
    bins = trace_reliability(material.truth, material.predictions)
    section: Section = {
        "calibration_error": material.subject.row.calibration_error,
        "bins": [asdict(each) for each in bins],
        "clf": material.subject.row.clf,
        "threshold": None,
    }
    curve = find_threshold_curve(material)
    if curve is not None:
        positive = material.subject.comparison.positive
        row = material.subject.row
        section["threshold"] = {
            **asdict(curve),
            "positive": positive.name if positive else None,
            "negative": material.dataset.classes[1 - positive.place] if positive else None,
            "roc_auc": row.roc_auc,
            "average_precision": row.average_precision,
            "sensitivity": row.sensitivity,
            "specificity": row.specificity,
        }
    return section


def find_threshold_curve(material: Material) -> ThresholdCurve | None:
    """Trace what a threshold would change, of two classes that both were held out."""
    positive: PositiveClass | None = material.subject.comparison.positive
    if positive is None or len(np.unique(material.truth)) < 2 or (material.predictions.classes < 0).any():
        return None
    return trace_thresholds(material.truth, score_positive(material.predictions, positive.place), positive.place)


def describe_learning(material: Material) -> Section:
    """Describe learning curves, or say what brings them."""
    command = material.repeatable.command("compare", "--shots", "1,2,5,10,20")
    if material.few_labels is None:
        return {"points": None, "notes": [], "command": command}
    few = material.few_labels
    return {
        "points": few.to_dicts(),
        "notes": list(few.notes),
        "draws": few.draws,
        "train": few.train,
        "command": command,
    }


def describe_data(material: Material) -> Section:
    """Describe what is known of the data without looking further, and say what looks further."""
    dataset = material.dataset
    trained_on = np.bincount(dataset.y[dataset.train], minlength=len(dataset.classes)).tolist()
    held_out = np.bincount(dataset.y[dataset.test], minlength=len(dataset.classes)).tolist()
    counts = [
        {"label": label, "trained_on": trained, "held_out": held}
        for label, trained, held in zip(dataset.classes, trained_on, held_out, strict=True)
    ]
    notes = [material.without_paths(note) for note in material.rows[0].data_notes]
    unreadable = [
        {"path": "an image" if material.request.anonymous else file.path, "reason": material.without_paths(file.reason)}
        for file in dataset.manifest.unreadable
    ]
    return {"counts": counts, "notes": notes, "unreadable": unreadable}


def describe_origin(material: Material) -> Section:
    """Describe how all of it was made, so that somebody else can make it again."""
    dataset = material.dataset
    row = material.subject.row
    comparison = material.subject.comparison
    base = comparison.base
    groups = len(np.unique(dataset.groups)) if dataset.has_groups else None
    source = "a file" if material.request.anonymous and is_file_name(base.source) else base.source
    protocol = "fine-tuning of the base; see featx finetune" if row.clf in TUNED else describe_protocol(row.clf)
    layer_set = material.subject.layer_set
    return {
        "title": material.data_name if material.request.anonymous else name_data(material.data_name),
        "date": datetime.date.today().isoformat(),
        "data": material.data_name,
        "images": len(dataset.y),
        "classes": len(dataset.classes),
        "groups": groups,
        "split": material.without_paths(dataset.split),
        "rows_digest": dataset.digest,
        "base": list_fields(base.id),
        "source": source,
        "layers": [] if layer_set is None else [list_fields(key) for key in layer_set.keys],
        "clf": row.clf,
        "params": row.params,
        "n_train": row.n_train,
        "n_test": row.n_test,
        "fit_seconds": row.fit_seconds,
        "seed": comparison.request.seed,
        "protocol": protocol,
        "protocol_version": PROTOCOL,
        "commands": list_commands(material),
        "versions": list_versions(),
    }


def name_data(data: str) -> str:
    """Name a data set by its folder or file."""
    return Path(data.rstrip("/\\")).name or data


def list_commands(material: Material) -> list[str]:
    """List the commands that make the features, the row in detail, and the page again."""
    request = material.repeatable
    subject = material.subject
    commands = [request.command("compare")]
    if subject.layer_set is not None:
        row = subject.row
        layers = list(dict.fromkeys(key.layer for key in subject.layer_set.keys))
        views = ["--views", str(row.views), "--test-views", str(row.test_views)] if row.views > 1 else []
        extraction = replace(request, views=row.views, test_views=1).extraction(layers, [row.pooling])
        flags = ["--layer", "+".join(layers), "--pooling", row.pooling, "--clf", row.clf, *views]
        commands = [extraction.command(), request.command("fit", *flags)]
    return [*commands, request.command("report", "--out", "report.html")]


def list_versions() -> dict[str, str]:
    """List the versions of what makes the figures, as they are now."""
    versions = {"python": platform.python_version()}
    for name in VERSIONS_OF:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
