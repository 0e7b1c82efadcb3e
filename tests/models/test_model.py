from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from featx.classifiers.mlp import MLP
from featx.classifiers.to_arrays import to_arrays
from featx.errors import ModelError
from featx.features.scaling import join
from featx.keys import BaseId, FeatureKey, InputTransform
from featx.linear.fit import fit_linear
from featx.models.model import Model
from featx.models.model_file import load_model

BASE = BaseId("tiny", "0" * 64, InputTransform(32, 32))


def rows(classes: int = 3) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    random = np.random.default_rng(0)
    y = np.arange(60) % classes
    return (random.normal(size=(classes, 7))[y] * 2 + random.normal(size=(60, 7))).astype(np.float32), y


def make(kind: str, classes: int = 3) -> Model:
    X, y = rows(classes)
    if kind == "mlp":
        fitted: Any = make_pipeline(StandardScaler(), MLP(epochs=3)).fit(X, y)
    else:
        fitted = fit_linear(X, y, kind, 0.1)
    names = tuple(f"class {number}" for number in range(classes))
    classifier = to_arrays(fitted, 1.5 if kind == "svm" else 1.0)
    return Model((FeatureKey(BASE, "layer3"),), "random", "random", names, classifier, {"C": 0.1}, {"seed": 42}, {})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make("svm").save(tmp_path / "m.featx")
    return tmp_path / "m.featx"


def facts_of(data: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Take a model file apart: facts, header of arrays, bytes of arrays."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return json.loads(header.pop("__metadata__")["featx"]), header, data[8 + length :]


def put_together(facts: Any, header: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps({"__metadata__": {"featx": json.dumps(facts)}, **header}).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", ["logreg", "svm", "mlp"])
def test_a_saved_model_gives_the_same_numbers_bit_for_bit(kind: str, classes: int, tmp_path: Path) -> None:
    model, (X, _) = make(kind, classes), rows(classes)
    model.save(tmp_path / "m.featx")
    again = load_model(tmp_path / "m.featx")
    assert np.array_equal(model.predict_proba(X), again.predict_proba(X))
    assert model.predict(X) == again.predict(X)
    assert replace(again, classifier=model.classifier) == model


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", ["logreg", "svm", "mlp"])
def test_arrays_choose_the_class_that_the_fitted_classifier_chooses(kind: str, classes: int) -> None:
    X, y = rows(classes)
    fitted: Any = fit_linear(X, y, kind, 0.1) if kind != "mlp" else make_pipeline(StandardScaler(), MLP()).fit(X, y)
    chosen, probabilities = to_arrays(fitted).predict(X)
    assert np.array_equal(chosen, fitted.predict(X))
    assert probabilities.sum(axis=1) == pytest.approx(1)
    if kind == "mlp":
        assert probabilities == pytest.approx(fitted.predict_proba(X), abs=1e-5)


def test_a_header_of_any_length_is_read_again(tmp_path: Path) -> None:
    # Lengths that begin like a pickle (0x80) or an archive ("PK") are lengths all the same.
    model, first = make("svm"), set()
    for more in range(0, 19_500, 8):
        protocol = {"words": "x" * more}
        if more < 264 or 18_000 < more < 18_400:
            replace(model, protocol=protocol).save(tmp_path / "m.featx")
            first.add((tmp_path / "m.featx").read_bytes()[:2])
            assert load_model(tmp_path / "m.featx").protocol == protocol
    assert b"PK" in first
    assert any(start[0] == 0x80 for start in first)


def test_equal_models_are_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make("logreg").save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_sharpness_changes_how_sure_but_never_what() -> None:
    (X, _), model = rows(), make("svm")
    sharper = replace(model.classifier, inverse_temperature=5.0)
    assert np.array_equal(model.classifier.predict(X)[0], sharper.predict(X)[0])
    assert sharper.predict(X)[1].max(axis=1).mean() > model.classifier.predict(X)[1].max(axis=1).mean()


def test_layers_of_a_mix_weigh_the_same_whatever_their_scale() -> None:
    small, large = np.random.default_rng(0).random((2, 5, 4)).astype(np.float32)
    mix = join([small, large * 1e6])
    assert np.linalg.norm(mix[:, :4], axis=1) == pytest.approx(1)
    assert mix == pytest.approx(join([small, large]), rel=1e-5)
    assert np.isfinite(join([np.zeros((2, 3)), small[:2]])).all()


def test_contrast_changes_no_feature_of_a_single_layer() -> None:
    X = np.random.default_rng(0).random((5, 3, 2, 2), np.float32)
    contrast = np.array([0.01, 0.5, 1, 2, 300], np.float32)[:, None, None, None]
    assert join([X * contrast]) == pytest.approx(join([X]), rel=1e-5)
    assert np.linalg.norm(join([X]), axis=1) == pytest.approx(1, rel=1e-6)
    assert join([X]).shape == (5, 12)


def test_features_of_another_length_are_refused(path: Path) -> None:
    with pytest.raises(ModelError, match=r"features of 7 numbers, not of \(6,\)"):
        load_model(path).predict(np.zeros((2, 6)))


@pytest.mark.parametrize("end", [0, 1, 7, 8, 100, -1])
def test_a_truncated_file_is_one_clear_error(path: Path, end: int) -> None:
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(ModelError, match=r"m.featx' cannot be read: .*truncated.*featx fit"):
        load_model(path)


def test_bytes_after_the_end_are_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="wrong sizes"):
        load_model(path)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


def zip_bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb()))
        archive.writestr("zeros", bytes(10_000_000))
    return file.getvalue()


@pytest.mark.parametrize("data", [pickle.dumps(Bomb()), pickle.dumps(Bomb(), 0), zip_bomb(), b"\x1f\x8b" + bytes(50)])
def test_a_pickle_or_an_archive_is_never_opened(data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.featx").write_bytes(data)
    with pytest.raises(ModelError, match="pickle, which featx never opens|no model file"):
        load_model("m.featx")
    assert not Path("executed").exists()


@pytest.mark.parametrize("length", [2**24 + 1, 2**62, 2**63, 2**64 - 1])
def test_a_header_that_claims_to_be_huge_takes_no_memory(length: int, tmp_path: Path) -> None:
    with (tmp_path / "m.featx").open("wb") as file:
        file.write(struct.pack("<Q", length))
        file.truncate(2**25)  # a hole, which takes no room on the disk
    with pytest.raises(ModelError, match="too large|truncated"):
        load_model(tmp_path / "m.featx")


def test_a_file_that_is_huge_takes_no_memory(path: Path) -> None:
    with path.open("ab") as file:
        file.truncate(2**40)
    with pytest.raises(ModelError, match="too large"):
        load_model(path)


def test_another_programs_safetensors_file_is_no_model(tmp_path: Path) -> None:
    for metadata in (None, {"format": "pt"}, {"featx": "{}"}, {"featx": "[" * 100_000}):
        (tmp_path / "m.featx").write_bytes(save({"w": np.zeros(3)}, metadata))
        with pytest.raises(ModelError, match="no model of featx|nested too deeply"):
            load_model(tmp_path / "m.featx")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, "its version is 3"),
        ({"classes": ["a", "b"]}, "expected"),
        ({"classes": ["a", "a", "b"]}, "different names"),
        ({"classes": 3}, "'classes' is no list"),
        ({"clf": "mlp"}, "lacks 'hidden_intercept'"),
        ({"clf": "../../bin/sh"}, "its classifier is"),
        ({"sharpness": -1.0}, "sharpness"),
        ({"sharpness": float("nan")}, "sharpness"),
        ({"layers": [{"layer": "../../etc", "pooling": "avg", "dtype": "float32"}]}, "one of its layers"),
        ({"layers": [{"layer": "layer3", "pooling": "avg", "dtype": "object"}]}, "one of its layers"),
        ({"layers": []}, "0 layers"),
        ({"weights": "a\nb"}, "no line of text"),
        ({"base": {}}, "its base has the fields"),
    ],
)
def test_facts_that_contradict_each_other_are_named(path: Path, change: dict[str, Any], message: str) -> None:
    facts, header, body = facts_of(path.read_bytes())
    path.write_bytes(put_together({**facts, **change}, header, body))
    with pytest.raises(ModelError, match=message):
        load_model(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "../tiny"}, "architecture is no name"),
        ({"weights": "x"}, "no digest"),
        ({"transform": {**vars(InputTransform(10**9, 10**9)), "mean": [0, 0, 0], "std": [1, 1, 1]}}, "transform crops"),
        ({"transform": {**vars(InputTransform(32, 32)), "mean": [0, 0, 0], "std": [1, 1, 0]}}, "its std is"),
    ],
)
def test_a_base_that_cannot_be_is_named(path: Path, change: dict[str, Any], message: str) -> None:
    facts, header, body = facts_of(path.read_bytes())
    path.write_bytes(put_together({**facts, "base": {**facts["base"], **change}}, header, body))
    with pytest.raises(ModelError, match=message):
        load_model(path)


def with_array(path: Path, name: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
    model = load_model(path)
    arrays = {**model.classifier.arrays, name: change(model.classifier.arrays[name])}
    Model(**{**vars(model), "classifier": replace(model.classifier, arrays=arrays)}).save(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a * np.nan, "not finite"),
        (lambda a: a * np.inf, "not finite"),
        (lambda a: a * 0, "not positive"),
        (lambda a: a[:-1], "expected"),
        (lambda a: a.astype(np.float32), "'scale' is float32"),
        (lambda a: a.astype(np.int64), "'scale' is I64"),
    ],
)
def test_arrays_that_are_not_what_they_should_be_are_named(
    path: Path, change: Callable[[NDArray[Any]], NDArray[Any]], message: str
) -> None:
    with_array(path, "scale", change)
    with pytest.raises(ModelError, match=message):
        load_model(path)


def test_no_single_flipped_bit_of_the_header_is_more_than_one_clear_error(path: Path) -> None:
    data = path.read_bytes()
    random = np.random.default_rng(0)
    for place in random.integers(0, len(data) - len(facts_of(data)[2]), 300):
        bad = bytearray(data)
        bad[place] ^= 1 << int(random.integers(8))
        path.write_bytes(bad)
        with suppress(ModelError):  # some bits, such as those of a class's name, may be flipped unnoticed
            load_model(path)


def test_folders_pipes_and_missing_files_are_one_clear_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("none", "No such file"), ("", "Is a directory|no file"), ("pipe", "no file")):
        with pytest.raises(ModelError, match=message):
            load_model(tmp_path / name)
