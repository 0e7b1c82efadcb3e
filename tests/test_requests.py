"""The requests: what they allow, and the commands that they write."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from featx.base_choice import BaseChoice
from featx.cli.extract import command as extract_command
from featx.errors import FeatxError, RequestError, UnknownName
from featx.requests import (
    AugmentPreset,
    CompareRequest,
    EngineName,
    ExtractRequest,
    FinetuneRequest,
    HeadKind,
    default_cache,
)
from featx.storage.paths import ObjectPath

CHOICE = BaseChoice("tiny", "w/my weights.pth", 40, 32, "bfloat16")


def options_of(text: str) -> dict[str, Any]:
    """What the command line makes of a command: DATA and options, by parameter."""
    words = shlex.split(text)
    assert words[:2] == ["featx", "extract"]
    return extract_command.make_context("extract", words[2:]).params


def test_the_command_repeats_every_choice_that_a_feature_depends_on() -> None:
    request = ExtractRequest(
        "my photos", CHOICE, ["a", "b"], ["max", "flat"], cache=Path("c d"), store_dtype="float16", views=3
    )
    options = options_of(request.command())
    choice = BaseChoice(options["base"], *(options[name] for name in ("weights", "resize", "crop", "precision")))
    assert choice == CHOICE
    repeated = ExtractRequest(
        options["data"],
        choice,
        options["layers"],
        options["poolings"],
        cache=options["cache"],
        store_dtype=options["store_dtype"],
        views=options["views"],
    )
    assert repeated == request


def test_the_command_leaves_out_what_is_the_default_and_what_another_machine_would_choose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FEATX_CACHE", raising=False)
    request = ExtractRequest("photos", BaseChoice("tiny"), ["layer3"], device="cpu", engine="eager", batch_size=4)
    assert request.command() == "featx extract photos --base tiny --layer layer3"
    monkeypatch.setenv("FEATX_CACHE", "elsewhere")
    assert default_cache() == Path("elsewhere")
    assert request.command().endswith("--cache cache")


def test_columns_that_were_chosen_go_with_the_request_and_its_command() -> None:
    columns = {"path_column": "where", "label_column": "the kind"}
    request = CompareRequest("t.csv", CHOICE, cache=Path("c"), **columns)
    extraction = request.extraction(["layer3"], [])
    options = options_of(extraction.command())
    assert {name: options[name] for name in columns} == columns
    tuning = FinetuneRequest("t.csv", BaseChoice("tiny"), "layer4", Path("m.featx"), **columns)
    assert tuning.extraction("layer3", "avg").label_column == "the kind"
    assert tuning.extraction("layer3", "avg").path_column == "where"


def test_a_tilde_is_the_home_folder_in_every_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert ExtractRequest("photos", CHOICE, ["a"], cache=Path("~/c")).cache == Path("/somewhere/c")
    monkeypatch.setenv("FEATX_CACHE", "~/d")
    assert default_cache() == Path("/somewhere/d")
    monkeypatch.setenv("FEATX_CACHE", "~nobody-of-this-name/d")
    assert default_cache() == Path("~nobody-of-this-name/d")


def test_what_a_comparison_needs_is_extracted_with_all_of_its_choices() -> None:
    request = CompareRequest("photos", CHOICE, store_dtype="float16", views=4, cache=Path("c"))
    extraction = request.extraction(["layer3"], ["max"])
    assert extraction == ExtractRequest(
        "photos", CHOICE, ["layer3"], ["max"], store_dtype="float16", views=4, cache=Path("c")
    )


def test_what_a_fine_tuning_needs_is_extracted_where_it_is_trained() -> None:
    request = FinetuneRequest(
        "photos", BaseChoice("tiny"), "layer4", Path("m.featx"), device="cpu", workers=2, rehash=True, cache=Path("c")
    )
    extraction = request.extraction("layer3", "flat")
    assert extraction == ExtractRequest(
        "photos",
        BaseChoice("tiny"),
        ["layer3"],
        ["flat"],
        device="cpu",
        workers=2,
        rehash=True,
        cache=Path("c"),
        views=6,
    )


def test_choices_are_those_that_the_package_knows() -> None:
    from featx.engines.engine import ENGINES
    from featx.finetuning.head import HEAD_KINDS
    from featx.images.augment import PRESETS

    assert get_args(EngineName) == ("auto", *ENGINES)
    assert set(get_args(HeadKind)) == set(HEAD_KINDS)
    assert get_args(AugmentPreset) == tuple(PRESETS)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"views": 0}, RequestError, "'views' must be an integer of at least 1, not 0"),
        ({"layers": "layer3"}, RequestError, "'layers' must be a list of strings"),
        ({"engine": "openvin"}, UnknownName, "unknown engine 'openvin'. Did you mean 'openvino'"),
        ({"store_dtype": "float61"}, UnknownName, "unknown store dtype 'float61'. Did you mean 'float16'"),
        ({"shard": (3, 2)}, RequestError, r"'shard' \(3, 2\) must be a share from 1 to the number of shares"),
        ({"shard": (0, 2)}, RequestError, r"'shard' \(0, 2\)"),
        ({"base": "tiny"}, RequestError, "'base' must be a BaseChoice, not 'tiny'"),
    ],
)
def test_an_extraction_that_is_not_possible_cannot_be_asked_for(
    change: dict[str, Any], error: type[FeatxError], message: str
) -> None:
    sound = ExtractRequest("photos", BaseChoice("tiny"), ["layer3"])
    with pytest.raises(error, match=message):
        replace(sound, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_views": 2}, "'test_views' is 2, but 'views' is 1"),
        ({"views": 0, "test_views": 0}, "'views' must be .* not 0; 'test_views' must be .* not 0"),
        ({"seed": -1}, "'seed' must be an integer of at least 0 and at most 4294967295, not -1"),
        ({"memory": 0}, "'memory' must be an integer of at least 1"),
        ({"beside": ["hog"]}, "'beside' must be a list of BaseChoices"),
    ],
)
def test_a_comparison_that_is_not_possible_cannot_be_asked_for(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        replace(CompareRequest("photos", BaseChoice("tiny")), **change)


def test_fine_tuning_checks_its_model_and_its_precision_at_once() -> None:
    with pytest.raises(RequestError, match="'m.pt' must end in .featx.*; precision bfloat16 is for extraction only"):
        FinetuneRequest("photos", BaseChoice("tiny", precision="bfloat16"), "layer4", Path("m.pt"))


@pytest.mark.parametrize("cache", ["ftp://host/x", Path("https://host/x"), "s3://"])
def test_a_url_never_becomes_a_local_folder(cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        RequestError, match=r"'cache': the cache '\w+:/.*' (is a URL of an unknown kind|names no bucket)"
    ):
        ExtractRequest("photos", CHOICE, ["a"], cache=cache)
    monkeypatch.setenv("FEATX_CACHE", str(cache))
    with pytest.raises(RequestError, match="is a URL of an unknown kind|names no bucket"):
        default_cache()
    with pytest.raises(RequestError, match=r"'exclude': 's3:/+bucket/list' is a URL, not a path of this machine"):
        ExtractRequest("photos", CHOICE, ["a"], exclude="s3://bucket/list", cache="c")


def test_a_cache_may_lie_in_a_bucket_and_the_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    request = ExtractRequest("photos", CHOICE, ["a"], cache="s3://bucket/features")
    assert isinstance(request.cache, ObjectPath)
    assert request.command().endswith("--cache s3://bucket/features")
    # Made again of itself, as requests are of one another.
    assert replace(request, layers=["b"]).cache == request.cache
    monkeypatch.setenv("FEATX_CACHE", "s3://bucket/features")
    assert default_cache() == request.cache
    assert "--cache" not in request.command()
