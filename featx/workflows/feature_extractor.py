"""Extraction as a scikit-learn transformer: paths, PIL images or arrays in, a feature matrix out, cached as ever."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from featx.base_choice import BaseChoice
from featx.bases.loading import load_base
from featx.bases.names import check_pooling_names
from featx.bases.pooling import pooled_shape
from featx.bases.registry import resolve
from featx.data.digest_cache import digest_all
from featx.data.given_images import Picture, list_each_image
from featx.errors import DataError, RequestError, shorten
from featx.features.load import read_matrix
from featx.keys import DecodeMode, FeatureKey
from featx.requests import ExtractRequest, default_cache
from featx.runners.local import run_with_base
from featx.storage.paths import CachePath, parse_cache, side_folder
from featx.store.store import FeatureStore

GIVEN_IMAGES = "images"
"""What a request calls a data set that was given in memory or path by path."""


class FeatureExtractor(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Turn images into features of a frozen base; every image is computed once and found in the cache from then on.

    Parameters
    ----------
    base : str or BaseChoice
        The frozen network, such as "resnet50".
    layer : str or None
        A layer by name or alias, or several joined by "+", whose features are concatenated. None: the base's default.
    pooling : str
        "avg", "max", "avg+max", "pyramid", "cls" or "flat".
    weights, resize, crop, precision, value_range, decode
        As in `featx.BaseChoice`.
    store_dtype : str
        "float32" or "float16": how features are stored.
    scaled : bool
        Whether rows are scaled to unit length, layer by layer, as `fit` and `compare` do; False gives them as stored.
    cache : str, pathlib.Path or None
        Folder or URL of the feature store; None: `$FEATX_CACHE`, else `./cache`.
    device, engine, batch_size, workers
        As in `featx.extract`.

    Attributes
    ----------
    base_ : Base
        The loaded network.
    keys_ : tuple of FeatureKey
        Where the features are stored: one key a layer.
    n_features_out_ : int
        Length of a row.

    Notes
    -----
    An image on disk is known by the sha256 of its file, as everywhere in featx, so that features that
    `featx.extract` computed are reused and the other way round. An image in memory is known by its pixels.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> pipeline = make_pipeline(featx.FeatureExtractor("resnet50", "layer3"), featx.linear.LogisticRegression())
    >>> search = GridSearchCV(pipeline, {"logisticregression__C": [0.01, 0.1, 1]}).fit(paths, labels)
    """

    def __init__(
        self,
        base: str | BaseChoice = "resnet50",
        layer: str | None = None,
        pooling: str = "avg",
        *,
        weights: str | None = None,
        resize: int | None = None,
        crop: int | None = None,
        precision: Literal["float32", "bfloat16"] = "float32",
        value_range: str | tuple[float, float] | None = None,
        decode: DecodeMode | None = None,
        store_dtype: Literal["float32", "float16"] = "float32",
        scaled: bool = True,
        cache: str | CachePath | None = None,
        device: str = "auto",
        engine: Literal["auto", "torch", "compile", "openvino", "eager"] = "auto",
        batch_size: int | None = None,
        workers: int | None = None,
    ) -> None:
        self.base = base
        self.layer = layer
        self.pooling = pooling
        self.weights = weights
        self.resize = resize
        self.crop = crop
        self.precision = precision
        self.value_range = value_range
        self.decode = decode
        self.store_dtype = store_dtype
        self.scaled = scaled
        self.cache = cache
        self.device = device
        self.engine = engine
        self.batch_size = batch_size
        self.workers = workers

    def fit(self, X: Sequence[str | Path | Picture] | NDArray[Any] | None = None, y: Any = None) -> Self:
        """Load the base; nothing is learned from images.

        Parameters
        ----------
        X, y
            Not used, but for the conventions of scikit-learn.

        Raises
        ------
        FeatxError
            If names are unknown, or the weights cannot be had.
        """
        check_pooling_names([self.pooling])
        self.architecture_ = resolve(self._make_choice())
        self.base_ = load_base(self.architecture_)
        if not isinstance(self.layer, str | None):
            raise RequestError(f"layer is {self.layer!r}: join several by '+', such as 'layer3+layer4'")
        names = (self.layer or self.architecture_.default_layer()).split("+")
        layers = [self.base_.layer(name) for name in dict.fromkeys(names)]
        self.keys_ = tuple(FeatureKey(self.base_.id, layer.name, self.pooling, self.store_dtype) for layer in layers)
        # Built here, so that a wrong option is known before any image is read.
        self.request_ = self._make_request()
        sizes = [np.prod(pooled_shape(self.pooling, layer.shape, layer.layout)) for layer in layers]
        self.n_features_out_ = int(sum(sizes))
        return self

    def transform(self, X: Sequence[str | Path | Picture] | NDArray[Any]) -> NDArray[np.float32]:
        """Compute the features that the cache lacks, and read all of them.

        Parameters
        ----------
        X : sequence of n paths, PIL images or (height, width, 3) uint8 arrays; or (n, height, width, 3) uint8

        Returns
        -------
        (n, d) float32
            In the order of X.

        Raises
        ------
        DataError
            If an image cannot be read: a row cannot be left out here.
        StoreError
            If the cache cannot be written.
        """
        check_is_fitted(self)
        listing = list_each_image(as_rows(X))
        summary = run_with_base(self.request_, self.base_, self.architecture_, listing)
        summary.pictures.warn(self.value_range is not None)
        if summary.failed:
            problems = shorten((f"'{image.path}' ({image.reason})" for image in summary.failed), 3)
            raise DataError(f"{len(summary.failed)} of {len(listing)} images cannot be read: {problems}")
        store = FeatureStore(self.request_.cache)
        digests = digest_all(side_folder(self.request_.cache), listing).digests
        return read_matrix(store, self.keys_, digests, self.scaled)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Name the columns by layer and place, such as "layer3_17": (d,) str."""
        check_is_fitted(self)
        names: list[str] = []
        for key in self.keys_:
            layer = self.base_.layer(key.layer)
            size = int(np.prod(pooled_shape(self.pooling, layer.shape, layer.layout)))
            names += [f"{key.layer}_{column}" for column in range(size)]
        return np.array(names, object)

    def __sklearn_tags__(self) -> Any:
        """State that images need not be a numeric matrix, and that nothing is learned."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = True
        tags.input_tags.two_d_array = False
        tags.no_validation = True
        return tags

    def _make_choice(self) -> BaseChoice:
        if isinstance(self.base, BaseChoice):
            return self.base
        return BaseChoice(
            self.base, self.weights, self.resize, self.crop, self.precision, self.value_range, self.decode
        )

    def _make_request(self) -> ExtractRequest:
        return ExtractRequest(
            GIVEN_IMAGES,
            self._make_choice(),
            [key.layer for key in self.keys_],
            [self.pooling],
            device=self.device,
            batch_size=self.batch_size,
            workers=self.workers,
            cache=parse_cache(self.cache) if self.cache is not None else default_cache(),
            store_dtype=self.store_dtype,
            engine=self.engine,
        )


def as_rows(X: Any) -> list[Any]:
    """List the images of X, one row each.

    Raises
    ------
    DataError
        If X is one image, or an array whose rows are not pictures.
    """
    shape = getattr(X, "shape", None)
    is_pixels = shape is not None and len(shape) in (2, 3)
    if isinstance(X, str | Path) or hasattr(X, "getpixel") or is_pixels:
        what = f"an array of shape {shape}" if is_pixels else f"one image ({type(X).__name__})"
        raise DataError(f"X is {what}: give a list of images, or an array of (n, height, width, 3)")
    return list(X)
