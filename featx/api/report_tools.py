"""What a report is made of beside results, as far as it is there: an inspection, a map, and maps of evidence."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from featx.base_choice import BaseChoice
from featx.data.listing import Listing
from featx.models.model import Model
from featx.reports.html.look import Tools
from featx.reports.html.looking import Evidence, Inspection, Placed, ToBePlaced
from featx.requests import CompareRequest, PredictRequest

INSPECT = "featx.workflows.inspect"
MAP = "featx.inspection.embedding_map"
EXPLAIN = "featx.inspection.activation_maps"
"""Modules that look; each is taken where it is there."""


def find_tools() -> Tools:
    """Give the tools that are there."""
    return Tools(
        inspect=inspect_features if is_there(INSPECT) else None,
        place=place_images if is_there(MAP) else None,
        explain=explain_rows if is_there(EXPLAIN) else None,
    )


def is_there(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        # Its package is not there either.
        return False


def inspect_features(features: CompareRequest) -> Inspection:
    """Look at the data of a request, as `featx inspect` does."""
    requests: Any = importlib.import_module("featx.requests")
    request = requests.InspectRequest(
        features.data,
        features.base,
        seed=features.seed,
        rehash=features.rehash,
        cache=features.cache,
        store_dtype=features.store_dtype,
        path_column=features.path_column,
        label_column=features.label_column,
        **features.group_fields(),
    )
    inspection: Inspection = importlib.import_module(INSPECT).inspect_data(request).to_dict()
    return inspection


def place_images(images: ToBePlaced) -> Placed:
    """Place images in two dimensions, unless an earlier run has."""
    maps = importlib.import_module(MAP)
    made = maps.recall_map(images.X, images.y, images.seed, images.cache, images.stated)
    return made.rows, made.x, made.y


def explain_rows(
    model: Model, base: BaseChoice, listing: Listing, rows: Sequence[int], codes: Sequence[int]
) -> dict[int, Evidence]:
    """Map the evidence for a class in each of some images.

    Raises
    ------
    ModelError
        If the model has no map.
    WeightsError
        If the weights of its base cannot be had.
    """
    import torch

    from featx.engines.compute import PixelBatches
    from featx.images.normalise import to_input
    from featx.models.base_of_model import load_model_base

    maps: Any = importlib.import_module(EXPLAIN)
    network = load_model_base(PredictRequest(model, (), weights=base.weights, base=base.name), model)
    layers = [key.layer for key in model.keys]
    layouts = [network.layer(name).layout for name in layers]
    batches = PixelBatches(listing, list(rows), network.id.transform)
    code_of = dict(zip(rows, codes, strict=True))
    explained: dict[int, Evidence] = {}
    for pixels in batches:
        for picture in pixels:
            row = batches.rows_given[len(explained)]
            images = to_input(torch.from_numpy(picture[None].copy()), network.id.transform)
            kept = maps.run_layers(network, images, layers)
            activations = [kept[name] for name in layers]
            code = code_of[row]
            found = maps.map_evidence(model.classifier, model.keys, layouts, activations, code)
            explained[row] = Evidence(model.classes_[code], found.values, found.method)
    return explained
