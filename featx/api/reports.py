"""Reports: one page on what was evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.api.keywords import as_names, fill_request, make_request, takes_options
from featx.api.models import EVALUATION_OPTIONS
from featx.base_choice import BaseChoice
from featx.requests import CompareRequest, ReportRequest

if TYPE_CHECKING:
    from featx.ladder.report import AutoReport
    from featx.models.model import Model
    from featx.requests import AutoRequest
    from featx.types import Progress
    from featx.workflows.report import ReportSummary


@takes_options(CompareRequest, *EVALUATION_OPTIONS, "poolings", "beside", "shots", "draws")
def report(
    data: str | Path,
    *,
    base: str | BaseChoice,
    out: str | Path = "report.html",
    model: str | Path | Model | None = None,
    layers: str | Sequence[str] | None = None,
    clf: str | Sequence[str] | None = None,
    images: bool | None = None,
    anonymous: bool | None = None,
    max_images: int | None = None,
    max_mb: float | None = None,
    figures: str | Path | None = None,
    inspect: bool | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> ReportSummary:
    """Write one HTML page on what was evaluated, which opens offline and can be sent on.

    Parameters
    ----------
    data, base
        As in `extract`.
    out : str or pathlib.Path
        The page to be written.
    model : str, pathlib.Path or Model, optional
        What is shown in detail; None: the best row.
    layers, clf
        As in `compare`; None: whatever was evaluated, and where nothing was, what `compare` evaluates.
    images : bool, optional
        Whether pictures are shown, as they are by default.
    anonymous : bool, optional
        Whether neither pictures nor paths are shown, nor the name of the data set.
    max_images : int, optional
        Pictures in the page at most.
    max_mb : float, optional
        Size of the page at most, in 10^6 bytes.
    figures : str or pathlib.Path, optional
        Folder where the charts are written, too, as SVG and PNG.
    inspect : bool, optional
        Whether the data are looked at, too, as they are by default: copies, labels, strangers, shortcuts.
    progress : callable, optional
        Called with how much is done and how much there is: evaluations, then pictures.
    **options
        As in `compare`: `path_column`, `label_column`, `group_column`, `group_by`, `groups`, `weights`, `resize`,
        `crop`, `precision`, `value_range`, `decode`, `poolings`, `seed`, `rehash`, `cache`, `store_dtype`, `refit`,
        `views`, `test_views`, `beside`, `memory`, `device`, `select`, `positive`, `class_weight`, `nested`, `repeats`,
        `shots`, `draws` and `exclude`.

    Returns
    -------
    ReportSummary
        Path and size of the page; `to_dict()` gives what it shows as plain values.

    Raises
    ------
    FeatxError
        If names are unknown, features are not cached, the data set or the model cannot be used, or a package is not
        installed that reports need (`pip install 'featx[report]'`).

    Examples
    --------
    >>> featx.report("digits", base="tiny", out="digits.html")
    """
    from featx.api.report_tools import find_tools
    from featx.workflows.report import write_report

    options.update(layers=as_names(layers), classifiers=as_names(clf))
    features = make_request(CompareRequest, "report", data, base, options)
    page = {
        "images": images,
        "anonymous": anonymous,
        "max_images": max_images,
        "max_mb": max_mb,
        "inspect": inspect,
        "figures": None if figures is None else Path(figures),
    }
    request = fill_request(ReportRequest, "report", {"features": features, "out": Path(out), "model": model, **page})
    return write_report(request, progress, tools=find_tools())


def report_comparison(request: CompareRequest, out: Path, progress: Progress | None = None) -> ReportSummary:
    """Write a report on what a comparison evaluates."""
    from featx.api.report_tools import find_tools
    from featx.workflows.report import write_report

    return write_report(ReportRequest(request, out), progress, tools=find_tools())


def report_fit(request: CompareRequest, out: Path, model: Any, progress: Progress | None = None) -> ReportSummary:
    """Write a report on everything that was evaluated, with the classifier of a fit in detail."""
    from featx.api.report_tools import find_tools
    from featx.workflows.report import write_report

    features = replace(request, layers=(), classifiers=(), poolings=())
    return write_report(ReportRequest(features, out, model), progress, tools=find_tools())


def report_automatic(
    request: AutoRequest, chosen: AutoReport, out: Path, progress: Progress | None = None
) -> ReportSummary:
    """Write a report on an automatic choice: its ladder, and what it chose in detail."""
    from featx.api.report_tools import find_tools
    from featx.workflows.report import write_report

    base = next(each for each in request.bases if each.name == chosen.base)
    features = request.comparison(base, (), (), 1)
    return write_report(ReportRequest(features, out, chosen.fit.model), progress, chosen.ladder, find_tools())
