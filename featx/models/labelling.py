"""Runs a model over a listing: decode, run the frozen base, apply the classifier. No cache is used."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from featx.data.listing import Listing
from featx.engines.compute import compute_features
from featx.engines.device import choose_device
from featx.engines.engine import LazyEngine, group_poolings, make_plan
from featx.images.range_report import RangeReport
from featx.models.base_of_model import LabelRequest, load_model_base
from featx.models.labelled import Labelled, list_readable
from featx.models.model import Model
from featx.models.pass_size import choose_pass
from featx.processes.machine import count_cores
from featx.timing import Clock


def label_listing(
    model: Model, request: LabelRequest, listing: Listing, ranges: RangeReport | None = None
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
        rows, digests, failed = list_readable(batch.loaded, listing, ranges)
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
