from __future__ import annotations

import inspect

import pytest

import featx.errors as errors


@pytest.mark.parametrize(
    "error",
    [e for _, e in inspect.getmembers(errors, inspect.isclass) if issubclass(e, errors.FeatxError)],
)
def test_every_error_is_also_a_built_in(error: type[Exception]) -> None:
    built_in = {base for base in error.__mro__ if base.__module__ == "builtins"} - {BaseException, Exception, object}
    assert built_in or error is errors.FeatxError


def test_an_unknown_name_comes_with_the_nearest_and_the_list() -> None:
    message = str(errors.unknown("layer", "layr3", ["layer2", "layer3"]))
    assert message == "unknown layer 'layr3'. Did you mean 'layer3'? There are: layer2, layer3."


def test_a_long_list_is_cut_and_counted() -> None:
    assert errors.shorten(map(str, range(5)), 2) == "0, 1 and 3 more"


def test_a_suggestion_is_a_sentence_or_nothing() -> None:
    assert errors.did_you_mean("resnet5", ["resnet50", "vgg11"]) == " Did you mean 'resnet50'?"
    assert errors.did_you_mean("quince", ["resnet50", "vgg11"]) == ""
    layers = [f"features.{number}" for number in range(19)]
    assert errors.did_you_mean("features.19", layers) == " Did you mean 'features.18'?"
    assert errors.did_you_mean("resnet5", ["resnet18", "resnet50"]) == " Did you mean 'resnet50'?"


def test_an_error_without_a_message_is_told_by_its_type() -> None:
    assert errors.first_line(ValueError("what happened\nand a page of advice")) == "what happened"
    assert errors.first_line(EOFError()) == "EOFError"
