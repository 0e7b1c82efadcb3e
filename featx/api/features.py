"""Features: computing them, loading them as X and y, and choosing where to cut."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.api.keywords import BASE_OPTIONS, GROUPED_DATA_OPTIONS, as_names, choose_base, make_request, takes_options
from featx.base_choice import BaseChoice
from featx.requests import CompareRequest, ExtractRequest

if TYPE_CHECKING:
    from featx.features.load import LabelledFeatures
    from featx.reports.layers import LayerTable
    from featx.runners.summary import ExtractSummary
    from featx.types import Progress
    from featx.workflows.advise import Advice


@takes_options(
    ExtractRequest,
    "path_column",
    "label_column",
    "strict",
    *BASE_OPTIONS,
    "poolings",
    "device",
    "batch_size",
    "workers",
    "shard",
    "rehash",
    "cache",
    "store_dtype",
    "engine",
    "views",
    "exclude",
    "runner",
    "gpus_per_worker",
    "cpus_per_worker",
)
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
        A folder with one folder a class, a CSV or JSON Lines file, or the name of a built-in data set.
    base : str or BaseChoice
        The frozen network, such as "resnet50".
    layers : str or sequence of str
        Layers, by name or alias, all computed in one forward pass.
    progress : callable, optional
        Called with the number of images done and to be done.
    **options
        `path_column` and `label_column` of a table; `weights`, `resize`, `crop`, `precision`, `value_range` and
        `decode` of the base; `poolings`, `device`, `batch_size`, `workers`, `shard`, `rehash`, `cache`, `store_dtype`,
        `engine`, `views`, `exclude`, `strict`, `runner`, `gpus_per_worker` and `cpus_per_worker` as in
        `ExtractRequest`.

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
    from featx.workflows.extract import extract_features

    options["layers"] = as_names(layers)
    return extract_features(make_request(ExtractRequest, "extract", data, base, options), progress)


@takes_options(
    CompareRequest,
    *GROUPED_DATA_OPTIONS,
    *BASE_OPTIONS,
    "seed",
    "rehash",
    "cache",
    "store_dtype",
)
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
        `path_column` and `label_column` of a table; `group_column`, `group_by` and `groups` (one for each image, or by
        path): images that belong together; `weights`, `resize`, `crop`, `precision`, `value_range` and `decode` of the
        base; `seed` (of the split), `rehash`, `cache` and `store_dtype` as in `CompareRequest`.

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
    from featx.features.load import load_labelled_features

    options.update(layers=[layer], poolings=[pooling])
    return load_labelled_features(make_request(CompareRequest, "load_features", data, base, options), scaled)


@takes_options(
    CompareRequest,
    *GROUPED_DATA_OPTIONS,
    *BASE_OPTIONS,
    "poolings",
    "seed",
    "rehash",
    "cache",
    "select",
    "positive",
    "class_weight",
    "device",
)
def advise(
    data: str | Path,
    *,
    base: str | BaseChoice,
    sample: bool | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Advice:
    """Recommend where to cut a base for a data set and what to do next, by measurement on the training part.

    Parameters
    ----------
    data, base
        As in `extract`.
    sample : bool, optional
        Whether a sample of the images is run through the base; None: where not every usual layer is cached.
    progress : callable, optional
        Called with the number of cached layers measured and to be measured.
    **options
        `path_column` and `label_column` of a table; `group_column`, `group_by` and `groups` (one for each image, or by
        path): images that belong together; `weights`, `resize`, `crop`, `precision`, `value_range` and `decode` of the
        base; `poolings`, `seed`, `rehash`, `cache`, `select`, `positive` and `class_weight` as in `CompareRequest`;
        `device` ("auto", "cpu" or "cuda"), where the sample is run through the base.

    Returns
    -------
    Advice
        The `layer` or layer set, its `pooling` and `views`, the `strategy`, the `reasons` in plain words, and the
        `command` to run next.

    Raises
    ------
    FeatxError
        If names are unknown, the data set cannot be used, or there are neither weights nor cached features.

    Examples
    --------
    >>> featx.advise("digits", base="tiny").layer
    """
    from featx.workflows.advise import advise_layer

    return advise_layer(make_request(CompareRequest, "advise", data, base, options), progress, sample)


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


def save_images(
    images: Any, out: str | Path, *, labels: Sequence[Any] | None = None, classes: Sequence[str] | None = None
) -> Path:
    """Write labelled images that lie in memory as tar shards, which every function then takes as `data`.

    Parameters
    ----------
    images : Torch data set, sequence or iterable of (picture, label), or mapping of str to such
        Pictures are PIL images, arrays of (height, width, 3) uint8 or tensors of (3, height, width) uint8, and are
        written without a loss; a data set of files gives these files, whatever its transform makes of them. A
        mapping gives a data set for each split: "train", "val" or "test".
    out : str or pathlib.Path
        A file whose name ends in `.tar`; for splits, a folder.
    labels : sequence of str or int, optional
        The label of each picture, where `images` are pictures alone.
    classes : sequence of str, optional
        Names of labels that are numbers; by default the `classes` of the data set.

    Returns
    -------
    pathlib.Path
        `out`.

    Raises
    ------
    FeatxError
        If something is no picture or has no label, or the shard cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> pictures = [np.full((8, 8, 3), 50 * number, np.uint8) for number in range(4)]
    >>> data = featx.save_images(pictures, "grey.tar", labels=["dark", "dark", "light", "light"])
    """
    from featx.data.sources.archives.write_shards import write_shards

    return write_shards(images, Path(out), labels, classes)
