from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
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
from featx.models.model import Model, load_model

BASE = BaseId("tiny", "0" * 64, InputTransform(32, 32))


def make_rows(classes: int = 3) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    random = np.random.default_rng(0)
    y = np.arange(60) % classes
    return (random.normal(size=(classes, 7))[y] * 2 + random.normal(size=(60, 7))).astype(np.float32), y


def make(kind: str, classes: int = 3) -> Model:
    X, y = make_rows(classes)
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
    model = make(kind, classes)
    X, _ = make_rows(classes)
    model.save(tmp_path / "m.featx")
    again = load_model(tmp_path / "m.featx")
    assert np.array_equal(model.predict_proba(X), again.predict_proba(X))
    assert np.array_equal(model.predict(X), again.predict(X))
    assert replace(again, classifier=model.classifier) == model


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


def test_concatenated_layers_weigh_the_same_whatever_their_scale() -> None:
    small, large = np.random.default_rng(0).random((2, 5, 4)).astype(np.float32)
    joined = join([small, large * 1e6])
    assert np.linalg.norm(joined[:, :4], axis=1) == pytest.approx(1)
    assert joined == pytest.approx(join([small, large]), rel=1e-5)
    assert np.isfinite(join([np.zeros((2, 3)), small[:2]])).all()


def test_contrast_changes_no_feature_of_a_single_layer() -> None:
    X = np.random.default_rng(0).random((5, 3, 2, 2), np.float32)
    contrast = np.array([0.01, 0.5, 1, 2, 300], np.float32)[:, None, None, None]
    assert join([X * contrast]) == pytest.approx(join([X]), rel=1e-5)
    assert np.linalg.norm(join([X]), axis=1) == pytest.approx(1, rel=1e-6)
    assert join([X]).shape == (5, 12)


def test_features_of_another_length_are_refused(path: Path) -> None:
    with pytest.raises(ModelError, match=r"features of 7 numbers, not an array of shape \(2, 6\)"):
        load_model(path).predict(np.zeros((2, 6)))


@pytest.mark.parametrize("end", [0, 1, 7, 8, 100, -1])
def test_a_truncated_file_is_one_clear_error(path: Path, end: int) -> None:
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(ModelError, match=r"m.featx' cannot be read: .*truncated.*featx fit"):
        load_model(path)


def test_bytes_after_the_end_are_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="truncated or damaged, or not a model file .*not fully covered"):
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
    with pytest.raises(ModelError, match="a pickle, which featx never opens|not a model file"):
        load_model("m.featx")
    assert not Path("executed").exists()


@pytest.mark.parametrize("length", [2**24 + 1, 2**62, 2**63, 2**64 - 1])
def test_a_header_that_claims_to_be_huge_takes_no_memory(length: int, tmp_path: Path) -> None:
    with (tmp_path / "m.featx").open("wb") as file:
        file.write(struct.pack("<Q", length))
        file.truncate(2**25)  # a hole, which takes no room on the disk
    with pytest.raises(ModelError, match="truncated, or not a model file .a header of"):
        load_model(tmp_path / "m.featx")


def test_more_arrays_than_any_base_has_are_not_read(path: Path) -> None:
    facts, header, body = facts_of(path.read_bytes())
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [len(body), len(body)]}
    path.write_bytes(put_together(facts, {**header, **{f"base.{n}": empty for n in range(20_001)}}, body))
    with pytest.raises(ModelError, match="it holds 20005 arrays, more than the 20000 that are read"):
        load_model(path)


def test_the_tensors_of_a_base_can_be_left_in_the_file(tmp_path: Path) -> None:
    model = replace(make("svm"), base_tensors={"conv.weight": np.ones((8, 3), np.float32)})
    model.save(tmp_path / "m.featx")
    left = load_model(tmp_path / "m.featx", with_base=False)
    assert (left.base_tensors, left.base_bytes, left.is_read) == ({}, 96, True)
    assert load_model(tmp_path / "m.featx").base_bytes == model.base_bytes == 96


def test_a_long_header_that_is_there_takes_no_memory_either(tmp_path: Path) -> None:
    entry = b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    header = b"{" + b",".join(entry % number for number in range(400_000)) + b"}"
    (tmp_path / "m.featx").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ModelError, match=f"a header of {len(header)} bytes"):
        load_model(tmp_path / "m.featx")


def test_a_file_that_is_huge_takes_no_memory(path: Path) -> None:
    with path.open("ab") as file:
        file.truncate(2**40)
    with pytest.raises(ModelError, match="too large"):
        load_model(path)


def test_another_programs_safetensors_file_is_not_a_model(tmp_path: Path) -> None:
    for metadata in (None, {"format": "pt"}, {"featx": "{}"}, {"featx": "[" * 100_000}):
        (tmp_path / "m.featx").write_bytes(save({"w": np.zeros(3)}, metadata))
        with pytest.raises(ModelError, match="not a featx model|nested too deeply"):
            load_model(tmp_path / "m.featx")


def with_array(path: Path, name: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
    model = load_model(path)
    arrays = {**model.classifier.arrays, name: change(model.classifier.arrays[name])}
    Model(**{**vars(model), "classifier": replace(model.classifier, arrays=arrays)}).save(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a * np.nan, "holds NaN or infinity"),
        (lambda a: a * np.inf, "holds NaN or infinity"),
        (lambda a: a * 0, "not positive"),
        (lambda a: a * 0 + 1e-320, "'scale' holds numbers below 1.2e-38"),
        (lambda a: a * 0 + 1e39, "'scale' holds numbers beyond those of float32"),
        (lambda a: a[:-1], r"'scale' is F64 \[6\], expected F64 \[7\]"),
        (lambda a: a.astype(np.float32), r"'scale' is F32 \[7\], expected F64"),
        (lambda a: a.astype(np.int64), r"'scale' is I64 \[7\], expected F64"),
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
    for name, message in (("none", "No such file"), ("", "not a regular file"), ("pipe", "not a regular file")):
        with pytest.raises(ModelError, match=message):
            load_model(tmp_path / name)


ONE_NUMBER = {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"mean": {**ONE_NUMBER, "shape": [2]}}, "invalid shape, data type, or offset"),
        ({"mean": {**ONE_NUMBER, "shape": [-1]}}, "invalid JSON in header"),
        ({"mean": {**ONE_NUMBER, "shape": [2**62, 2**62]}}, "overflow"),
        ({"mean": {**ONE_NUMBER, "data_offsets": [0, 2**40]}}, "invalid shape, data type, or offset"),
        ({"mean": ONE_NUMBER, "scale": ONE_NUMBER}, "invalid offset"),
        ({"base.w": {"dtype": "F32", "shape": [0, 2**63], "data_offsets": [0, 0]}}, "dimension"),
        ({"base.w": {"dtype": "F32", "shape": [1] * 65, "data_offsets": [0, 4]}}, "maximum supported dimension"),
        ({"base.w": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}, r"'base.w' is BF16 \[4\], expected F32"),
    ],
    ids=["lying", "negative", "overflow", "beyond the end", "overlap", "huge and empty", "65 axes", "other dtype"],
)
def test_a_header_that_lies_about_its_arrays_is_one_clear_error(
    path: Path, entries: dict[str, Any], message: str
) -> None:
    facts, header, body = facts_of(path.read_bytes())
    if "base.w" in entries:  # behind the arrays of the classifier, which stay as they are
        begin, end = entries["base.w"]["data_offsets"]
        entries = {**header, "base.w": {**entries["base.w"], "data_offsets": [begin + len(body), end + len(body)]}}
        body += bytes(end)
    else:
        body = bytes(8)
    path.write_bytes(put_together(facts, entries, body))
    with pytest.raises(ModelError, match=rf"m\.featx' cannot be read: .*{message}.*featx fit"):
        load_model(path)


def test_reading_a_model_imports_neither_scikit_learn_nor_joblib_nor_torch(path: Path) -> None:
    script = (
        "import sys\n"
        "from featx.models.model import load_model\n"
        f"load_model({str(path)!r})\n"
        "heavy = {'sklearn', 'joblib', 'torch', 'h5py', 'PIL'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
