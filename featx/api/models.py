"""Classifiers and models: comparing, fitting, predicting, fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.api.keywords import BASE_OPTIONS, GROUPED_DATA_OPTIONS, as_images, as_names, make_request, takes_options
from featx.base_choice import BaseChoice
from featx.fields import fill
from featx.requests import CompareRequest, FinetuneRequest, PredictRequest, ScoreRequest

if TYPE_CHECKING:
    from featx.data.listing import FailedImage
    from featx.evaluation.fit_report import FitReport
    from featx.finetuning.unfreeze import UnfreezePlan
    from featx.models.model import Model
    from featx.reports.comparison import Table
    from featx.types import Progress
    from featx.workflows.finetune import FinetuneReport, PhaseReport
    from featx.workflows.predict import Predictions
    from featx.workflows.score import ScoreReport


EVALUATION_OPTIONS = (
    *GROUPED_DATA_OPTIONS,
    *BASE_OPTIONS,
    *("seed", "rehash", "cache", "store_dtype", "refit", "views", "test_views", "memory"),
    *("select", "positive", "class_weight", "nested", "repeats", "device", "exclude"),
)
"""Options that comparing and fitting share."""


@takes_options(CompareRequest, *EVALUATION_OPTIONS, "poolings", "beside", "shots", "draws", "runner")
def compare(
    data: str | Path,
    *,
    base: str | BaseChoice,
    layers: str | Sequence[str] | None = None,
    clf: str | Sequence[str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Table:
    """Train and evaluate every classifier on every layer asked for, from cached features.

    Parameters
    ----------
    data, base
        As in `extract`.
    layers : str or sequence of str, optional
        Layers, or layer sets such as "layer3+layer4"; None: every layer that is cached.
    clf : str or sequence of str, optional
        Names of classifiers: "logreg", "svm", "mlp", "knn", "dummy"; None: the first three.
    progress : callable, optional
        Called with the number of evaluations done and to be done.
    **options
        `path_column` and `label_column` of a table; `group_column`, `group_by` and `groups` (one for each image, or by
        path): images that belong together; `weights`, `resize`, `crop`, `precision`, `value_range` and `decode` of the
        base; `poolings`, `seed`, `rehash`, `cache`, `store_dtype`, `refit`, `views`, `test_views`, `beside`, `memory`,
        `device`, `select`, `positive`, `class_weight` ("none", "balanced" or weights by name), `nested` (outer folds),
        `repeats`, `shots` (numbers of labelled images of each class), `draws`, `exclude` and `runner` ("ray": on a
        cluster) as in `CompareRequest`.

    Returns
    -------
    Table
        Results that show themselves as a table, with `best`, `to_dicts()` and `to_csv()`; with `nested`, `procedure`;
        with `shots`, `few_labels`.

    Raises
    ------
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used.

    Examples
    --------
    >>> table = featx.compare("digits", base="tiny", clf=["logreg", "svm"])
    >>> table.best.layer
    'layer3'
    """
    from featx.reports.comparison import Table
    from featx.workflows.compare import compare_rows

    options.update(layers=as_names(layers), classifiers=as_names(clf))
    report = compare_rows(make_request(CompareRequest, "compare", data, base, options), progress)
    return Table(report.rows, report.nested, report.few_labels)


@takes_options(CompareRequest, *EVALUATION_OPTIONS, "runner")
def fit(
    data: str | Path,
    *,
    base: str | BaseChoice,
    layer: str,
    clf: str,
    pooling: str = "avg",
    keep_model: bool = True,
    with_base: bool = False,
    whole: bool = False,
    **options: Any,
) -> FitReport:
    """Train one classifier on cached features and evaluate it once on the held-out part.

    Parameters
    ----------
    data, base
        As in `extract`.
    layer : str
        A layer, or several joined by "+", whose features are concatenated.
    clf : str
        Name of a classifier: "logreg", "svm", "mlp", "knn" or "dummy".
    pooling : str
        Name of the pooling.
    keep_model : bool
        Whether the model is needed. If not, a fit that was done before is answered from the cache at once.
    with_base : bool
        Whether the model holds the weights of its base, too, so that one file predicts on any machine.
    whole : bool
        Whether the model is trained on all images in the end; all figures stay those of the held-out part.
    **options
        `path_column` and `label_column` of a table; `group_column`, `group_by` and `groups` (one for each image, or by
        path): images that belong together; `weights`, `resize`, `crop`, `precision`, `value_range` and `decode` of the
        base; `seed`, `rehash`, `cache`, `store_dtype`, `refit`, `views`, `test_views`, `memory`, `select`,
        `positive`, `class_weight`, `nested`, `repeats`, `device`, `exclude` and `runner` ("ray": trained on a cluster)
        as in `CompareRequest`.

    Returns
    -------
    FitReport
        The `result`, a report by class, the most confident mistakes, the `model`, which can be saved, and, where it was
        asked for, `nested`.

    Raises
    ------
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used.

    Examples
    --------
    >>> featx.fit("digits", base="tiny", layer="layer3", clf="svm").model.save("digits.featx")
    """
    from featx.workflows.fit import fit_classifier

    options.update(layers=[layer], classifiers=[clf], poolings=[pooling])
    return fit_classifier(make_request(CompareRequest, "fit", data, base, options), keep_model, with_base, whole)


@takes_options(
    PredictRequest,
    "path_column",
    "weights",
    "device",
    "batch_size",
    "workers",
    "base",
    "yes",
    "reject",
    "sets",
)
def predict(
    model: str | Path | Model,
    images: Any,
    *,
    progress: Progress | None = None,
    **options: Any,
) -> Predictions:
    """Label new images with a model.

    Parameters
    ----------
    model : str, pathlib.Path or Model
        A model file, or the model of a fit.
    images : path, picture, or sequence of these
        Files, whole folders, tables of paths (`.csv`, `.tsv`, `.jsonl`), `PIL.Image.Image`, or (height, width, 3) uint8
        arrays.
    progress : callable, optional
        Called with the number of images done and to be done.
    **options
        `path_column` of tables; `weights`, `device`, `batch_size`, `workers`, `base`, `yes`, `reject` (share of known
        pictures that may be turned away) and `sets` (probability with which sets of classes hold the true one) as in
        `PredictRequest`.

    Returns
    -------
    Predictions
        `labelled`: path, label, probabilities and strangeness of each image; `failed`: images that could not be
        read, and why.

    Raises
    ------
    FeatxError
        If the model or its weights cannot be had, or there are no images.

    Examples
    --------
    >>> for image in featx.predict("digits.featx", ["new/"]).labelled:
    ...     print(image.path, image.label, image.probability)
    """
    from featx.workflows.predict import label_images

    options.update(model=model, images=as_images(images))
    return label_images(fill(PredictRequest, options, "featx.predict()"), progress)


@takes_options(
    ScoreRequest, "path_column", "label_column", "split", "weights", "device", "batch_size", "workers", "base", "yes"
)
def score(
    model: str | Path | Model,
    data: str | Path,
    *,
    progress: Progress | None = None,
    **options: Any,
) -> ScoreReport:
    """Score a saved model on images whose labels are known.

    Parameters
    ----------
    model : str, pathlib.Path or Model
        A model file, or the model of a fit.
    data : str or pathlib.Path
        As in `extract`.
    progress : callable, optional
        Called with the number of images done and to be done.
    **options
        `path_column` and `label_column` of a table; `split`, `weights`, `device`, `batch_size`, `workers`, `base` and
        `yes` as in `ScoreRequest`.

    Returns
    -------
    ScoreReport
        The report of a fit on these images: `result`, a report by class, confusions, the most confident mistakes; and
        `failed`.

    Raises
    ------
    FeatxError
        If the model or its weights cannot be had, or the data set cannot be used.

    Examples
    --------
    >>> featx.score("digits.featx", "digits").result.test_accuracy
    """
    from featx.workflows.score import score_model

    options.update(model=model, data=data)
    return score_model(fill(ScoreRequest, options, "featx.score()"), progress)


@takes_options(
    FinetuneRequest,
    *GROUPED_DATA_OPTIONS,
    "weights",
    "resize",
    "crop",
    "head",
    "hidden",
    "dropout",
    "augment",
    "views",
    "test_views",
    "from_cache",
    "epochs_head",
    "epochs",
    "patience",
    "lr_head",
    "lr",
    "lr_decay",
    "whole",
    "keep",
    "thaw_batchnorm",
    "batch_size",
    "seed",
    "device",
    "workers",
    "rehash",
    "cache",
    "class_weight",
)
def finetune(
    data: str | Path,
    *,
    base: str | BaseChoice,
    start: str,
    out: str | Path,
    progress: Progress | None = None,
    report: PhaseReport | None = None,
    **options: Any,
) -> FinetuneReport:
    """Train a head on the frozen base, then the stages from one on with it; missing features are extracted first.

    Parameters
    ----------
    data, base
        As in `extract`.
    start : str
        The first stage to unfreeze (`--from`), by name or alias, or how many stages counted from the end.
    out : str or pathlib.Path
        Where the model is written; its name ends in `.featx`.
    progress : callable, optional
        Called with the number of images extracted and to be extracted.
    report : callable, optional
        Called after each epoch with the phase, its state, and loss and accuracy on the validation part.
    **options
        `path_column` and `label_column` of a table; `group_column`, `group_by` and `groups` (one for each image, or by
        path): images that belong together; `weights`, `resize` and `crop` of the base; `head`,
        `hidden`, `dropout`, `augment`, `views`, `test_views`, `from_cache`, `epochs_head`, `epochs`,
        `patience`, `lr_head`, `lr`, `lr_decay`, `whole`, `keep`, `thaw_batchnorm`, `batch_size`, `seed`,
        `device`, `workers`, `rehash`, `cache`, `class_weight` as in `FinetuneRequest`.

    Returns
    -------
    FinetuneReport
        `head` and `finetuned`: the reports before and after the stages were unfrozen.

    Raises
    ------
    FeatxError
        If names are unknown, the data set cannot be used, or the request cannot be carried out.

    Examples
    --------
    >>> tuned = featx.finetune("digits", base="tiny", start="layer4", out="digits.featx", epochs=5)
    >>> tuned.finetuned.result.test_accuracy
    """
    options.update({"from": start, "out": out})
    request = make_request(FinetuneRequest, "finetune", data, base, options)
    return run_finetuning(request, progress, report)


def run_finetuning(
    request: FinetuneRequest, progress: Progress | None = None, report: PhaseReport | None = None
) -> FinetuneReport:
    """Extract what a fine-tuning needs and the cache lacks, then fine-tune; the base is loaded once for both."""
    from featx.finetuning.plan import plan
    from featx.workflows.finetune import finetune_base

    unfreeze_plan = plan(request)
    failed = extract_needed(request, unfreeze_plan, progress)
    return replace(finetune_base(request, report, unfreeze_plan=unfreeze_plan), failed=failed)


def extract_needed(
    request: FinetuneRequest, unfreeze_plan: UnfreezePlan, progress: Progress | None = None
) -> list[FailedImage]:
    """Compute the features that a fine-tuning needs and the cache lacks: the images that failed, each once."""
    from featx.workflows.extract import extract_features
    from featx.workflows.finetune import extractions

    failed: dict[str, FailedImage] = {}
    for extraction in extractions(request, unfreeze_plan):
        summary = extract_features(extraction, progress)
        failed |= {image.path: image for image in summary.failed}
    return list(failed.values())


def load_model(path: str | Path) -> Model:
    """Read a model file; no code is in it, and none is run.

    Parameters
    ----------
    path : str or pathlib.Path
        A file that `featx fit --out`, `featx finetune` or `Model.save` wrote.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        If it cannot be read or is not a sound model.

    Examples
    --------
    >>> featx.load_model("digits.featx").scores["test_accuracy"]
    """
    from featx.models.model import load_model

    return load_model(path)
