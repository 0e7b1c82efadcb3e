"""The writers of an extraction, one for each key: what the store lacks, and where new features go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.data.loader import Batch
from featx.keys import FeatureKey
from featx.runners.pass_costs import PassCost
from featx.store.store import FeatureStore
from featx.store.writer import PartWriter, rows_per_part
from featx.timing import Clock


class FeatureWriters:
    """Writes the features of several keys of one base.

    Parameters
    ----------
    store : FeatureStore
    keys : sequence of FeatureKey
    images : int
        Rows of the whole data set, which decide on the size of parts.
    describe_provenance : callable
        Gives what parts note about the machine and the engine; asked when a part is written.
    clock : Clock
        Counts the seconds of writing.
    depths : mapping of str to float
        Of each layer, as `measure_depths` gives them.
    """

    def __init__(
        self,
        store: FeatureStore,
        keys: Sequence[FeatureKey],
        images: int,
        describe_provenance: Callable[[], Mapping[str, Any]],
        clock: Clock,
        depths: Mapping[str, float],
    ) -> None:
        part_rows = rows_per_part(images, *store.storage.part_rows)
        self.writers: dict[tuple[str, str, int], PartWriter] = {}
        for key in keys:
            writer = PartWriter(store, key, part_rows, describe_provenance, clock)
            self.writers[key.layer, key.pooling, key.view] = writer
        self.depths = depths
        self.views = len({key.view for key in keys})

    def __len__(self) -> int:
        return len(self.writers)

    def lacks(self, digest: bytes) -> bool:
        """Whether the store lacked this image, at any key, when the run began."""
        return any(digest not in writer.index for writer in self.writers.values())

    def missing_views(self, digest: bytes) -> list[int]:
        """List the views of an image that any key lacks."""
        views = {view for (_, _, view), writer in self.writers.items() if digest not in writer.index}
        return sorted(views)

    def find_missing(self, digests: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Tell which images any key lacks: (n, 32) uint8 digests to (n,) bool."""
        is_missing = np.zeros(len(digests), bool)
        for writer in self.writers.values():
            is_missing |= writer.index.find(digests) < 0
        return is_missing

    def append(self, batch: Batch, new_places: set[int], cost: PassCost) -> None:
        """Hand features to the writers of their keys, which drop what they hold already.

        Parameters
        ----------
        batch : Batch
        new_places : set of int
            Places in `batch.loaded` whose features are to be written.
        cost : PassCost
            Of each image of the batch that is new.
        """
        rows_by_view: dict[int, list[int]] = {}
        for row, (place, view) in enumerate(batch.members):
            if place in new_places:
                rows_by_view.setdefault(view, []).append(row)
        for view, rows in rows_by_view.items():
            digests = [batch.loaded[batch.members[row][0]].digest or b"" for row in rows]
            is_whole_batch = len(rows) == len(batch.members)
            for (layer, pooling), features in batch.features.items():
                # Indexing copies: a batch of which every row is new, the usual case, goes through as it is.
                chosen = features if is_whole_batch else features[rows]
                of_row = cost.of_row(len(self.writers), self.views, self.depths[layer])
                self.writers[layer, pooling, view].append(digests, chosen, of_row)

    def commit(self) -> None:
        """Commit what was collected so far, and wait until it is stored."""
        for writer in self.writers.values():
            writer.commit()
        for writer in self.writers.values():
            writer.wait()

    def close(self) -> None:
        """Commit what is left; every writer is closed, also when another one fails."""
        with ExitStack() as stack:
            for writer in self.writers.values():
                stack.callback(writer.close)
