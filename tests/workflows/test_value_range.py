"""One data set in 8, 12 and 16 bits and as floating-point numbers, from files to accuracy."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import featx
from featx.data.digest_cache import digest_all, locate_file
from featx.data.sources import list_images
from featx.errors import MissingFeatures, RequestError
from tests.images.files import png_of_16_bits, scaled, tiff_of

IMAGES = 12

Write = Callable[[Any], bytes]

STATED: dict[str, tuple[str, Write]] = {
    "16 bits": ("png", lambda grey: png_of_16_bits(scaled(grey, 65535))),
    "12 bits, stated": ("png", lambda grey: png_of_16_bits(scaled(grey, 4095), 12)),
    "float, 0 to 1": ("tif", lambda grey: tiff_of((grey / 255).astype(np.float32))),
}
NOT_STATED: dict[str, tuple[str, Write, str]] = {
    "12 bits": ("png", lambda grey: png_of_16_bits(scaled(grey, 4095)), "0:4095"),
    "10 bits, TIFF": ("tif", lambda grey: tiff_of(scaled(grey, 1023)), "0:1023"),
    "12 bits, colour": ("png", lambda grey: png_of_16_bits(np.dstack([scaled(grey, 4095)] * 3)), "0:4095"),
    "float, 0 to 255": ("tif", lambda grey: tiff_of(grey.astype(np.float32)), "0:255"),
}


def make_grey(kind: int, number: int) -> Any:
    """Dark or bright noise with the full range in it."""
    grey = np.random.default_rng([kind, number]).integers(0, 120, (40, 48)) + 90 * kind
    grey[0, :2] = 0, 255
    return grey.astype(np.uint8)


def write_set(folder: Path, suffix: str, write: Write) -> Path:
    for kind, name in enumerate(("dark", "bright")):
        (folder / name).mkdir(parents=True)
        for number in range(IMAGES):
            (folder / name / f"{number}.{suffix}").write_bytes(write(make_grey(kind, number)))
    return folder


def write_8_bits(grey: Any) -> bytes:
    from tests.images.files import encoded

    return encoded(Image.fromarray(grey))


def features_and_accuracy(data: Path, cache: Path, **options: Any) -> tuple[Any, float]:
    choice: dict[str, Any] = {"base": "tiny", "cache": cache, **options}
    featx.extract(data, layers="layer4", **choice)
    features = featx.load_features(data, layer="layer4", **choice).X
    table = featx.compare(data, layers="layer4", clf="logreg", **choice)
    return features, table.best.test_accuracy


@pytest.fixture
def expected(tmp_path: Path) -> tuple[Any, float]:
    return features_and_accuracy(write_set(tmp_path / "plain", "png", write_8_bits), tmp_path / "cache")


@pytest.mark.parametrize("name", STATED)
def test_what_states_its_range_gives_the_features_of_8_bits(
    name: str, tmp_path: Path, expected: Any, caplog: Any
) -> None:
    suffix, write = STATED[name]
    features, accuracy = features_and_accuracy(write_set(tmp_path / "deep", suffix, write), tmp_path / "cache")
    np.testing.assert_allclose(features, expected[0], atol=1e-5)
    assert abs(accuracy - expected[1]) <= 0.01
    assert "--value-range" not in caplog.text


@pytest.mark.parametrize("name", NOT_STATED)
def test_what_does_not_is_warned_of_once_and_with_the_flag_gives_them_too(
    name: str, tmp_path: Path, expected: Any, caplog: pytest.LogCaptureFixture
) -> None:
    suffix, write, flag = NOT_STATED[name]
    data = write_set(tmp_path / "deep", suffix, write)
    featx.extract(data, base="tiny", layers="layer4", cache=tmp_path / "cache")
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    (warning,) = warnings
    assert warning.startswith(f"{2 * IMAGES} pictures of ")
    assert warning.endswith(f"give --value-range {flag}")
    caplog.clear()
    features, accuracy = features_and_accuracy(data, tmp_path / "cache", value_range=flag)
    np.testing.assert_allclose(features, expected[0], atol=1e-5)
    assert abs(accuracy - expected[1]) <= 0.01
    assert "--value-range" not in caplog.text


def test_floating_point_colour_needs_the_flag_and_gives_them_too(tmp_path: Path, expected: Any) -> None:
    pytest.importorskip("tifffile")
    data = write_set(tmp_path / "deep", "tif", lambda grey: tiff_of(np.dstack([grey] * 3).astype(np.float32)))
    choice: dict[str, Any] = {"base": "tiny", "cache": tmp_path / "cache"}
    summary = featx.extract(data, layers="layer4", **choice)
    assert len(summary.failed) == 2 * IMAGES
    assert "give --value-range" in summary.failed[0].reason
    with pytest.raises(MissingFeatures, match="holds no features of tiny"):
        featx.load_features(data, layer="layer4", **choice, value_range="0:255")
    features, accuracy = features_and_accuracy(data, tmp_path / "cache", value_range="0:255")
    np.testing.assert_allclose(features, expected[0], atol=1e-5)
    assert abs(accuracy - expected[1]) <= 0.01


def test_a_new_picture_that_only_the_value_range_can_read_is_said_to_lack_features(tmp_path: Path) -> None:
    pytest.importorskip("tifffile")
    data = write_set(tmp_path / "deep", "tif", lambda grey: tiff_of(np.dstack([grey] * 3).astype(np.float32)))
    choice: dict[str, Any] = {"base": "tiny", "cache": tmp_path / "cache", "value_range": "0:255"}
    featx.extract(data, layers="layer4", **choice)
    new = tiff_of(np.dstack([make_grey(0, 99)] * 3).astype(np.float32))
    (data / "dark" / "new.tif").write_bytes(new)
    with pytest.raises(MissingFeatures, match="1 of 25 images has no features yet"):
        featx.load_features(data, layer="layer4", **choice)


def test_a_model_remembers_its_value_range(tmp_path: Path) -> None:
    suffix, write, _ = NOT_STATED["12 bits"]
    data = write_set(tmp_path / "deep", suffix, write)
    choice: dict[str, Any] = {"base": "tiny", "cache": tmp_path / "cache", "value_range": (0, 4095)}
    featx.extract(data, layers="layer4", **choice)
    model = tmp_path / "m.featx"
    featx.fit(data, layer="layer4", clf="logreg", **choice).model.save(model)
    labels = [image.label for image in featx.predict(model, data / "dark").labelled]
    assert labels == ["dark"] * IMAGES


def test_a_value_range_is_checked_wherever_it_is_given(tmp_path: Path, featx: Any) -> None:
    from featx import BaseChoice

    for wrong in ("1023", "5:5", "a:b", "nan:1", (3, 1)):
        with pytest.raises(RequestError, match="invalid value range"):
            BaseChoice("tiny", value_range=wrong)  # type: ignore[arg-type]
    assert BaseChoice("tiny", value_range=(0, 4095)) == BaseChoice("tiny", value_range="0:4095.0")
    assert BaseChoice("tiny", value_range="-1024:3071").flags()[-2:] == ["--value-range", "-1024:3071"]
    result = featx("extract", "photos", "--base", "tiny", "--layer", "layer4", "--value-range", "1023")
    assert result.exit_code == 2
    assert "LOW:HIGH" in result.output


def test_digests_that_an_earlier_version_remembered_are_not_taken(tmp_path: Path) -> None:
    data = write_set(tmp_path / "set", "tif", lambda grey: tiff_of(grey.astype(np.float32)))
    Image.fromarray(make_grey(0, 0)).save(data / "dark" / "a.jpg")
    listing = list_images(str(data))
    cache = tmp_path / "cache"
    current = digest_all(cache, listing).digests
    file = locate_file(cache, listing)
    of_bytes = [hashlib.sha256(Path(path).read_bytes()).digest() for path in listing.paths]
    file.parent.mkdir(parents=True)
    for name in (file, file.with_suffix(".npz")):
        with name.open("wb") as raw:
            np.savez(raw, digests=np.frombuffer(b"".join(of_bytes), np.uint8).reshape(-1, 32))
    assert np.array_equal(digest_all(cache, listing).digests, current)
