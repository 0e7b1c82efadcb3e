"""From the user's words to a base with its weights, and to where it is cut for fine-tuning."""

from __future__ import annotations

from dataclasses import replace

from featx.bases.augment import PRESETS
from featx.bases.base import Base
from featx.bases.tuning import HEAD_KINDS, KEEPS, Division, divide
from featx.bases.zoo import architecture_of, load_base
from featx.errors import RequestError, unknown
from featx.keys import InputTransform
from featx.requests import BaseChoice, FinetuneRequest


def transform_of(choice: BaseChoice) -> InputTransform:
    """Work out the input transform: the base's own, changed as the user asked.

    Raises
    ------
    RequestError
        If the crop is larger than the resized image, or a size is not positive.
    """
    own = architecture_of(choice.name, choice.weights).transform
    crop = choice.crop or own.crop
    resize = choice.resize or (own.resize if crop <= own.resize else crop)
    if not 0 < crop <= resize:
        raise RequestError(f"--crop {crop} does not fit into --resize {resize}: the crop must be the smaller")
    return replace(own, resize=resize, crop=crop)


def open_base(choice: BaseChoice) -> Base:
    """Load the base that a choice names."""
    return load_base(choice.name, choice.weights, transform_of(choice), choice.precision)


def plan(request: FinetuneRequest) -> Division:
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
    division = divide(open_base(request.base), request.start)
    if request.from_cache and division.cut is None:
        raise RequestError(
            f"--from-cache with --from '{request.start}': that is the first stage, nothing before it could be cached. "
            "Choose a later one, or leave --from-cache out"
        )
    return division
