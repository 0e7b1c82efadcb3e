"""A map of the pictures in two dimensions, in which near ones lie together: principal components, then t-SNE.

Van der Maaten and Hinton, "Visualizing Data using t-SNE" (2008).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from featx.evaluation.records import load_record, save_record
from featx.storage.paths import CachePath
from featx.types import Codes, Matrix

COMPONENTS = 50
MOST_ROWS = 20_000
"""More pictures are not placed: a stratified sample of so many is."""

PERPLEXITY = 30.0
ITERATIONS = 500
"""Half of them with exaggerated neighbourhoods. Of 1,797 digits 1,000 keep 0.987 of neighbourhoods (trustworthiness),
and 500 at this angle 0.986, in 0.44 of the time."""

ANGLE = 0.7
"""How coarsely far points are taken together, 0 to 1."""

LEAST_ROWS = 4
"""With fewer pictures there is nothing to be placed."""

KIND = "map"
"""Beginning of the names of the records."""


class EmbeddingMap(Struct, frozen=True):
    """Where pictures lie on the map.

    Attributes
    ----------
    rows : list of int
        Rows of the features.
    x, y : list of float
    """

    rows: list[int]
    x: list[float]
    y: list[float]


def recall_map(X: Matrix, labels: Codes, seed: int, cache: CachePath, stated: dict[str, Any]) -> EmbeddingMap:
    """Give the map that an earlier run left, or make it and keep it.

    Parameters
    ----------
    X, labels, seed
        As in `make_map`.
    cache : pathlib.Path
    stated : dict
        What the features and labels are of.
    """
    stated = {
        **stated,
        "seed": seed,
        "components": COMPONENTS,
        "perplexity": PERPLEXITY,
        "iterations": ITERATIONS,
        "angle": ANGLE,
        "most": MOST_ROWS,
    }
    found = load_record(cache, KIND, stated, EmbeddingMap)
    if found is not None and max(found.rows, default=-1) < len(X):
        return found
    made = make_map(X, labels, seed)
    save_record(cache, KIND, stated, made)
    return made


def make_map(X: Matrix, labels: Codes, seed: int) -> EmbeddingMap:
    """Place pictures in two dimensions.

    Parameters
    ----------
    X : (n, d) float
    labels : (n,) int
        By which a sample is stratified where there are too many pictures.
    seed : int

    Returns
    -------
    EmbeddingMap
        Of no rows where there are fewer than four.
    """
    rows = draw_stratified(labels, MOST_ROWS, seed)
    if len(rows) < LEAST_ROWS:
        return EmbeddingMap([], [], [])
    columns = min(COMPONENTS, len(rows) - 1, X.shape[1])
    components = PCA(columns, svd_solver="randomized", random_state=seed).fit_transform(np.asarray(X[rows], np.float32))
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, max_iter=ITERATIONS, angle=ANGLE)
    # With one thread the map does not depend on the number of cores. Several wait for each other a thousand times a
    # second, which takes a multiple of the time where another program needs a core; maps are made side by side instead.
    with threadpool_limits(1, "openmp"):
        places = tsne.fit_transform(components)
    x, y = places.astype(np.float64).round(4).T.tolist()
    return EmbeddingMap(rows.tolist(), x, y)


def draw_stratified(labels: Codes, most: int, seed: int) -> NDArray[np.intp]:
    """Draw rows, of each class its share and one at least: all where there are few, in their order."""
    if len(labels) <= most:
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    drawn = []
    for code in np.unique(labels):
        of_class = np.flatnonzero(labels == code)
        count = max(1, int(len(of_class) * most / len(labels)))
        drawn.append(rng.permutation(of_class)[:count])
    return np.sort(np.concatenate(drawn))[:most]
