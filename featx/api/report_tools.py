"""What a report is made of beside results, as far as it is there: an inspection, a map, and maps of evidence."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from featx.reports.html.look import Tools
from featx.reports.html.looking import Inspection, Placed, ToBePlaced
from featx.requests import CompareRequest
from featx.workflows.report_evidence import EVIDENCE_MODULE, explain_rows

INSPECT = "featx.workflows.inspect"
MAP = "featx.inspection.embedding_map"
"""Modules that look; each is taken where it is there."""


def find_tools() -> Tools:
    """Give the tools that are there."""
    return Tools(
        inspect=inspect_features if is_there(INSPECT) else None,
        place=place_images if is_there(MAP) else None,
        explain=explain_rows if is_there(EVIDENCE_MODULE) else None,
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
