"""The store: all parts below one folder, asked and filled by key and digest."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import BrokenPart, MissingFeatures, StoreError
from featx.files import write_atomic
from featx.keys import BaseId, FeatureKey
from featx.store.part import PartHeader, read_header, read_rows, write_part

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredBase:
    """A base of which the store holds features.

    Attributes
    ----------
    id : BaseId
    source : str
        Where its weights came from, in plain words.
    layers : tuple of dict
        Its layers as `base.json` lists them: name, alias, shape, stride.
    is_default_transform : bool
        Whether images were transformed as the base states, not as the user asked.
    """

    id: BaseId
    source: str
    layers: tuple[dict[str, Any], ...]
    is_default_transform: bool


@dataclass(frozen=True)
class KeySummary:
    """What the store holds of one key; sizes in bytes, cost in seconds of computing."""

    key: FeatureKey
    images: int
    shape: tuple[int, ...]
    bytes: int
    parts: int
    modified: float
    seconds: float


class FeatureStore:
    """Features below one folder, found by key and image digest.

    Parameters
    ----------
    root : pathlib.Path
        The cache folder; it need not exist to be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._headers: dict[Path, PartHeader] = {}  # parts never change, so what was read once stays true

    def folder(self, key: FeatureKey) -> Path:
        """Folder of a key's parts."""
        return self.root / key.folder

    def headers(self, key: FeatureKey) -> Iterator[tuple[Path, PartHeader]]:
        """Yield a key's sound parts in the order of their names; broken ones are passed over with a warning.

        Raises
        ------
        StoreError
            If the folder cannot be read.
        """
        expected = key.to_json()
        for path in part_paths(self.folder(key)):
            if path not in self._headers:
                try:
                    self._headers[path] = read_header(path)
                except FileNotFoundError:
                    continue  # merged or removed by another process since it was listed
                except BrokenPart as error:
                    log.warning("%s; passed over, `featx cache verify` tells more", error)
                    continue
                except OSError as error:
                    raise StoreError(f"'{path}' cannot be read: {error.strerror or error}") from error
            if self._headers[path].key != expected:
                log.warning("'%s' belongs to another key than its folder; passed over", path)
                continue
            yield path, self._headers[path]

    def missing(self, key: FeatureKey, digests: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Tell which rows the store lacks: (n, 32) uint8 digests to (n,) bool."""
        return DigestIndex([header.digests for _, header in self.headers(key)]).find(digests) < 0

    def add(
        self, key: FeatureKey, digests: NDArray[np.uint8], features: NDArray[Any], provenance: dict[str, Any]
    ) -> Path:
        """Commit rows as one part; when this returns they survive a crash of the machine.

        Parameters
        ----------
        digests : (n, 32) uint8
        features : (n, ...) float
        provenance : dict
            Plain values that say when, where and how the rows were computed.

        Raises
        ------
        StoreError
            If the cache cannot be written; nothing is left behind.
        ValueError
            If there are no rows, or not as many features as digests.
        """
        if not len(digests) or len(digests) != len(features):
            raise ValueError(f"{len(digests)} digests for {len(features)} features")
        try:
            return write_part(self.folder(key), key, digests, features, provenance)
        except OSError as error:
            raise self._unwritable(error) from error

    def get(self, key: FeatureKey, digests: NDArray[np.uint8]) -> NDArray[Any]:
        """Read features in the order of the digests, every one checked against its checksum.

        Memory: the result, and one part's headers and block more.

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
            If a row's part is damaged.
        """
        parts = list(self.headers(key))
        if not parts:
            raise MissingFeatures(f"the store holds no features of {key.folder}")
        places = DigestIndex([header.digests for _, header in parts]).find(digests)
        if (lacking := int((places < 0).sum())) > 0:
            raise MissingFeatures(f"{lacking} of {len(digests)} images have no features of {key.folder}")
        starts = np.cumsum([0, *(len(header.digests) for _, header in parts)])
        out = np.empty((len(digests), *parts[0][1].shape[1:]), parts[0][1].dtype)
        order = np.argsort(places, kind="stable")
        edges = np.searchsorted(places[order], starts)
        for (path, header), first, low, high in zip(parts, starts, edges[:-1], edges[1:], strict=False):
            if low < high:
                wanted = order[low:high]
                rows = np.empty((high - low, *header.shape[1:]), header.dtype)
                read_rows(path, header, places[wanted] - first, rows)
                out[wanted] = rows
        return out

    def keys(self) -> list[KeySummary]:
        """Summarise every key that the store holds, sorted by folder."""
        folders = sorted({path.parent for path in self.root.glob("*/*/*/part-*.h5")})
        return [summary for folder in folders if (summary := self._summary(folder)) is not None]

    def _summary(self, folder: Path) -> KeySummary | None:
        key = None
        for path in part_paths(folder):
            try:
                key = FeatureKey.from_json(read_header(path).key)
                break
            except (OSError, ValueError):
                continue
        if key is None or self.folder(key) != folder:
            return None
        parts = list(self.headers(key))
        digests = np.concatenate([header.digests for _, header in parts])
        stats = [path.stat() for path, _ in parts]
        return KeySummary(
            key,
            len(np.unique(digests.view("V32"))),
            parts[0][1].shape[1:],
            sum(status.st_size for status in stats),
            len(parts),
            max(status.st_mtime for status in stats),
            sum(float(header.provenance.get("seconds", 0)) for _, header in parts),
        )

    def describe(self, base: StoredBase) -> None:
        """Write `base.json` beside a base's features, saying in plain words what the base is.

        Raises
        ------
        StoreError
            If the cache cannot be written: known before anything is computed.
        """
        file = self.root / base.id.folder / "base.json"
        try:
            if not file.exists():
                write_atomic(file, (json.dumps(asdict(base), indent=2) + "\n").encode())
        except OSError as error:
            raise self._unwritable(error) from error

    def bases(self) -> list[StoredBase]:
        """List the bases that have a readable `base.json`, sorted by folder."""
        found = []
        for file in sorted(self.root.glob("*/base.json")):
            try:
                fields = json.loads(file.read_text(encoding="utf-8"))
                base_id = BaseId.from_dict(fields["id"])
                if base_id.folder != file.parent.name:
                    raise ValueError("it describes another base than its folder")
                found.append(
                    StoredBase(base_id, fields["source"], tuple(fields["layers"]), bool(fields["is_default_transform"]))
                )
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                log.warning("'%s' is unreadable (%s); passed over", file, error)
        return found

    def _unwritable(self, error: OSError) -> StoreError:
        reason = error.strerror or str(error)
        return StoreError(
            f"the cache '{self.root}' cannot be written: {reason}. "
            "What was committed before is safe; make room or choose another folder with --cache or FEATX_CACHE"
        )


def part_paths(folder: Path) -> list[Path]:
    """List the parts in a key's folder by name; none if it does not exist."""
    return sorted(folder.glob("part-*.h5"))


class DigestIndex:
    """Finds digests among stored ones.

    Parameters
    ----------
    stored : sequence of (m, 32) uint8
        Joined in this order; may hold repetitions.
    """

    def __init__(self, stored: Sequence[NDArray[np.uint8]]) -> None:
        self.digests = np.concatenate([*stored, np.empty((0, 32), np.uint8)])
        heads = self._heads(self.digests)  # sorting 8 bytes is ten times faster than 32
        self._order = np.argsort(heads, kind="stable")
        self._sorted = heads[self._order]

    @staticmethod
    def _heads(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
        return np.ascontiguousarray(digests).view(np.uint64)[:, 0]

    def __len__(self) -> int:
        return len(self.digests)

    def __contains__(self, digest: bytes) -> bool:
        return bool(self.find(np.frombuffer(digest, np.uint8)[None])[0] >= 0)

    def find(self, wanted: NDArray[np.uint8]) -> NDArray[np.intp]:
        """Find the place of each digest: (n, 32) uint8 to (n,) int, -1 where it is not there."""
        if not len(self.digests):
            return np.full(len(wanted), -1)
        heads = self._heads(wanted)
        at = np.minimum(np.searchsorted(self._sorted, heads), len(self._sorted) - 1)
        places = self._order[at]
        places[(self.digests[places] != wanted).any(axis=1)] = -1
        doubtful = (places < 0) & (self._sorted[at] == heads)
        if doubtful.any():  # other digests share these 8 bytes: compare in full
            exact = {row.tobytes(): place for place, row in enumerate(self.digests)}
            places[doubtful] = [exact.get(row.tobytes(), -1) for row in wanted[doubtful]]
        return places
