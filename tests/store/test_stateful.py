"""The store against a dictionary, in any order of operations."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from featx.errors import MissingFeatures
from featx.storage.interface import storage_of
from featx.storage.paths import CachePath, parse_cache
from featx.store.clean import clean
from featx.store.compact import compact
from featx.store.paths import list_key_folders, list_parts
from featx.store.store import FeatureStore
from featx.store.verify import verify
from tests.store.samples import KEY, OTHER, features_of, make_digests

ALL = make_digests(24)
ALL[12:18, :8] = ALL[0, :8]  # digests that begin alike
keys = st.sampled_from([KEY, OTHER])
some_rows = st.lists(st.integers(0, len(ALL) - 1), min_size=1, max_size=12)


class StoreMachine(RuleBasedStateMachine):
    """What the store must hold after any sequence of additions, merges, damages and removals."""

    def make_root(self) -> CachePath:
        return self.folder / "cache"

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.root = self.make_root()
        self.store = FeatureStore(self.root)
        self.committed = {key: set[int]() for key in (KEY, OTHER)}

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    @rule(key=keys, rows=some_rows)
    def add(self, key, rows):  # type: ignore[no-untyped-def]
        self.store.add(key, ALL[rows], features_of(ALL[rows], layer=key.layer), {"created": 1.0})
        self.committed[key] |= set(rows)

    @rule(key=keys, rows=some_rows)
    def get(self, key, rows):  # type: ignore[no-untyped-def]
        if set(rows) <= self.committed[key]:
            assert np.array_equal(self.store.get(key, ALL[rows]), features_of(ALL[rows], layer=key.layer))
        else:
            with pytest.raises(MissingFeatures, match="holds no features of tiny-.* for"):
                self.store.get(key, ALL[rows])

    @rule()
    def merge(self) -> None:
        compact(self.root)

    @rule()
    def open_again(self) -> None:
        self.store = FeatureStore(self.root)

    @rule(key=keys)
    def remove(self, key):  # type: ignore[no-untyped-def]
        self.store.remove(key)
        self.committed[key].clear()

    @rule(place=st.integers(0, 10**6), which=st.integers(0, 50))
    def damage_and_clean(self, place: int, which: int) -> None:
        storage = storage_of(self.root)
        paths = [path for folder in list_key_folders(self.root) for path in list_parts(folder)]
        if not paths:
            return
        path = paths[which % len(paths)]
        data = bytearray(storage.read_file(path, 10**9, "a part"))
        data[place % len(data)] ^= 1 << (place % 8)
        storage.write_file(path, [data])
        clean(self.root)
        storage.remove_file(path)  # what looks like a newer format is left where it is
        for key, rows in self.committed.items():
            kept = set(np.flatnonzero(~self.store.missing(key, ALL)).tolist())
            assert kept <= rows
            self.committed[key] = kept

    @invariant()
    def missing_is_what_was_not_committed(self) -> None:
        for key, rows in self.committed.items():
            assert set(np.flatnonzero(~self.store.missing(key, ALL)).tolist()) == rows

    @invariant()
    def summaries_count_every_image_once(self) -> None:
        counted = {summary.key: summary.images for summary in self.store.keys()}
        assert counted == {key: len(rows) for key, rows in self.committed.items() if rows}

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert all(Path(problem.path).name == "base.json" for problem in verify(self.root).problems)


class BucketMachine(StoreMachine):
    """The same of a bucket, with copies of its parts on the local disk."""

    def make_root(self) -> CachePath:
        return parse_cache(f"memory://{self.folder.name}/some/folder", self.folder / "copies")


SETTINGS = settings(max_examples=30, stateful_step_count=15, deadline=None)
StoreMachine.TestCase.settings = SETTINGS
BucketMachine.TestCase.settings = SETTINGS
TestStore = StoreMachine.TestCase
HAS_OBSTORE = importlib.util.find_spec("obstore") is not None
TestBucket = pytest.mark.skipif(not HAS_OBSTORE, reason="obstore is not installed")(BucketMachine.TestCase)
