from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from featx.errors import ModelError
from featx.images.transform import FILTERS
from featx.keys import BaseId, InputTransform
from featx.models.array_classifier import CALIBRATIONS
from featx.models.schema import (
    MODEL_FORMAT,
    MODEL_VERSION,
    ModelFacts,
    TransformFacts,
    check_arrays,
    check_facts,
    check_neighbours,
)

FACTS: dict[str, Any] = json.loads(
    json.dumps(
        {
            "format": MODEL_FORMAT,
            "version": MODEL_VERSION,
            "base": asdict(BaseId("tiny", "0" * 64, InputTransform(32, 32))),
            "layers": [{"layer": "layer3", "pooling": "avg", "dtype": "float32"}],
            "source": "random",
            "weights": "random",
            "classes": ["a", "b", "c"],
            "clf": "svm",
            "sharpness": 1.5,
            "params": {},
            "protocol": {},
            "scores": {},
        }
    )
)
HEADER = {"mean": ("F64", (7,)), "scale": ("F64", (7,)), "weights": ("F64", (3, 7)), "intercept": ("F64", (3,))}


def with_base(**change: Any) -> dict[str, Any]:
    return {"base": {**FACTS["base"], **change}}


def with_transform(**change: Any) -> dict[str, Any]:
    return with_base(transform={**FACTS["base"]["transform"], **change})


def with_layer(**change: Any) -> dict[str, Any]:
    return {"layers": [{**FACTS["layers"][0], **change}]}


def test_sound_facts_are_read_whatever_a_later_version_adds() -> None:
    facts = check_facts({**FACTS, "more": 1, "views": 3})
    assert (facts.kind, facts.inverse_temperature, facts.views) == ("svm", 1.5, 3)
    assert check_facts(FACTS).views == 1


@pytest.mark.parametrize(
    "name", ["tiny", "regnet_x_1_6gf", "timm:vit_tiny.x", "my net (2).py@0123456789ab", "é.py@" + "0" * 12]
)
def test_names_of_architectures_are_read(name: str) -> None:
    assert check_facts({**FACTS, **with_base(architecture=name)}).base.architecture == name


def test_a_class_of_a_folder_that_is_not_utf8_is_read() -> None:
    assert check_facts({**FACTS, "classes": ["a", "b", "gr\udcfcn"]}).classes[2] == "gr\udcfcn"


def test_accuracies_that_nothing_could_be_said_of_are_read() -> None:
    assert check_facts({**FACTS, "scores": {"cv_accuracy": float("nan"), "top5_accuracy": None}}).scores


def test_whole_numbers_of_a_transform_stay_whole() -> None:
    mean = check_facts({**FACTS, **with_transform(mean=[0, 0.5, 1])}).base.transform.mean
    assert json.dumps(mean) == "[0, 0.5, 1]"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "not a featx model"),
        ({"version": 3}, "its version is 3, this featx reads 2: use the featx that wrote it"),
        ({"classes": ["a"]}, "'classes': Expected `array` of length >= 2"),
        ({"classes": ["a", "a", "b"]}, "not all different names"),
        ({"classes": 3}, "'classes': Expected `array`, got `int`"),
        ({"classes": ["a", 3]}, r"'classes\[1\]': Expected `str`, got `int`"),
        ({"clf": "../../bin/sh"}, "'clf': Invalid enum value"),
        ({"sharpness": -1.0}, "'sharpness': Expected `float` > 0"),
        ({"sharpness": float("nan")}, "'sharpness': Expected `float` > 0"),
        ({"sharpness": float("inf")}, "sharpness is not finite"),
        ({"sharpness": "1"}, "'sharpness': Expected `float`, got `str`"),
        ({"views": 0}, "'views': Expected `int` >= 1"),
        ({"views": True}, "'views': Expected `int`, got `bool`"),
        ({"params": []}, "'params': Expected `object`, got `array`"),
        (with_layer(layer="../../etc"), r"'layers\[0\].layer' is not a plain name"),
        (with_layer(pooling="a/b"), r"'layers\[0\].pooling' is not a plain name"),
        (with_layer(dtype="object"), r"'layers\[0\].dtype': Invalid enum value 'object'"),
        ({"layers": []}, "'layers': Expected `array` of length >= 1"),
        ({"layers": FACTS["layers"] * 101}, "'layers': Expected `array` of length <= 100"),
        ({"weights": "a\nb"}, "not a line of text"),
        ({"source": "a\x1b[2J"}, "not a line of text"),
        ({"source": "a" * 5000}, "'source': Expected `str` of length <= 4096"),
        ({"base": {}}, "'base': Object missing required field `architecture`"),
        (with_base(more=1), "'base': Object contains unknown field `more`"),
        (with_base(architecture="../tiny"), "'base.architecture' is not a name of an architecture"),
        (with_base(architecture="a..b"), "'base.architecture' is not a name of an architecture"),
        (with_base(weights="x"), "'base.weights' is not 64 hex digits"),
        (with_base(weights="0" * 64 + "\n"), "'base.weights' is not 64 hex digits"),
        (with_base(precision="int8"), "'base.precision': Invalid enum value 'int8'"),
        (with_base(recipe="1"), "'base.recipe': Expected `int`, got `str`"),
        (with_transform(resize=10**9, crop=10**9), "'base.transform.resize': Expected `int` <= 8192"),
        (with_transform(crop=33), "'base.transform': crops 33 of 32 pixels"),
        (with_transform(interpolation="hamming"), "'base.transform.interpolation': Invalid enum value"),
        (with_transform(std=[1, 1, 0]), r"'base.transform': its std \[1, 1, 0\] is not positive"),
        (with_transform(mean=[0, 0, float("nan")]), "'base.transform': its mean or std is not finite"),
        (with_transform(mean=[0, 0]), "'base.transform.mean': Expected `array` of length 3"),
        (with_transform(mean=[10**400, 0, 0]), "'base.transform': its mean or std is not finite"),
        (with_transform(std=[1e39, 1, 1]), "'base.transform': its mean or std is not finite"),
        (with_transform(std=[1e-320, 1, 1]), "'base.transform': its std .* is not positive"),
        (with_transform(value_range=[0, 10**400]), "'base.transform': its value range is not one"),
        (with_transform(value_range=[1, 0]), "'base.transform': its value range is not one"),
        (with_transform(resize=8192, crop=2897), "its 1 views of an image are 8392609 pixels, more than 8388608"),
        ({"views": 1000, **with_transform(resize=2048, crop=2048)}, "its 1000 views of an image are 4194304000 pixels"),
        (with_base(recipe=10**400), "'base.recipe': Expected `int` <= 1000000"),
        *[
            (with_base(architecture=name), "'base.architecture' is not a name of an architecture")
            for name in (
                "evil.py",
                "evil.PY",
                "timm:evil.py",
                "evil.py@",
                "evil.py@0123",
                "/evil.py@0123456789ab",
                "a:b",
            )
        ],
        ({"sharpness": 1e39}, "sharpness is not finite"),
        ({"sharpness": 1e-320}, "sharpness is not finite"),
        ({"classes": ["a", "b", "\ud800"]}, "the name of a class is not text"),
        ({"classes": ["a", "b", "c" * 5000]}, r"'classes\[2\]': Expected `str` of length <= 4096"),
        ({"params": {"C": [1]}}, r"'params\[...\]': Expected `int \| float`, got `array`"),
        ({"protocol": {"a": [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}}, "its facts are nested more than 16 deep"),
        ({"scores": {"n_train": "many"}}, "'n_train': Expected `int`, got `str`"),
        ({"scores": {"test_accuracy": 10**400}}, "an accuracy is not from 0 to 1"),
        ({"scores": {"clf": "\x1b[2J"}}, "its clf is not a line of text"),
    ],
)
def test_facts_that_cannot_be_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_facts({**FACTS, **change})


@pytest.mark.parametrize("facts", [None, [], "text", {}, {"format": MODEL_FORMAT}])
def test_what_is_not_the_facts_of_a_model_is_refused(facts: Any) -> None:
    with pytest.raises(ModelError, match="not a featx model|its version is None"):
        check_facts(facts)


@pytest.mark.parametrize("name", ["base", "layers", "source", "weights", "classes", "clf", "sharpness", "scores"])
def test_a_missing_fact_is_named(name: str) -> None:
    with pytest.raises(ModelError, match=f"missing required field `{name}`"):
        check_facts({key: value for key, value in FACTS.items() if key != name})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["a", "b"]}, r"'weights' is F64 \[3, 7\], expected F64 \[1, 7\]"),
        ({"classes": ["a", "b", "c", "d"]}, r"'weights' is F64 \[3, 7\], expected F64 \[4, 7\]"),
        ({"clf": "mlp"}, "lacks the array 'hidden_intercept'"),
    ],
)
def test_arrays_that_contradict_the_facts_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_arrays(check_facts({**FACTS, **change}), HEADER)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({**HEADER, "more": ("F64", (7,))}, "its arrays are intercept, mean, more, scale, weights; expected are"),
        ({**HEADER, "mean": ("F64", ())}, r"'mean' has the shape \[\]"),
        ({**HEADER, "mean": ("F64", (0,))}, r"'mean' has the shape \[0\]"),
        ({**HEADER, "base.conv.weight": ("F16", (1,))}, r"'base.conv.weight' is F16 \[1\], expected F32 \[1\]"),
    ],
)
def test_a_header_of_foreign_arrays_is_refused(header: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_arrays(check_facts(FACTS), header)


def test_tensors_of_a_base_may_have_any_shape() -> None:
    check_arrays(check_facts(FACTS), {**HEADER, "base.conv.weight": ("F32", (8, 3, 3, 3))})


def test_a_file_may_name_whatever_this_featx_computes() -> None:
    assert set(get_args(get_type_hints(TransformFacts)["interpolation"])) == set(FILTERS)
    assert set(get_args(get_type_hints(ModelFacts)["kind"])) == set(CALIBRATIONS)


KNN_HEADER = {
    "mean": ("F64", (7,)),
    "scale": ("F64", (7,)),
    "neighbours": ("F32", (20, 7)),
    "labels": ("I64", (10,)),
    "k": ("I64", (1,)),
}


def test_arrays_of_neighbours_are_checked_by_their_shapes() -> None:
    facts = check_facts({**FACTS, "clf": "knn"})
    check_arrays(facts, KNN_HEADER)
    for name, entry in (
        ("neighbours", ("F64", (20, 7))),
        ("neighbours", ("F32", (20, 8))),
        ("neighbours", ("F32", ())),
        ("labels", ("I32", (10,))),
        ("labels", ("I64", (0,))),
        ("k", ("I64", (2,))),
    ):
        with pytest.raises(ModelError, match=f"'{name}'"):
            check_arrays(facts, {**KNN_HEADER, name: entry})
    with pytest.raises(ModelError, match="its arrays are k, labels, mean, scale; expected are"):
        check_arrays(facts, {name: entry for name, entry in KNN_HEADER.items() if name != "neighbours"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"neighbours": np.zeros((19, 7))}, "'neighbours' has 19 rows, which are not views of 10 pictures"),
        ({"neighbours": np.zeros((0, 7))}, "'neighbours' has 0 rows"),
        ({"labels": np.array([0, 1] * 5)}, "'labels' are not places of 3 classes, each of which has a picture"),
        ({"labels": np.array([0, 1, 3, 0, 1, 2, 0, 1, 2, 0])}, "'labels' are not places of 3 classes"),
        ({"labels": np.array([0, 1, -1, 0, 1, 2, 0, 1, 2, 0])}, "'labels' are not places of 3 classes"),
        ({"k": np.array([0])}, "'k' is 0, not a number of neighbours from 1 to 10"),
        ({"k": np.array([11])}, "'k' is 11, not a number of neighbours from 1 to 10"),
    ],
)
def test_neighbours_that_cannot_vote_are_refused(change: dict[str, Any], message: str) -> None:
    arrays = {"neighbours": np.zeros((20, 7)), "labels": np.arange(10) % 3, "k": np.array([3])}
    check_neighbours(arrays, 3)
    with pytest.raises(ModelError, match=message):
        check_neighbours({**arrays, **change}, 3)


def test_more_than_a_thousand_neighbours_are_not_asked() -> None:
    arrays = {"neighbours": np.zeros((3000, 1)), "labels": np.arange(3000) % 3, "k": np.array([1001])}
    with pytest.raises(ModelError, match="from 1 to 1000"):
        check_neighbours(arrays, 3)
