from __future__ import annotations

import json
from pathlib import Path

import pytest

from featx.keys import BaseId, InputTransform
from featx.store.base_json import BASE_FILE, StoredBase, read_base, write_base
from tests.store.samples import BASE

STORED = StoredBase(BASE, "random", ({"name": "layer3", "stride": 8},), True)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_base(tmp_path, STORED)
    assert read_base(tmp_path / BASE.folder / BASE_FILE) == STORED


def test_an_intact_file_is_not_written_again(tmp_path: Path) -> None:
    write_base(tmp_path, STORED)
    before = (tmp_path / BASE.folder / BASE_FILE).stat().st_ino
    write_base(tmp_path, STORED)
    assert (tmp_path / BASE.folder / BASE_FILE).stat().st_ino == before


@pytest.mark.parametrize("content", ["{}", "[]", '{"id": 3}', "[" * 100_000, '{"id": {"transform": {"resize": 1}}}'])
def test_a_file_that_says_something_else_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / BASE_FILE
    file.write_text(content)
    with pytest.raises(ValueError, match="a field is missing or of the wrong type|nested too deeply"):
        read_base(file)


def test_the_description_of_another_base_is_refused(tmp_path: Path) -> None:
    write_base(tmp_path, STORED)
    text = (tmp_path / BASE.folder / BASE_FILE).read_text()
    other = BaseId("tiny", "cd" * 32, InputTransform(32, 32))
    file = tmp_path / other.folder / BASE_FILE
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(ValueError, match="another base than its folder is named for"):
        read_base(file)


def test_a_flipped_bit_in_a_name_is_noticed(tmp_path: Path) -> None:
    write_base(tmp_path, STORED)
    file = tmp_path / BASE.folder / BASE_FILE
    file.write_text(file.read_text().replace("layer3", "layer1"))
    with pytest.raises(ValueError, match="it fails its checksum"):
        read_base(file)
    write_base(tmp_path, STORED)
    assert read_base(file) == STORED


def test_a_damaged_name_of_the_checksum_does_not_pass_for_its_absence(tmp_path: Path) -> None:
    write_base(tmp_path, STORED)
    file = tmp_path / BASE.folder / BASE_FILE
    file.write_text(file.read_text().replace("checksum", "checksun").replace("layer3", "layer1"))
    with pytest.raises(ValueError, match="it fails its checksum"):
        read_base(file)


def test_one_of_an_earlier_version_is_read_without_checksum(tmp_path: Path) -> None:
    write_base(tmp_path, STORED)
    file = tmp_path / BASE.folder / BASE_FILE
    fields = json.loads(file.read_text())
    del fields["checksum"], fields["weights_file"]
    file.write_text(json.dumps(fields))
    assert read_base(file) == STORED
