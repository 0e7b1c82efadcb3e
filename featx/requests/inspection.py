"""The requests for looking at data through its features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from featx.base_choice import BaseChoice, Count, GroupChoice
from featx.keys import StoredDtype
from featx.requests.evaluation import CompareRequest
from featx.requests.values import Seed, default_cache
from featx.storage.paths import CachePath

Cosine = Annotated[float, Meta(ge=-1, le=1)]


@dataclass(frozen=True)
class InspectRequest(GroupChoice):
    """Inspection: what the features of a data set say of its pictures and labels.

    Attributes
    ----------
    layer : str or None
        A layer, or several joined by "+"; None: the deepest that is cached.
    pooling : str or None
        None: whatever is cached.
    threshold : float or None
        Least cosine of near-duplicates; None takes it from the data.
    seed, rehash, store_dtype, path_column, label_column, exclude
        As in `CompareRequest`.
    """

    data: str
    base: BaseChoice
    layer: str | None = None
    pooling: str | None = None
    threshold: Cosine | None = None
    seed: Seed = 42
    rehash: bool = False
    cache: CachePath = field(default_factory=default_cache)
    store_dtype: StoredDtype | None = None
    path_column: str | None = None
    label_column: str | None = None
    exclude: Path | None = None

    def features(self) -> CompareRequest:
        """Write the request for the features that are looked at."""
        return CompareRequest(
            self.data,
            self.base,
            (self.layer,) if self.layer is not None else (),
            poolings=(self.pooling,) if self.pooling is not None else (),
            seed=self.seed,
            rehash=self.rehash,
            cache=self.cache,
            store_dtype=self.store_dtype,
            path_column=self.path_column,
            label_column=self.label_column,
            exclude=self.exclude,
            **self.group_fields(),
        )


@dataclass(frozen=True)
class SimilarRequest(InspectRequest):
    """The nearest pictures of a data set to some images.

    Attributes
    ----------
    images : sequence
        Paths of files, of folders, and of tables that list files; from Python also pictures in memory.
    k : int
        How many are shown of each.
    device : str
        Where images are computed that are not cached.
    """

    images: Sequence[Any] = ()
    k: Count = 5
    device: str = "auto"
