"""From a fine-tuning request to where its base is cut."""

from __future__ import annotations

from featx.bases.loading import open_base
from featx.errors import RequestError
from featx.finetuning.unfreeze import UnfreezePlan, divide
from featx.requests import FinetuneRequest


def plan(request: FinetuneRequest) -> UnfreezePlan:
    """Load the base and find where it is cut.

    Raises
    ------
    UnknownName
        If there is no such base or stage.
    RequestError
        If the stage cannot be unfrozen, or there is nothing below it whose activations could be cached.
    """
    unfreeze_plan = divide(open_base(request.base), str(request.start))
    if request.from_cache and unfreeze_plan.cut is None:
        raise RequestError(
            f"--from-cache with --from '{request.start}': that is the first stage, nothing before it could be cached. "
            "Choose a later stage, or leave --from-cache out"
        )
    return unfreeze_plan
