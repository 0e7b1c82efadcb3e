"""Looking at data through its features: inspecting, nearest pictures, and where evidence lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.api.keywords import BASE_OPTIONS, GROUPED_DATA_OPTIONS, as_images, make_request, takes_options
from featx.base_choice import BaseChoice
from featx.fields import fill
from featx.requests import ExplainRequest, InspectRequest, SimilarRequest

if TYPE_CHECKING:
    from featx.inspection.report import Inspection
    from featx.models.model import Model
    from featx.types import Progress
    from featx.workflows.explain import Explanations
    from featx.workflows.similar import SimilarReport


@takes_options(
    InspectRequest,
    *GROUPED_DATA_OPTIONS,
    *BASE_OPTIONS,
    "layer",
    "pooling",
    "threshold",
    "seed",
    "rehash",
    "cache",
    "store_dtype",
    "exclude",
)
def inspect(
    data: str | Path,
    *,
    base: str | BaseChoice,
    progress: Progress | None = None,
    **options: Any,
) -> Inspection:
    """Look at a data set through cached features: copies, wrong labels, strangers, poor pictures, shortcuts.

    Parameters
    ----------
    data, base
        As in `extract`.
    progress : callable, optional
        Called with the number of pictures looked at and to be looked at.
    **options
        `path_column` and `label_column` of a table; `group_column`, `group_by` and `groups` (one for each image, or by
        path): images that belong together; `weights`, `resize`, `crop`, `precision`, `value_range` and `decode` of the
        base; `layer` (the deepest that is cached by default), `pooling`, `threshold` (least cosine of near-duplicates),
        `seed`, `rehash`, `cache`, `store_dtype` and `exclude` as in `InspectRequest`.

    Returns
    -------
    Inspection
        `near_duplicates`, `suspect_labels`, `estimated_wrong`, `strangers`, `poor_pictures`, `shortcuts`, `shift`;
        `list_drops()` gives the paths that may be left out.

    Raises
    ------
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used.

    Examples
    --------
    >>> featx.inspect("digits", base="tiny").estimated_wrong
    """
    from featx.workflows.inspect import inspect_data

    return inspect_data(make_request(InspectRequest, "inspect", data, base, options), progress)


@takes_options(
    SimilarRequest,
    "path_column",
    "label_column",
    *BASE_OPTIONS,
    "layer",
    "pooling",
    "k",
    "device",
    "rehash",
    "cache",
    "store_dtype",
    "exclude",
)
def similar(
    data: str | Path,
    images: Any,
    *,
    base: str | BaseChoice,
    progress: Progress | None = None,
    **options: Any,
) -> SimilarReport:
    """Find the pictures of a data set that are nearest to some images, by cosine between cached features.

    Parameters
    ----------
    data, base
        As in `extract`.
    images : path, picture, or sequence of these
        As in `predict`; those that have no features yet are extracted.
    progress : callable, optional
        Called with the number of images extracted and to be extracted.
    **options
        `path_column` and `label_column` of a table; `weights`, `resize`, `crop`, `precision`, `value_range` and
        `decode` of the base; `layer` (the deepest that is cached by default), `pooling`, `k` (how many of each),
        `device`, `rehash`, `cache`, `store_dtype` and `exclude` as in `SimilarRequest`.

    Returns
    -------
    SimilarReport
        `images`: path and neighbours of each image, these with path, label and similarity; `failed`.

    Raises
    ------
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used.

    Examples
    --------
    >>> featx.similar("digits", "mine.png", base="tiny").images[0].neighbours[0].label
    """
    from featx.workflows.similar import find_similar

    options["images"] = as_images(images)
    return find_similar(make_request(SimilarRequest, "similar", data, base, options), progress)


@takes_options(ExplainRequest, "path_column", "weights", "base", "yes", "label")
def explain(
    model: str | Path | Model,
    images: Any,
    *,
    out: str | Path,
    progress: Progress | None = None,
    **options: Any,
) -> Explanations:
    """Write pictures with maps of where a model finds the evidence for a class.

    Parameters
    ----------
    model, images
        As in `predict`.
    out : str or pathlib.Path
        Folder for the pictures with their maps.
    progress : callable, optional
        Called with the number of images done and to be done.
    **options
        `path_column` of tables; `weights`, `base` and `yes` as in `PredictRequest`; `label`: the class to explain, the
        most probable one by default.

    Returns
    -------
    Explanations
        `explained`: path, label, probability, score, the map as `values`, and how it was made; `failed`.

    Raises
    ------
    FeatxError
        If the model or its weights cannot be had, it has no map, or there are no images.

    Examples
    --------
    >>> featx.explain("digits.featx", "new.png", out="maps").explained[0].peak
    """
    from featx.workflows.explain import explain_images

    options.update(model=model, images=as_images(images), out=Path(out))
    return explain_images(fill(ExplainRequest, options, "featx.explain()"), progress)
