"""What a report is made of beside results: an inspection, a map, and maps of evidence and of channels."""

from __future__ import annotations

from featx.inspection.embedding_map import recall_map
from featx.reports.html.look import Tools
from featx.reports.html.looking import Inspection, Placed, ToBePlaced
from featx.requests import CompareRequest, InspectRequest
from featx.workflows.inspect import inspect_data
from featx.workflows.report_evidence import answer_rows, explain_rows


def find_tools() -> Tools:
    """Give the tools of a page."""
    return Tools(inspect=inspect_features, place=place_images, explain=explain_rows, answer=answer_rows)


def inspect_features(features: CompareRequest) -> Inspection:
    """Look at the data of a request, as `featx inspect` does."""
    request = InspectRequest(
        features.data,
        features.base,
        seed=features.seed,
        rehash=features.rehash,
        cache=features.cache,
        store_dtype=features.store_dtype,
        path_column=features.path_column,
        label_column=features.label_column,
        exclude=features.exclude,
        **features.group_fields(),
    )
    return inspect_data(request).to_dict()


def place_images(images: ToBePlaced) -> Placed:
    """Place images in two dimensions, unless an earlier run has."""
    made = recall_map(images.X, images.y, images.seed, images.cache, images.stated)
    return made.rows, made.x, made.y
