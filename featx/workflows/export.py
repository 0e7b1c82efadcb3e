"""Write the cached features of a data set as one ordinary HDF5 file. Nothing here needs torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from featx.errors import RequestError
from featx.features.catalog import list_candidates
from featx.features.dataset import NeededFeatures, keep_featured, list_dataset, select_of_dataset
from featx.requests import ExportRequest
from featx.store.hdf5_export import Columns, write_export
from featx.store.store import FeatureStore


@dataclass(frozen=True)
class ExportSummary:
    """What was written: rows of `images` images, the key's folder, the size in bytes."""

    path: str
    key: str
    images: int
    left_out: int
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


def export(request: ExportRequest) -> ExportSummary:
    """Join a data set and a key into one HDF5 file: `features`, `labels`, `paths`, `digests` and `split`.

    Parameters
    ----------
    request : ExportRequest

    Returns
    -------
    ExportSummary
        Images left out are broken ones, each named in a warning.

    Raises
    ------
    FeatxError
        If names are unknown, features are not cached, or the file cannot be written.
    """
    wanted = request.features
    store = FeatureStore(wanted.cache)
    # A base of which nothing is cached is known before all images are read for their digests.
    candidates = list_candidates(store, wanted)
    manifest = list_dataset(wanted, is_split=False)
    selection = select_of_dataset(manifest, store, wanted, candidates)
    keys = list(dict.fromkeys(key for layer_set in selection.layer_sets for key in layer_set.keys))
    if len(keys) > 1:
        folders = ", ".join(key.folder for key in keys)
        raise RequestError(f"an export holds one key, but these fit: {folders}. Choose with --layer and --pooling")
    key = keys[0]
    exported = keep_featured(manifest, store, [NeededFeatures(wanted, keys, selection.base)])
    columns = Columns(exported.digests, exported.listing.labels, exported.listing.paths, exported.listing.splits)
    attributes = {
        "base": key.base.architecture,
        "layer": key.layer,
        "pooling": key.pooling,
        "weights": selection.base.source,
    }
    size = write_export(request.out, store, key, columns, attributes)
    return ExportSummary(
        str(request.out), key.folder, len(exported), len(manifest) + len(manifest.unreadable) - len(exported), size
    )
