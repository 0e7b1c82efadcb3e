"""A writer that may be killed at any moment: adds parts to a cache, or merges them; a line for each that is committed.

python writing.py add|compact URL
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from featx.storage.paths import CachePath, parse_cache
from featx.store.compact import compact
from featx.store.store import FeatureStore
from tests.store.samples import KEY, features_of, make_digests

ROWS = make_digests(200)


def add(cache: CachePath) -> None:
    store = FeatureStore(cache)
    for number, some in enumerate(np.split(ROWS, 20)):
        if store.missing(KEY, some).any():
            store.add(KEY, some, features_of(some), {"created": float(number)})
        print(number, flush=True)  # noqa: T201 - this is its report


if __name__ == "__main__":
    place = parse_cache(sys.argv[2])
    if sys.argv[1] == "add":
        add(place)
    else:
        compact(place)
