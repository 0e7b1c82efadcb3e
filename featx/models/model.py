"""A classifier joined to the features it was trained on, and the file that holds both.

The file is a safetensors container with JSON beside the arrays. No code is in it, and none is run. What the container
says of itself is checked by safetensors (lengths, offsets, overlaps, shapes against bytes), and everything else by
`featx.models.schema`, before memory is taken for the arrays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from featx.bases.weights import is_file_name
from featx.errors import ModelError, StoreError
from featx.features.scaling import join
from featx.files import remove_given_up_beside, write_atomic
from featx.keys import BASE_TENSOR_PREFIX, BaseId, FeatureKey, InputTransform, list_fields
from featx.models.array_classifier import CALIBRATIONS, ArrayClassifier, Arrays
from featx.models.container import MAX_MODEL_BYTES, read_container, summarise_error
from featx.models.prediction_sets import PredictionSets, check_errors
from featx.models.schema import (
    MODEL_FORMAT,
    MODEL_VERSION,
    BaseFacts,
    ModelFacts,
    check_neighbours,
    check_numbers,
)
from featx.models.strangeness import KnownClasses, check_known
from featx.types import Matrix


@dataclass(frozen=True)
class Model:
    """Everything that labels new images: which features to compute, and the classifier that takes them.

    Attributes
    ----------
    keys : tuple of FeatureKey
        One for each layer of the layer set, all of one base.
    source : str
        Where the base's weights came from, in words to be shown: the name under which they were published, "random",
        or the name of a file without its folder. Never opened.
    weights : str
        What loads the same weights again, as `--weights` takes it: a published name, "random", or the path of a file,
        which may be absolute or count from where the model was made. Without meaning where `base_tensors` are there.
    classes_ : tuple of str
        Labels in the order of the classifier's scores, as scikit-learn calls them.
    classifier : ArrayClassifier
    params : dict
        Hyper-parameters that cross-validation chose.
    protocol : dict
        How the training part, the folds and the seed were made.
    scores : dict
        The evaluation on the held-out part.
    views : int
        Views of an image whose scores are averaged.
    base_tensors : mapping of str to array
        Tensors of the base, where the model holds them itself; else empty.
    known : KnownClasses or None
        What tells how strange pictures are; None in models that do not hold it, such as those of earlier versions.
    sets : PredictionSets or None
        What tells how many classes have to be named; None likewise.
    is_read : bool
        Whether it was read from a file, which may come from anybody: files that it names are not opened then.
    held_bytes : int
        Bytes of the base's tensors in the file that it was read from, where they were left there.
    """

    keys: tuple[FeatureKey, ...]
    source: str
    weights: str
    classes_: tuple[str, ...]
    classifier: ArrayClassifier = field(repr=False)
    params: Mapping[str, float] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict, repr=False)
    scores: Mapping[str, Any] = field(default_factory=dict, repr=False)
    views: int = 1
    base_tensors: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    known: KnownClasses | None = field(default=None, repr=False)
    sets: PredictionSets | None = field(default=None, repr=False)
    is_read: bool = field(default=False, repr=False, compare=False)
    held_bytes: int = field(default=0, repr=False, compare=False)

    @property
    def transform(self) -> InputTransform:
        """How a picture becomes pixels."""
        return self.keys[0].base.transform

    @property
    def base_bytes(self) -> int:
        """Bytes of the base's tensors that it holds itself, here or in its file."""
        return self.held_bytes or sum(tensor.nbytes for tensor in self.base_tensors.values())

    @property
    def weights_file(self) -> str | None:
        """The file of weights that it names, and that has to be named again to be opened; None where it needs none."""
        return self.weights if not self.base_bytes and is_file_name(self.weights) else None

    def features(self, outputs: Mapping[tuple[str, str], NDArray[Any]]) -> NDArray[np.float32]:
        """Make the classifier's input from what a base computed.

        Parameters
        ----------
        outputs : mapping of (layer, pooling) to (n, ...) float32

        Returns
        -------
        (n, d) float32
            Rounded as the store would have rounded them.
        """
        # What overflows is found by `classify`.
        with np.errstate(all="ignore"):
            return join([outputs[key.layer, key.pooling].astype(key.dtype) for key in self.keys])

    def predict(self, X: Matrix) -> NDArray[np.str_]:
        """Label features.

        Parameters
        ----------
        X : (n, d) float, or (n, v, d) for v views of each image
            Made as `features` makes them.

        Returns
        -------
        (n,) str
            Of `classes_`.

        Raises
        ------
        ModelError
            If the features are of another length.
        """
        codes, _ = self.classify(X)
        return np.array(self.classes_)[codes]

    def predict_proba(self, X: Matrix) -> NDArray[np.float64]:
        """Give the probability of every class; for the SVM it is calibrated (see `CALIBRATIONS`).

        Parameters
        ----------
        X : (n, d) float, or (n, v, d) for v views of each image

        Returns
        -------
        (n, k) float64
            In the order of `classes_`.

        Raises
        ------
        ModelError
            If the features are of another length.
        """
        _, probabilities = self.classify(X)
        return probabilities

    def classify(self, X: Matrix) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Choose classes and say how sure that is, as `ArrayClassifier.predict` does.

        Parameters
        ----------
        X : (n, d) float, or (n, v, d) for v views of each image

        Returns
        -------
        codes : (n,) int
            Places of the chosen classes in `classes_`.
        probabilities : (n, k) float64

        Raises
        ------
        ModelError
            If the features are of another length, or what the model makes of them is not finite.
        """
        # What overflows is found in the result, in our words instead of numpy's.
        with np.errstate(all="ignore"):
            codes, probabilities = self.classifier.predict(X)
        if not np.isfinite(probabilities).all():
            raise ModelError(
                "the model gives probabilities that are not finite numbers: its arrays are damaged or were fitted on "
                "other features. Fit it anew"
            )
        return codes, probabilities

    def rate_strangeness(self, X: Matrix) -> NDArray[np.float64] | None:
        """Say how strange features are to all classes, as `KnownClasses.rate` does; None where it is not known.

        Parameters
        ----------
        X : (n, d) float, or (n, v, d) for v views of each image

        Raises
        ------
        ModelError
            If what the model makes of them is not finite.
        """
        if self.known is None:
            return None
        with np.errstate(all="ignore"):
            strangeness = self.known.rate(X)
        if not np.isfinite(strangeness).all():
            raise ModelError("the model gives a strangeness that is not a finite number: fit it anew")
        return strangeness

    def save(self, path: str | Path) -> None:
        """Write the model as one file, atomically; equal models give equal bytes.

        Parameters
        ----------
        path : str or pathlib.Path
            By custom its name ends in `.featx`.

        Raises
        ------
        ModelError
            If it would be larger than what `load_model` reads.
        StoreError
            If the file cannot be written.
        """
        base_tensors = {f"{BASE_TENSOR_PREFIX}{name}": tensor for name, tensor in self.base_tensors.items()}
        known = self.known.arrays if self.known else {}
        sets = self.sets.arrays if self.sets else {}
        arrays = {**self.classifier.arrays, **known, **sets, **base_tensors}
        data = save(arrays, {"featx": json.dumps(self._facts(), sort_keys=True)})
        if len(data) > MAX_MODEL_BYTES:
            raise ModelError(
                f"the model is {len(data) / 1e9:.1f} GB, more than the {MAX_MODEL_BYTES / 1e9:.1f} GB that are read "
                "again: choose a smaller layer or pooling"
            )
        remove_given_up_beside(Path(path))
        try:
            write_atomic(Path(path), data)
        except OSError as error:
            raise StoreError(f"'{path}' cannot be written: {error.strerror or error}") from error

    def _facts(self) -> dict[str, Any]:
        """Everything but the arrays, under the names that `ModelFacts` reads."""
        facts = {
            "format": MODEL_FORMAT,
            "version": MODEL_VERSION,
            "base": list_fields(self.keys[0].base),
            "layers": [{"layer": key.layer, "pooling": key.pooling, "dtype": key.dtype} for key in self.keys],
            "source": self.source,
            "weights": self.weights,
            "classes": list(self.classes_),
            "clf": self.classifier.kind,
            "sharpness": self.classifier.inverse_temperature,
            "probabilities": CALIBRATIONS[self.classifier.kind],
            "params": dict(self.params),
            "protocol": dict(self.protocol),
            "scores": dict(self.scores),
        }
        if self.views > 1:
            facts["views"] = self.views
        return facts


def load_model(path: str | Path, with_base: bool = True) -> Model:
    """Read a model file; nothing in it is executed, and nothing is believed unchecked.

    Parameters
    ----------
    path : str or pathlib.Path
        What `featx fit --out` or `Model.save` wrote.
    with_base : bool
        Whether the tensors of its base are read, too, if it holds them.

    Returns
    -------
    Model
        Gives the same numbers, bit for bit, as the one that was saved.

    Raises
    ------
    ModelError
        If it is missing, not a model, damaged, too large or of another version.
    """
    try:
        facts, arrays, held_bytes = read_container(Path(path), with_base)
        return build_model(facts, arrays, held_bytes)
    except OSError as error:
        reason = error.strerror or str(error)
    except RecursionError:
        reason = "its header is nested too deeply"
    # Whatever JSON or numpy find to object to in numbers and names that nobody would write is damage, too.
    except (ModelError, ValueError, TypeError, ArithmeticError) as error:
        reason = summarise_error(error)
    raise ModelError(f"model '{path}' cannot be read: {reason}. Write one with: featx fit DATA ... --out MODEL")


def build_model(facts: ModelFacts, arrays: Arrays, held_bytes: int = 0) -> Model:
    """Make the model of checked facts and of arrays whose numbers are checked here.

    Raises
    ------
    ModelError
        If a number of the classifier is not finite, a scale is not positive, or neighbours are not what they must be.
    """
    classifier_arrays: dict[str, NDArray[Any]] = {}
    base_tensors: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        if name.startswith(BASE_TENSOR_PREFIX):
            base_tensors[name.removeprefix(BASE_TENSOR_PREFIX)] = array
        else:
            classifier_arrays[name] = array
    check_numbers(classifier_arrays)
    known = KnownClasses.of_arrays(classifier_arrays)
    sets = PredictionSets.of_arrays(classifier_arrays)
    if known is not None:
        check_known(known)
    if sets is not None:
        check_errors(sets.errors)
    further = {*(known.arrays if known else ()), *(sets.arrays if sets else ())}
    classifier_arrays = {name: array for name, array in classifier_arrays.items() if name not in further}
    if facts.kind == "knn":
        check_neighbours(classifier_arrays, len(facts.classes))
    base = make_base_id(facts.base)
    return Model(
        keys=tuple(FeatureKey(base, layer.layer, layer.pooling, layer.dtype) for layer in facts.layers),
        source=facts.source,
        weights=facts.weights,
        classes_=facts.classes,
        classifier=ArrayClassifier(facts.kind, classifier_arrays, facts.inverse_temperature),
        params=facts.params,
        protocol=facts.protocol,
        scores=facts.scores,
        views=facts.views,
        base_tensors=base_tensors,
        known=known,
        sets=sets,
        is_read=True,
        held_bytes=held_bytes,
    )


def make_base_id(facts: BaseFacts) -> BaseId:
    """Make the identity of a base of what a file says of it."""
    transform = InputTransform(**msgspec.structs.asdict(facts.transform))
    return BaseId(facts.architecture, facts.weights, transform, facts.precision, facts.recipe)
