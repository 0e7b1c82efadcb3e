"""Extraction: compute the features that a request asks for, once."""

from __future__ import annotations

import time
from dataclasses import replace

from featx.bases.registry import resolve
from featx.data.exclusion import leave_out
from featx.data.sources import ColumnChoice, list_images
from featx.engines.device import parse_devices
from featx.requests import ExtractRequest
from featx.runners import find_runner
from featx.runners.summary import ExtractSummary
from featx.storage.paths import side_folder
from featx.types import Progress


def extract_features(request: ExtractRequest, progress: Progress | None = None) -> ExtractSummary:
    """Compute and store the features that a request asks for and the store lacks.

    Parameters
    ----------
    request : ExtractRequest
        Where its `device` names several, with commas between them or as "all", a process runs for each of them; its
        `runner` may be a cluster.
    progress : callable, optional
        Called with the number of rows done and to be done.

    Returns
    -------
    ExtractSummary
        Images that failed are listed in it; no other image is lost for their sake.

    Raises
    ------
    DataError
        If the data set cannot be used.
    UnknownName
        If there is no such base, layer, pooling, engine or device.
    WeightsError
        If the weights cannot be had.
    RequestError
        If the request cannot be carried out at all, such as on a device that is not there.
    StoreError
        If the cache cannot be written; what was committed before is kept.
    """
    started = time.perf_counter()
    columns = ColumnChoice(request.path_column, request.label_column)
    listing = leave_out(list_images(request.data, side_folder(request.cache), request.strict, columns), request.exclude)
    architecture = resolve(request.base)
    runner = choose_runner(request)
    if runner in ("local", "shard"):
        request = replace(request, device=parse_devices(request.device)[0])
    run = find_runner(runner)
    summary = run(request, architecture, listing, progress)
    summary.pictures.warn(request.base.value_range is not None)
    return replace(summary, seconds=round(time.perf_counter() - started, 3))


def choose_runner(request: ExtractRequest) -> str:
    """Choose who computes, as a name in `RUNNERS`."""
    if request.runner == "ray":
        return "ray"
    if len(parse_devices(request.device)) > 1:
        return "devices"
    return "shard" if request.shard else "local"
