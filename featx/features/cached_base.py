"""Loads the network of cached features; what a cache names is opened only where the user names it, too."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from featx.bases.weights import is_file_name
from featx.errors import WeightsError
from featx.features.missing import complete_choice
from featx.requests import CompareRequest
from featx.store.base_json import StoredBase

if TYPE_CHECKING:
    from featx.bases.base import Base


def open_cached_base(request: CompareRequest, stored: StoredBase) -> Base:
    """Load the base of cached features.

    Parameters
    ----------
    request : CompareRequest
    stored : StoredBase
        What the cache states of the base that the request found.

    Raises
    ------
    WeightsError
        If its weights came from a file or a download that the request does not name, or cannot be had.
    """
    # Only here: evaluating cached features needs no torch, whose import takes seconds.
    from featx.bases.loading import open_base
    from featx.bases.registry import describe_download

    choice = complete_choice(request.base, stored)
    weights = choice.weights or ""
    if request.base.weights is None and is_file_name(weights):
        # A cache may come from anybody, too.
        raise WeightsError(
            f"the features were computed with weights from the file '{weights}', and a file that a cache names is "
            f"opened only where you name it: add --weights {shlex.quote(weights)}"
        )
    download = describe_download(choice.name, weights)
    if request.base.weights is None and download is not None:
        raise WeightsError(
            f"the features were computed with weights '{weights}', which are not on this machine: "
            f"add --weights {shlex.quote(weights)} to download {download}"
        )
    return open_base(choice)
