"""The store: all parts below one folder, read and filled by key and digest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import BrokenPart, MissingFeatures, NewerPart, StoreError
from featx.keys import BaseId, FeatureKey
from featx.storage.interface import Storage, storage_of
from featx.storage.paths import CachePath
from featx.store.base_json import BASE_FILE, StoredBase, read_base, write_base
from featx.store.digest_index import RequestedRows
from featx.store.header import PartHeader
from featx.store.key_summary import KeySummary, summarise_key
from featx.store.part import Part, fetch_headers, to_stored, write_part
from featx.store.paths import list_base_folders, list_key_folders, list_parts
from featx.store.reader import ParallelReader

log = logging.getLogger(__name__)

TakeRows = Callable[[Part, NDArray[np.intp], NDArray[np.intp]], None]
"""Called with an open part, ascending row numbers in it, and the places where they belong in the request."""


class FeatureStore:
    """Features below one folder, found by key and image digest.

    No part is remembered between calls, only which ones were warned of: other processes may add, merge and remove parts
    at any time.

    Parameters
    ----------
    root : pathlib.Path or ObjectPath
        The cache; it need not exist to be read.
    """

    def __init__(self, root: CachePath) -> None:
        self.root = root
        self._warned: set[CachePath] = set()

    @property
    def storage(self) -> Storage:
        """Where the cache lies; asked when it is needed, so that a missing library is an error of what needs it."""
        return storage_of(self.root)

    def folder(self, key: FeatureKey) -> CachePath:
        """Folder of a key's parts."""
        return self.root / key.folder

    def parts(self, key: FeatureKey, paths: Iterable[CachePath] | None = None) -> Iterator[Part]:
        """Yield a key's sound parts in the order of their names, each open until the next one is asked for.

        Broken ones are skipped with a warning.

        Parameters
        ----------
        key : FeatureKey
        paths : iterable of pathlib.Path or ObjectPath, optional
            Only these parts.

        Raises
        ------
        StoreError
            If the folder cannot be read.
        """
        listed = list_parts(self.folder(key)) if paths is None else list(paths)
        fetch_headers(listed)
        expected_key = key.to_json()
        for path in listed:
            try:
                with Part.open(path) as part:
                    if part.header.key == expected_key:
                        yield part
                    else:
                        self._warn(path, f"'{path}' belongs to another key than its folder")
            except FileNotFoundError:
                # Merged or removed by another process since it was listed.
                continue
            except (BrokenPart, NewerPart) as error:
                self._warn(path, str(error))
            except StoreError:
                raise
            except OSError as error:
                raise StoreError(f"'{path}' cannot be read: {error.strerror or error}") from error

    def headers(self, key: FeatureKey) -> Iterator[PartHeader]:
        """Yield the headers of a key's sound parts in the order of their names.

        Raises
        ------
        StoreError
            If the folder cannot be read.
        """
        for part in self.parts(key):
            yield part.header

    def missing(self, key: FeatureKey, digests: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Tell which rows the store lacks.

        Parameters
        ----------
        key : FeatureKey
        digests : (n, 32) uint8
            In any order, with repetitions.

        Returns
        -------
        (n,) bool

        Raises
        ------
        StoreError
            If the folder cannot be read.
        """

        def ignore_rows(part: Part, rows: NDArray[np.intp], places: NDArray[np.intp]) -> None:
            """Take no features: that the header lists the rows is enough."""

        is_missing, _ = self._search(key, digests, ignore_rows)
        return is_missing

    def add(
        self,
        key: FeatureKey,
        digests: NDArray[np.uint8],
        features: NDArray[Any] | Sequence[NDArray[Any]],
        provenance: dict[str, Any],
    ) -> CachePath:
        """Commit rows as one part; when this returns they survive a crash of the machine.

        Parameters
        ----------
        key : FeatureKey
        digests : (n, 32) uint8
        features : (n, ...) float, or a sequence of such arrays
            Stored as the key's dtype; arrays in a list are stored one after another.
        provenance : dict
            Plain values that say when, where and how the rows were computed.

        Returns
        -------
        pathlib.Path or ObjectPath
            The part.

        Raises
        ------
        StoreError
            If the cache cannot be written; nothing is left behind.
        NotFinite
            If a number is NaN or inf, or overflows the key's dtype.
        ValueError
            If there are no rows, or not as many features as digests.
        """
        pieces = [features] if isinstance(features, np.ndarray) else features
        rows = sum(map(len, pieces))
        if not len(digests) or len(digests) != rows:
            raise ValueError(f"{len(digests)} digests for {rows} features")
        stored = [to_stored(key, piece) for piece in pieces]
        try:
            path = write_part(self.folder(key), key, digests, stored, provenance)
        except ValueError as error:
            raise StoreError(f"features of {key.folder} cannot be stored: {error}") from error
        except OSError as error:
            raise self._unwritable(error) from error
        log.debug("committed %s", path)
        return path

    def get(self, key: FeatureKey, digests: NDArray[np.uint8]) -> NDArray[Any]:
        """Read features in the order of the digests, every one checked against its checksum.

        Memory: the result, and at most one part more. Parts are read in parallel.

        Parameters
        ----------
        key : FeatureKey
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
        StoreError
            If the cache cannot be read.
        """
        with ParallelReader(len(digests)) as reader:
            self.collect(key, digests, reader.take)
        out = reader.out
        # No part was read, since no digests were asked for: only the shape is needed.
        if out is None:
            return self._make_empty(key)
        # Other parts may hold the rows of damaged ones, and reading them one at a time finds out.
        if not reader.is_sound:

            def read(part: Part, rows: NDArray[np.intp], places: NDArray[np.intp]) -> None:
                part.read_whole(lambda whole: whole.read_into(rows, places, out))

            self.collect(key, digests, read)
        return out

    def _make_empty(self, key: FeatureKey) -> NDArray[Any]:
        for header in self.headers(key):
            return np.empty((0, *header.shape[1:]), header.dtype)
        raise MissingFeatures(f"the cache '{self.root}' holds no features of {key.folder}: run featx extract")

    def collect(self, key: FeatureKey, digests: NDArray[np.uint8], take: TakeRows) -> None:
        """Hand the requested rows to a function, part by part.

        Parameters
        ----------
        key : FeatureKey
        digests : (n, 32) uint8
            In any order, with repetitions.
        take : callable
            Reads the rows; called again for the same places if it raised BrokenPart and another part holds them, too.

        Raises
        ------
        MissingFeatures
            If any row is not in the store.
        BrokenPart
            If the only part that holds a row is damaged.
        StoreError
            If the cache cannot be read.
        """
        is_missing, broken = self._search(key, digests, take)
        missing = int(is_missing.sum())
        if missing and broken is not None:
            raise BrokenPart(f"{broken}. Run `featx cache clean`, then extract again") from broken
        if missing:
            raise MissingFeatures(
                f"the cache '{self.root}' holds no features of {key.folder} for {missing} of {len(digests)} images: "
                "run featx extract"
            )

    def _search(
        self, key: FeatureKey, digests: NDArray[np.uint8], take: TakeRows
    ) -> tuple[NDArray[np.bool_], BrokenPart | None]:
        """Hand requested rows to `take`; return which were not found, (n,) bool, and the last damage met."""
        requested = RequestedRows(digests)
        broken: BrokenPart | None = None
        seen: set[CachePath] = set()
        listed: list[CachePath] | None = None
        # While rows are missing, list again until nothing changes: a merge may have hidden them from the first listing.
        while requested.is_missing.any() and (paths := list_parts(self.folder(key))) != listed:
            listed = paths
            for part in self.parts(key, [path for path in paths if path not in seen]):
                seen.add(part.path)
                rows, places = requested.match(part.header.digests)
                if len(rows):
                    try:
                        take(part, rows, places)
                        requested.is_missing[places] = False
                    except BrokenPart as error:
                        broken = error
                    except FileNotFoundError:
                        # An object that is gone since its header was read; files stay open.
                        continue
                if not requested.is_missing.any():
                    break
        return requested.is_missing, broken

    def keys(self, base: BaseId | None = None) -> list[KeySummary]:
        """Summarise the keys that the store holds, sorted by folder: all of them, or only those of one base.

        Raises
        ------
        StoreError
            If a folder cannot be read.
        """
        summaries = []
        for folder in list_key_folders(self.root, base.folder if base else None):
            summary = summarise_key(folder, self.root)
            if summary is not None and (base is None or summary.key.base == base):
                summaries.append(summary)
        return summaries

    def remove(self, key: FeatureKey) -> int:
        """Remove all parts of a key, and its folders if that leaves them empty; return how many parts.

        Raises
        ------
        StoreError
            If a part cannot be removed.
        """
        folder = self.folder(key)
        paths = list_parts(folder)
        try:
            for path in paths:
                self.storage.remove_file(path)
            self._remove_empty_folders(folder)
            self.storage.finish_removal(folder)
        except OSError as error:
            raise self._unwritable(error) from error
        return len(paths)

    def _remove_empty_folders(self, folder: CachePath) -> None:
        layer = folder.parent
        base = layer.parent
        # Folders that hold something else stay: to remove them is an error then.
        with suppress(OSError):
            self.storage.remove_folder(folder)
            self.storage.remove_folder(layer)
            if [path.name for path in self.storage.list_entries(base)] == [BASE_FILE]:
                self.storage.remove_file(base / BASE_FILE)
                self.storage.remove_folder(base)

    def describe(self, base: StoredBase) -> None:
        """Write `base.json` beside a base's features, unless an intact one exists.

        Done before anything is computed, it shows early that a cache cannot be written.

        Raises
        ------
        StoreError
            If the cache cannot be written.
        """
        try:
            write_base(self.root, base)
        except OSError as error:
            raise self._unwritable(error) from error

    def bases(self) -> list[StoredBase]:
        """List the bases that have a readable `base.json`, sorted by folder; others are skipped with a warning."""
        bases = []
        for folder in list_base_folders(self.root):
            file = folder / BASE_FILE
            try:
                bases.append(read_base(file))
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                log.warning("'%s' is unreadable (%s) and is skipped", file, error)
        return bases

    def _warn(self, path: CachePath, problem: str) -> None:
        """Log a problem with a part, once for each part."""
        if path not in self._warned:
            self._warned.add(path)
            log.warning("%s. The part is skipped: run `featx cache verify` for details", problem)

    def _unwritable(self, error: OSError) -> StoreError:
        if isinstance(error, StoreError):
            # Of an object store: worded already.
            return StoreError(f"{error}. What was committed before is safe")
        if isinstance(error, IsADirectoryError):
            # Renaming a file to the name of a folder: making room would not help.
            return StoreError(
                f"a folder is in the place of '{error.filename2 or error.filename}': move it away, or run "
                "`featx cache clean` if it is named like a part"
            )
        reason = error.strerror or str(error)
        return StoreError(
            f"the cache '{self.root}' cannot be written: {reason}. "
            "What was committed before is safe; make room or choose another folder with --cache or FEATX_CACHE"
        )
