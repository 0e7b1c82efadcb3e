from __future__ import annotations

import json
from typing import Any

import pytest

from featx.keys import FeatureKey
from featx.store.schema import (
    MOST_ROWS,
    BaseFileFields,
    check_fields,
    check_part_size,
    load_json,
    read_key,
    read_provenance,
)
from tests.store.samples import BASE, KEY


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        FeatureKey(BASE, "features.17", "avg+max", "float16", 3),
        FeatureKey(BASE, "net \udcff/é", "pyramid"),
    ],
)
def test_every_key_that_is_written_is_read(key: FeatureKey) -> None:
    assert read_key(key.to_json()) == key
    assert "/" not in key.folder.split("/", 1)[0]


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[" * 10_000, KEY.to_json() + " ", KEY.to_json()[:-1]])
def test_what_is_not_a_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a field is missing|nested too deeply|not written as|Expecting|line 1"):
        read_key(text)


def test_a_message_is_short_and_printable_whatever_the_text_is() -> None:
    fields = json.loads(KEY.to_json())
    fields["dtype"] = "\x1b[2J\n" * 1000
    with pytest.raises(ValueError, match="a field is missing") as caught:
        read_key(json.dumps(fields))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("provenance", [{}, {"host": "a"}, {"host": ["a", "b"], "seconds": 1, "created": 2.5}])
def test_plain_values_and_lists_of_them_are_provenance(provenance: dict[str, Any]) -> None:
    assert read_provenance(json.dumps(provenance) + "   ") == provenance


@pytest.mark.parametrize("text", ['{"a": {}}', '{"a": [[]]}', "[]", '{"seconds": "x"}', '{"created": NaN}'])
def test_other_provenance_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a field is missing or of the wrong type"):
        read_provenance(text)


@pytest.mark.parametrize(
    ("shape", "block_rows", "match"),
    [
        ((MOST_ROWS + 1, 1), 16384, "rows are more than"),
        ((2, 2**27), 1, "537 MB of one image are more than"),
        ((100, 2**25), 1, "13 GB of features are more than"),
        ((1000, 10**6), 1000, "blocks of 1000 rows are larger"),
    ],
)
def test_sizes_that_no_part_has_are_refused(shape: tuple[int, ...], block_rows: int, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        check_part_size(shape, block_rows, 4)


@pytest.mark.parametrize(
    ("shape", "block_rows"), [((MOST_ROWS, 1), 16384), ((1, 64, 1024, 1024), 1), ((2, 3), 5461), ((1024, 2048), 8)]
)
def test_sizes_that_parts_have_are_none_of_them(shape: tuple[int, ...], block_rows: int) -> None:
    check_part_size(shape, block_rows, 4)


def test_a_base_json_of_two_layers_with_one_name_is_refused() -> None:
    fields = {
        "id": json.loads(KEY.to_json())["base"],
        "source": "random",
        "layers": [{"name": "a", "alias": "layer1"}, {"name": "layer1", "alias": ""}],
        "is_default_transform": True,
    }
    with pytest.raises(ValueError, match="two of its layers share a name"):
        check_fields(fields, BaseFileFields)


def test_json_that_is_nested_deeply_is_no_other_error() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        load_json(b"[" * 100_000)
