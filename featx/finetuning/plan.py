"""From a fine-tuning request to where its base is cut."""

from __future__ import annotations

from featx.bases.loading import open_base
from featx.errors import RequestError, unknown
from featx.finetuning.head import HEAD_KINDS
from featx.finetuning.unfreeze import KEEPS, UnfreezePlan, divide
from featx.images.augment import PRESETS
from featx.requests import FinetuneRequest


def plan(request: FinetuneRequest) -> UnfreezePlan:
    """Load the base and find where it is cut.

    Raises
    ------
    FeatxError
        If names are unknown, or the request cannot be carried out.
    """
    if request.head not in HEAD_KINDS:
        raise unknown("head", request.head, HEAD_KINDS)
    if request.keep not in KEEPS:
        raise unknown("choice of `--keep`", request.keep, KEEPS)
    if request.augment not in PRESETS:
        raise unknown("preset of `--augment`", request.augment, PRESETS)
    problems = []
    if request.out.suffix != ".featx":
        problems.append(f"--out '{request.out}' must end in .featx, so that --weights can name it")
    if request.base.precision != "float32":
        problems.append(f"--precision {request.base.precision} is for extraction only: train in float32")
    if min(request.views, request.test_views, request.batch_size, request.hidden) < 1:
        problems.append("--views, --test-views, --batch-size and --hidden must be 1 or more")
    if problems:
        raise RequestError("; ".join(problems))
    unfreeze_plan = divide(open_base(request.base), request.start)
    if request.from_cache and unfreeze_plan.cut is None:
        raise RequestError(
            f"--from-cache with --from '{request.start}': that is the first stage, nothing before it could be cached. "
            "Choose a later stage, or leave --from-cache out"
        )
    return unfreeze_plan
