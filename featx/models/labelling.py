"""Runs a model over a listing: decode, run the frozen base, apply the classifier. No cache is used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.data.listing import FailedImage, Listing
from featx.engines.compute import compute_features
from featx.engines.device import choose_device
from featx.engines.engine import LazyEngine, group_poolings, make_plan
from featx.engines.threads import count_cores
from featx.images.range_report import RangeReport
from featx.models.base_of_model import ModelRequest, load_model_base
from featx.models.model import Model
from featx.models.pass_size import choose_pass
from featx.timing import Clock


@dataclass(frozen=True)
class Labelled:
    """A batch of labelled images.

    Attributes
    ----------
    rows : list of int
        The m rows of the listing that could be read.
    digests : list of bytes
        sha256 of their files.
    codes : (m,) int
        Places of the predicted classes.
    probabilities : (m, k) float64
    failed : list of FailedImage
        The rows that could not be read.
    strangeness : (m,) float64 or None
        None where the model does not tell.
    """

    rows: list[int]
    digests: list[bytes]
    codes: NDArray[np.intp]
    probabilities: NDArray[np.float64]
    failed: list[FailedImage]
    strangeness: NDArray[np.float64] | None = None


def label_listing(
    model: Model, request: ModelRequest, listing: Listing, ranges: RangeReport | None = None
) -> Iterator[Labelled]:
    """Label the images of a listing, batch by batch, in the order of its rows.

    Parameters
    ----------
    model : Model
    request : PredictRequest or ScoreRequest
    listing : Listing
    ranges : RangeReport, optional
        Receives what is to be said of the pictures.

    Raises
    ------
    ModelError
        If the model does not fit this featx, takes too much memory, or gives what is not a finite number.
    WeightsError
        If the weights cannot be had, or their digest differs from the model's.
    UnknownName
        If this featx has no such base, layer, pooling or device.
    """
    base = load_model_base(request, model)
    workers = request.workers or count_cores()
    device = choose_device(request.device)
    batch_size = request.batch_size
    # Who names a size has seen what the model asks for.
    if batch_size is None:
        batch_size, workers = choose_pass(base, model.keys, model.views, device.type, workers)
    plan = make_plan(base, group_poolings(model.keys), device, batch_size, workers)
    engine = LazyEngine("auto", plan, len(listing), Clock(), takes_any=True)
    views = range(model.views)
    for batch in compute_features(engine, listing, range(len(listing)), lambda digest, row: True, lambda digest: views):
        rows: list[int] = []
        digests: list[bytes] = []
        failed: list[FailedImage] = []
        for loaded in batch.loaded:
            if loaded.views:
                rows.append(loaded.row)
                digests.append(loaded.digest or b"")
                if ranges is not None:
                    ranges.add(loaded.range_use, loaded.has_more_pages)
            else:
                failed.append(FailedImage(listing.paths[loaded.row], loaded.reason or "unreadable"))
        codes = np.zeros(0, np.intp)
        probabilities = np.zeros((0, len(model.classes_)))
        strangeness = None if model.known is None else np.zeros(0)
        if rows:
            X = model.features(batch.features)
            if model.views > 1:
                X = X.reshape(len(rows), model.views, -1)
            codes, probabilities = model.classify(X)
            strangeness = model.rate_strangeness(X)
        yield Labelled(rows, digests, codes, probabilities, failed, strangeness)
