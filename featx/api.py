"""The Python API: the commands as keyword functions, each a few lines over the requests and the workflows.

Every function takes the options of its command as keywords, spelled with underscores: `--store-dtype float16` is
`store_dtype="float16"`. The fields of the requests in `featx.requests` are the full list. An option that does not
exist is an error that names the nearest one.

Functions are silent by default: `progress` is called with how much is done and how much there is in all, and warnings
go to the logger "featx".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from featx.fields import fill
from featx.requests import BaseChoice, CompareRequest, ExtractRequest, FinetuneRequest, PredictRequest, default_cache

if TYPE_CHECKING:
    from featx.evaluation.error_analysis import FitReport
    from featx.features.load import LabelledFeatures
    from featx.models.model import Model
    from featx.reports.comparison import Table
    from featx.reports.layers import LayerTable
    from featx.runners.summary import ExtractSummary
    from featx.workflows.advise import Advice
    from featx.workflows.finetune import FinetuneReport, PhaseReport
    from featx.workflows.predict import Predictions

    Progress = Callable[[int, int], None]

R = TypeVar("R")

BASE_OPTIONS = ("weights", "resize", "crop", "precision")
"""Keywords that belong to the choice of the base."""

PICTURE_AXES = 3
"""Axes of one picture as an array: height, width, channels."""


class ExperimentReport(NamedTuple):
    """What `run` gives; the names are those of `featx run --json`."""

    extract: ExtractSummary
    compare: Table
    finetune: FinetuneReport | None


def extract(
    data: str | Path,
    *,
    base: str | BaseChoice,
    layers: str | Sequence[str],
    progress: Progress | None = None,
    **options: Any,
) -> ExtractSummary:
    """Compute and store the features that the cache lacks.

    Parameters
    ----------
    data : str or pathlib.Path
        A folder with one folder a class, a CSV file, or the name of a built-in data set.
    base : str or BaseChoice
        The frozen network, such as "resnet50".
    layers : str or sequence of str
        Layers, by name or alias, all computed in one forward pass.
    progress : callable, optional
        Called with the number of images done and to be done.
    **options
        `weights`, `resize`, `crop` and `precision` of the base; `poolings`, `device`, `batch_size`, `workers`,
        `shard`, `rehash`, `cache`, `store_dtype`, `engine` and `views` as in `ExtractRequest`.

    Returns
    -------
    ExtractSummary
        Images that failed are named in its `failed`; the others are stored all the same.

    Raises
    ------
    FeatxError
        If the request cannot be carried out at all; nothing is half-written then.

    Examples
    --------
    >>> summary = featx.extract("digits", base="tiny", layers=["layer3", "layer4"])
    >>> summary.images
    1797
    """
    from featx.workflows.extract import extract as run_extract

    options["layers"] = as_names(layers)
    return run_extract(make_request(ExtractRequest, "extract", data, base, options), progress)


def load_features(
    data: str | Path,
    *,
    base: str | BaseChoice,
    layer: str,
    pooling: str = "avg",
    scaled: bool = True,
    **options: Any,
) -> LabelledFeatures:
    """Load cached features with labels, groups and split, for scikit-learn or any other library.

    Parameters
    ----------
    data, base
        As in `extract`.
    layer : str
        A layer, or several joined by "+", whose features are concatenated.
    pooling : str
        Name of the pooling.
    scaled : bool
        Whether rows are scaled to length one, layer by layer, as classifiers see them; False gives them as stored.
    **options
        `weights`, `resize`, `crop` and `precision` of the base; `seed` (of the split), `rehash`, `cache` and
        `store_dtype` as in `CompareRequest`.

    Returns
    -------
    LabelledFeatures
        `X`, `y`, `groups`, `classes`, `paths`, `digests`, and the row numbers `train` and `test`.

    Raises
    ------
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used.

    Examples
    --------
    >>> data = featx.load_features("digits", base="tiny", layer="layer3+layer4")
    >>> classifier = LinearSVC().fit(data.X[data.train], data.y[data.train])
    >>> classifier.score(data.X[data.test], data.y[data.test])
    """
    from featx.features.load import load_features

    options.update(layers=[layer], poolings=[pooling])
    return load_features(make_request(CompareRequest, "load_features", data, base, options), scaled)


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
        Names of classifiers: "logreg", "svm", "mlp"; None: all.
    progress : callable, optional
        Called with the number of evaluations done and to be done.
    **options
        `weights`, `resize`, `crop` and `precision` of the base; `poolings`, `seed`, `rehash`, `cache`, `store_dtype`,
        `refit`, `views`, `test_views`, `beside` and `memory` as in `CompareRequest`.

    Returns
    -------
    Table
        A list of results that shows itself as a table, with `best`, `to_dicts()` and `to_csv()`.

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
    from featx.workflows.compare import compare

    options.update(layers=as_names(layers), classifiers=as_names(clf))
    return Table(compare(make_request(CompareRequest, "compare", data, base, options), progress))


def fit(
    data: str | Path,
    *,
    base: str | BaseChoice,
    layer: str,
    clf: str,
    pooling: str = "avg",
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
        Name of a classifier: "logreg", "svm" or "mlp".
    pooling : str
        Name of the pooling.
    **options
        As for `compare`.

    Returns
    -------
    FitReport
        The `result`, a report by class, the surest mistakes, and the `model`, which can be saved.

    Raises
    ------
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used.

    Examples
    --------
    >>> fitted = featx.fit("digits", base="tiny", layer="layer3", clf="svm")
    >>> fitted.model.save("digits.featx")
    """
    from featx.workflows.fit import fit

    options.update(layers=[layer], classifiers=[clf], poolings=[pooling])
    return fit(make_request(CompareRequest, "fit", data, base, options))


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
        Files, whole folders, `PIL.Image.Image`, or (height, width, 3) uint8 arrays.
    progress : callable, optional
        Called with the number of images done and to be done.
    **options
        `weights`, `device`, `batch_size`, `workers` and `base` as in `PredictRequest`.

    Returns
    -------
    Predictions
        `labelled`: path, label and probabilities of each image; `failed`: images that could not be read, and why.

    Raises
    ------
    FeatxError
        If the model or its weights cannot be had, or there are no images.

    Examples
    --------
    >>> for image in featx.predict("digits.featx", ["new/"]).labelled:
    ...     print(image.path, image.label, image.probability)
    """
    from featx.workflows.predict import predict

    options.update(model=model, images=as_images(images))
    return predict(fill(PredictRequest, options, "featx.predict()"), progress)


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
    """Train a head on the frozen base, then the stages from one on with it; features that lack are extracted first.

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
        `weights`, `resize` and `crop` of the base; all others as in `FinetuneRequest`.

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
    from featx.finetuning.plan import plan
    from featx.workflows.extract import extract as run_extract
    from featx.workflows.finetune import extractions, finetune

    options.update({"from": start, "out": out})
    request = make_request(FinetuneRequest, "finetune", data, base, options)
    for extraction in extractions(request, plan(request)):
        run_extract(extraction, progress)
    return finetune(request, report)


def advise(
    data: str | Path,
    *,
    base: str | BaseChoice,
    progress: Progress | None = None,
    **options: Any,
) -> Advice:
    """Recommend where to cut a base for a data set and what to do next, by measurement on the training part.

    Parameters
    ----------
    data, base
        As in `extract`.
    progress : callable, optional
        Called with the number of cached layers evaluated and to be evaluated.
    **options
        `weights`, `resize`, `crop` and `precision` of the base; `poolings`, `seed`, `rehash` and `cache` as in
        `CompareRequest`.

    Returns
    -------
    Advice
        The `layer`, the `strategy`, the `reasons` in plain words, and the `command` to run next.

    Raises
    ------
    FeatxError
        If names are unknown, the data set cannot be used, or there are neither weights nor cached features.

    Examples
    --------
    >>> featx.advise("digits", base="tiny").layer
    """
    from featx.workflows.advise import advise

    return advise(make_request(CompareRequest, "advise", data, base, options), progress)


def layers(base: str | BaseChoice, **options: Any) -> LayerTable:
    """Work out what each layer of a base gives and costs; needs no weights, no network and no images.

    Parameters
    ----------
    base : str or BaseChoice
    **options
        `weights` (named ones, whose input size to assume) and `crop`.

    Returns
    -------
    LayerTable
        A list of layers that shows itself as a table, with `to_dicts()`.

    Raises
    ------
    FeatxError
        If there is no such base.

    Examples
    --------
    >>> [layer.name for layer in featx.layers("tiny")]
    ['stem', 'layer1', 'layer2', 'layer3', 'layer4', 'avgpool', 'fc']
    """
    from featx.bases.layer_table import layer_table
    from featx.bases.registry import resolve
    from featx.reports.layers import LayerTable

    return LayerTable(layer_table(resolve(choose_base(base, options, "layers"))))


def run(
    experiment: str | Path,
    *,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> ExperimentReport:
    """Run an experiment: extract, fine-tune if it says so, and compare.

    Parameters
    ----------
    experiment : str or pathlib.Path
        A TOML file, or the name of a built-in experiment.
    cache : str or pathlib.Path, optional
        Folder of the feature store; None: `$FEATX_CACHE`, else `./cache`.
    progress : callable, optional
        Called with the number of images done and to be done, then with the number of evaluations.

    Returns
    -------
    ExperimentReport
        What each step gave: `extract`, `compare`, and `finetune`, which is None where nothing is fine-tuned.

    Raises
    ------
    FeatxError
        If the experiment is not valid or cannot be carried out.

    Examples
    --------
    >>> featx.run("digits").compare
    """
    from featx.finetuning.plan import plan
    from featx.reports.comparison import Table
    from featx.workflows.compare import compare
    from featx.workflows.experiment_file import load_pipeline
    from featx.workflows.extract import extract as run_extract
    from featx.workflows.finetune import extractions, finetune

    pipeline = load_pipeline(os.fspath(experiment), Path(cache) if cache else default_cache())
    summary = run_extract(pipeline.extract, progress)
    tuned = None
    if pipeline.finetune:
        for extraction in extractions(pipeline.finetune, plan(pipeline.finetune)):
            run_extract(extraction, progress)
        tuned = finetune(pipeline.finetune)
    return ExperimentReport(summary, Table(compare(pipeline.compare, progress)), tuned)


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


def make_request(
    request: type[R],
    function: str,
    data: str | Path,
    base: str | BaseChoice,
    options: Mapping[str, Any],
) -> R:
    """Fill a request with what a function was given.

    Raises
    ------
    FeatxError
        With everything that is wrong with it.
    """
    choice = choose_base(base, {name: options[name] for name in BASE_OPTIONS if name in options}, function)
    # None stands for the default of every option.
    given = {name: value for name, value in options.items() if name not in BASE_OPTIONS and value is not None}
    return fill(request, {"data": data, "base": choice, **given}, f"featx.{function}()")


def choose_base(base: str | BaseChoice, options: Mapping[str, Any], function: str) -> BaseChoice:
    """Make a choice of a base's name; what the keywords say goes before what a choice says."""
    given = {name: value for name, value in options.items() if value is not None}
    if isinstance(base, BaseChoice):
        return replace(base, **given)
    return fill(BaseChoice, {"base": base, **given}, f"featx.{function}()")


def as_names(names: str | Sequence[str] | None) -> Sequence[str] | None:
    """Let one name stand for a list of one."""
    return [names] if isinstance(names, str) else names


def as_images(images: Any) -> list[Any]:
    """List what is to be labelled: one image stands for a list of one, and paths become text."""
    is_path = isinstance(images, str | os.PathLike)
    # An array of one picture could be iterated, too: over its rows of pixels.
    is_picture = getattr(images, "ndim", None) == PICTURE_AXES or not isinstance(images, Iterable)
    listed = [images] if is_path or is_picture else images
    return [os.fspath(image) if isinstance(image, os.PathLike) else image for image in listed]
