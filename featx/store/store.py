"""The store: all parts below one folder, asked and filled by key and digest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import BrokenPart, MissingFeatures, NewerPart, StoreError
from featx.files import sync_folder
from featx.keys import BaseId, FeatureKey
from featx.store.base_json import BASE_FILE, StoredBase, read_base, write_base
from featx.store.digest_index import Wanted
from featx.store.header import PartHeader
from featx.store.key_summary import KeySummary, summarise
from featx.store.part import Part, to_stored, write_part
from featx.store.paths import key_folders, part_paths
from featx.store.reader import Readers

log = logging.getLogger(__name__)

Take = Callable[[Part, NDArray[np.intp], NDArray[np.intp]], None]
"""Receives an open part, ascending rows in it, and the places where they belong among the digests asked for."""


class FeatureStore:
    """Features below one folder, found by key and image digest.

    Nothing is remembered between calls: other processes may add, merge and remove parts at any time.

    Parameters
    ----------
    root : pathlib.Path
        The cache folder; it need not exist to be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._warned: set[Path] = set()

    def folder(self, key: FeatureKey) -> Path:
        """Folder of a key's parts."""
        return self.root / key.folder

    def parts(self, key: FeatureKey, paths: Iterable[Path] | None = None) -> Iterator[Part]:
        """Yield a key's sound parts in the order of their names, each open until the next one is asked for.

        Broken ones are passed over with a warning.

        Parameters
        ----------
        paths : iterable of pathlib.Path, optional
            Only these parts.

        Raises
        ------
        StoreError
            If the folder cannot be read.
        """
        expected = key.to_json()
        for path in part_paths(self.folder(key)) if paths is None else paths:
            try:
                with Part.open(path) as part:
                    if part.header.key == expected:
                        yield part
                    else:
                        self._warn(path, f"'{path}' belongs to another key than its folder")
            except FileNotFoundError:
                continue  # merged or removed by another process since it was listed
            except (BrokenPart, NewerPart) as error:
                self._warn(path, str(error))
            except StoreError:
                raise
            except OSError as error:
                raise StoreError(f"'{path}' cannot be read: {error.strerror or error}") from error

    def headers(self, key: FeatureKey) -> Iterator[PartHeader]:
        """Yield the headers of a key's sound parts in the order of their names."""
        for part in self.parts(key):
            yield part.header

    def missing(self, key: FeatureKey, digests: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Tell which rows the store lacks: (n, 32) uint8 digests to (n,) bool.

        Raises
        ------
        StoreError
            If the folder cannot be read.
        """
        return self._search(key, digests, lambda *_: None)[0]

    def add(
        self,
        key: FeatureKey,
        digests: NDArray[np.uint8],
        features: NDArray[Any] | Sequence[NDArray[Any]],
        provenance: dict[str, Any],
    ) -> Path:
        """Commit rows as one part; when this returns they survive a crash of the machine.

        Parameters
        ----------
        digests : (n, 32) uint8
        features : (n, ...) float, or a sequence of such arrays
            Stored as the key's dtype; arrays in a list are stored one behind the other.
        provenance : dict
            Plain values that say when, where and how the rows were computed.

        Raises
        ------
        StoreError
            If the cache cannot be written; nothing is left behind.
        NotFinite
            If a number is infinite, none at all, or too large for the key's dtype.
        ValueError
            If there are no rows, or not as many features as digests.
        """
        pieces = [features] if isinstance(features, np.ndarray) else features
        if not len(digests) or len(digests) != sum(map(len, pieces)):
            raise ValueError(f"{len(digests)} digests for {sum(map(len, pieces))} features")
        stored = [to_stored(key, piece) for piece in pieces]
        try:
            path = write_part(self.folder(key), key, digests, stored, provenance)
        except OSError as error:
            raise self._unwritable(error) from error
        log.debug("committed %s", path)
        return path

    def get(self, key: FeatureKey, digests: NDArray[np.uint8]) -> NDArray[Any]:
        """Read features in the order of the digests, every one checked against its checksum.

        Memory: the result, and at most one part more. Parts are read side by side.

        Parameters
        ----------
        digests : (n, 32) uint8
            In any order, with repetitions.

        Returns
        -------
        (n, ...) array of the key's dtype

        Raises
        ------
        MissingFeatures
            If any row is not in the store.
        BrokenPart
            If the only part that holds a row is damaged.
        """
        with Readers(len(digests)) as readers:
            self.collect(key, digests, readers.take)
        out = readers.out
        if out is None:  # no digests were asked for
            for header in self.headers(key):
                return np.empty((0, *header.shape[1:]), header.dtype)
            raise MissingFeatures(f"the store holds no features of {key.folder}")
        if not readers.is_sound:  # other parts may hold the rows of damaged ones
            self.collect(key, digests, lambda part, rows, places: part.read_to(rows, places, out))
        return out

    def collect(self, key: FeatureKey, digests: NDArray[np.uint8], take: Take) -> None:
        """Hand the rows asked for to a function, part by part.

        Parameters
        ----------
        take : callable
            Reads the rows; called again for the same places if it raised BrokenPart and another part holds them, too.

        Raises
        ------
        MissingFeatures
            If any row is not in the store.
        BrokenPart
            If the only part that holds a row is damaged.
        """
        lacking, broken = self._search(key, digests, take)
        if broken is not None and lacking.any():
            raise BrokenPart(f"{broken}. Run `featx cache clean`, then extract again") from broken
        if lacking.any():
            what = f"{int(lacking.sum())} of {len(digests)} images have no features of {key.folder}"
            raise MissingFeatures(f"{what} in the cache '{self.root}': run featx extract")

    def _search(
        self, key: FeatureKey, digests: NDArray[np.uint8], take: Take
    ) -> tuple[NDArray[np.bool_], BrokenPart | None]:
        wanted, broken = Wanted(digests), None
        seen: set[Path] = set()
        listed: list[Path] | None = None
        # While rows are lacking, list again until nothing changes: a merge may have hidden them from the first listing.
        while wanted.lacking.any() and (paths := part_paths(self.folder(key))) != listed:
            listed = paths
            for part in self.parts(key, [path for path in paths if path not in seen]):
                seen.add(part.path)
                rows, places = wanted.match(part.header.digests)
                if len(rows):
                    try:
                        take(part, rows, places)
                        wanted.lacking[places] = False
                    except BrokenPart as error:
                        broken = error
                if not wanted.lacking.any():
                    break
        return wanted.lacking, broken

    def keys(self, base: BaseId | None = None) -> list[KeySummary]:
        """Summarise the keys that the store holds, sorted by folder: all of them, or only those of one base."""
        summaries = []
        for folder in key_folders(self.root, base.folder if base else None):
            summary = summarise(folder, self.root)
            if summary is not None and (base is None or summary.key.base == base):
                summaries.append(summary)
        return summaries

    def remove(self, key: FeatureKey) -> int:
        """Remove all parts of a key, and its folders as far as they are empty then; return how many parts.

        Raises
        ------
        StoreError
            If a part cannot be removed.
        """
        folder = self.folder(key)
        paths = part_paths(folder)
        try:
            for path in paths:
                path.unlink(missing_ok=True)
            base = folder.parent.parent
            with suppress(OSError):  # folders that hold something else stay
                folder.rmdir()
                folder.parent.rmdir()
                if [path.name for path in base.iterdir()] == [BASE_FILE]:
                    (base / BASE_FILE).unlink()
                    base.rmdir()
            sync_folder(folder if folder.exists() else self.root)
        except OSError as error:
            raise self._unwritable(error) from error
        return len(paths)

    def describe(self, base: StoredBase) -> None:
        """Write `base.json` beside a base's features, unless a sound one is there.

        Raises
        ------
        StoreError
            If the cache cannot be written: known before anything is computed.
        """
        try:
            write_base(self.root, base)
        except OSError as error:
            raise self._unwritable(error) from error

    def bases(self) -> list[StoredBase]:
        """List the bases that have a readable `base.json`, sorted by folder."""
        found = []
        for file in sorted(self.root.glob(f"*/{BASE_FILE}")):
            try:
                found.append(read_base(file))
            except (OSError, ValueError) as error:
                log.warning("'%s' is unreadable (%s); passed over", file, error)
        return found

    def _warn(self, path: Path, what: str) -> None:
        if path not in self._warned:
            self._warned.add(path)
            log.warning("%s; passed over, `featx cache verify` tells more", what)

    def _unwritable(self, error: OSError) -> StoreError:
        reason = error.strerror or str(error)
        return StoreError(
            f"the cache '{self.root}' cannot be written: {reason}. "
            "What was committed before is safe; make room or choose another folder with --cache or FEATX_CACHE"
        )
