"""What a pass of the base over an image takes, measured once: the same request then states the same cost again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from featx.evaluation.records import load_record, save_record
from featx.keys import BaseId
from featx.storage.paths import CachePath

PACE = "pace"
"""Kind of the record."""


class KeptPace(Struct, frozen=True, forbid_unknown_fields=True):
    """What a record states.

    Attributes
    ----------
    seconds : float
        Of one view of one image.
    """

    seconds: Annotated[float, Meta(ge=0, le=1e6)]


@dataclass(frozen=True)
class MeasuredPass:
    """What was run, on which images.

    Attributes
    ----------
    base : BaseId
    layers, poolings : sequence of str
    digests : (n, 32) uint8
        The images of the sample.
    """

    base: BaseId
    layers: Sequence[str]
    poolings: Sequence[str]
    digests: NDArray[np.uint8]

    def state(self) -> dict[str, Any]:
        """State what the pace depends on, but for the machine and what else runs there."""
        return {
            "base": asdict(self.base),
            "layers": list(self.layers),
            "poolings": list(self.poolings),
            "images": hashlib.sha256(self.digests.tobytes()).hexdigest(),
        }


def settle_pace(cache: CachePath, measured: MeasuredPass, seconds: float) -> float:
    """Give the seconds that an earlier run kept of the same pass, or keep and give those of this one.

    A clock gives no number twice. So the first measurement is written beside the results, as the decisions of `auto`
    are, and costs that are stated follow from it until the cache is cleared.
    """
    stated = json.loads(json.dumps(measured.state()))
    kept = load_record(cache, PACE, stated, KeptPace)
    if kept is None:
        kept = KeptPace(round(seconds, 6))
        save_record(cache, PACE, stated, kept)
    return kept.seconds
