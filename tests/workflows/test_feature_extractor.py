"""The transformer: rows belong to what was given, each image is computed once, scikit-learn's tools take it."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import featx
from featx.errors import DataError, RequestError, UnknownName
from featx.store.store import FeatureStore
from featx.workflows.feature_extractor import FeatureExtractor
from tests.data.sources.buckets.test_buckets import put


@pytest.fixture
def paths(photos: Path) -> list[str]:
    return sorted(str(path) for path in photos.rglob("*.png"))


@pytest.fixture
def extractor(cache: Path) -> FeatureExtractor:
    return FeatureExtractor("tiny", "layer3", cache=cache)


def rows_in(cache: Path) -> int:
    return sum(summary.images for summary in FeatureStore(cache).keys())


def test_rows_are_those_of_extract_and_stand_in_the_order_given(
    extractor: FeatureExtractor, photos: Path, paths: list[str], cache: Path
) -> None:
    featx.extract(str(photos), base="tiny", layers="layer3", cache=cache)
    data = featx.load_features(str(photos), base="tiny", layer="layer3", cache=cache)
    of_path = dict(zip(data.paths, data.X, strict=True))
    given = [*reversed(paths), paths[0]]
    X = extractor.fit_transform(given)
    assert np.array_equal(X, np.stack([of_path[path] for path in given]))
    assert rows_in(cache) == len(paths)


def test_rows_may_be_objects_of_buckets_beside_files_and_pictures(
    extractor: FeatureExtractor, paths: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("obstore", reason="obstore is not installed: no object store can be reached")
    monkeypatch.setenv("FEATX_LOCAL_CACHE", str(tmp_path / "copies"))
    bucket = put(f"memory://{uuid.uuid4().hex}", {"some/1.png": Path(paths[1]).read_bytes()})
    X = extractor.fit_transform([f"{bucket}/some/1.png", paths[0], Image.open(paths[2]), f"{bucket}/some/1.png"])
    assert np.array_equal(X, extractor.transform([paths[1], paths[0], paths[2], paths[1]]))
    with pytest.raises(DataError, match=r"1 of 2 images cannot be read: '.*gone.png' \(there is no such object in the"):
        extractor.transform([paths[0], f"{bucket}/gone.png"])


def test_pictures_in_memory_give_the_features_of_their_files(extractor: FeatureExtractor, paths: list[str]) -> None:
    pictures = [Image.open(path) for path in paths[:3]]
    arrays = np.stack([np.asarray(picture) for picture in pictures])
    of_files = extractor.fit(None).transform(paths[:3])
    assert np.array_equal(extractor.transform(pictures), of_files)
    assert np.array_equal(extractor.transform(arrays), of_files)


def test_equal_pixels_are_computed_once(extractor: FeatureExtractor, paths: list[str], cache: Path) -> None:
    pixels = np.asarray(Image.open(paths[0]))
    X = extractor.fit_transform([pixels, pixels.copy(), Image.fromarray(pixels)])
    assert rows_in(cache) == 1
    assert (X[0] == X).all()


def test_a_grid_search_over_c_extracts_each_image_once(
    extractor: FeatureExtractor, paths: list[str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = [Path(path).parent.name for path in paths]
    computed: list[int] = []
    run = featx.workflows.feature_extractor.run_with_base

    def count(*args: Any, **kwargs: Any) -> Any:
        summary = run(*args, **kwargs)
        computed.append(summary.extracted)
        return summary

    monkeypatch.setattr("featx.workflows.feature_extractor.run_with_base", count)
    pipeline = make_pipeline(extractor, featx.linear.LogisticRegression())
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0, 10.0]}, cv=3).fit(paths, labels)
    assert search.best_score_ > 0.9
    assert sum(computed) == len(paths)
    assert len(computed) > 9
    assert rows_in(cache) == len(paths)


def test_it_is_cloned_with_all_its_options(cache: Path) -> None:
    extractor = FeatureExtractor("tiny", "layer2+layer4", "avg+max", store_dtype="float16", cache=cache, workers=1)
    assert clone(extractor).get_params() == extractor.get_params()


def test_layers_are_concatenated_and_columns_named(paths: list[str], cache: Path) -> None:
    extractor = FeatureExtractor("tiny", "layer2+layer4", cache=cache)
    X = extractor.fit_transform(paths[:2])
    names = extractor.get_feature_names_out()
    assert X.shape == (2, extractor.n_features_out_) == (2, len(names))
    assert (names[0], names[-1]) == ("layer2_0", "layer4_255")
    frame_like = extractor.set_output(transform="default").transform(paths[:2])
    assert np.array_equal(frame_like, X)


def test_rows_as_stored_are_not_scaled(paths: list[str], cache: Path) -> None:
    scaled = FeatureExtractor("tiny", "layer3", cache=cache).fit_transform(paths[:4])
    stored = FeatureExtractor("tiny", "layer3", scaled=False, cache=cache).fit_transform(paths[:4])
    lengths = np.linalg.norm(stored, axis=1, keepdims=True)
    assert np.allclose(stored / lengths, scaled, atol=1e-6)
    assert not np.allclose(lengths, 1)


def test_the_layer_is_the_default_one_unless_it_is_named(paths: list[str], cache: Path) -> None:
    extractor = FeatureExtractor("tiny", cache=cache).fit()
    assert [key.layer for key in extractor.keys_] == ["layer4"]


def test_what_cannot_become_a_row_is_an_error(
    extractor: FeatureExtractor, photos: Path, paths: list[str], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    extractor.fit()
    with pytest.raises(DataError, match="1 of 2 images cannot be read: '.*broken.png'"):
        extractor.transform([paths[0], str(broken)])
    with pytest.raises(DataError, match="photos' is a folder, and each image is given by itself"):
        extractor.transform([str(photos)])
    with pytest.raises(DataError, match=r"image 0 is an array of shape \(4, 4, 3\) and dtype float64"):
        extractor.transform([np.zeros((4, 4, 3))])
    with pytest.raises(DataError, match="there are no images in an empty list"):
        extractor.transform([])


def test_wrong_options_are_known_before_any_image_is_read(cache: Path) -> None:
    with pytest.raises(UnknownName, match="unknown layer of tiny 'layr3'. Did you mean 'layer3'"):
        FeatureExtractor("tiny", "layr3", cache=cache).fit()
    with pytest.raises(UnknownName, match="unknown base 'tinny'"):
        FeatureExtractor("tinny", cache=cache).fit()
    with pytest.raises(RequestError, match="batch_size"):
        FeatureExtractor("tiny", batch_size=0, cache=cache).fit()


def test_a_file_with_the_name_of_a_picture_is_not_taken_for_it(
    paths: list[str], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("image 1").write_bytes(Path(paths[5]).read_bytes())
    extractor = FeatureExtractor("tiny", "layer3", cache=cache).fit()
    rows = {path: extractor.transform([path])[0] for path in paths[:6]}
    for path in paths[1:4]:
        X = extractor.transform([paths[0], Image.open(path)])
        assert np.array_equal(X[1], rows[path])
    X = extractor.transform(["image 1", Image.open(paths[2])])
    assert np.array_equal(X, [rows[paths[5]], rows[paths[2]]])


def test_one_image_is_not_taken_for_a_list_of_them(extractor: FeatureExtractor, paths: list[str]) -> None:
    extractor.fit()
    picture = Image.open(paths[0])
    for X in (paths[0], Path(paths[0]), picture, np.asarray(picture), np.asarray(picture.convert("L"))):
        with pytest.raises(DataError, match="X is .*: give a list of images, or an array of"):
            extractor.transform(X)
