"""What is said of paths that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from featx.data.sources import list_images
from featx.errors import DataError
from featx.paths import explain_absence


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("photos/ants", "models", ".hidden"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_near_name_in_the_folder_is_suggested(here: Path) -> None:
    assert explain_absence("phots") == f"The folder '{here}' holds no 'phots'. Did you mean 'photos'?"
    assert explain_absence(str(here / "photos" / "ant")).endswith("photos' holds no 'ant'. Did you mean 'ants'?")


def test_the_first_name_on_the_way_that_is_missing_is_told(here: Path) -> None:
    assert explain_absence("phots/ants/1.png") == f"The folder '{here}' holds no 'phots'. Did you mean 'photos'?"


def test_where_no_name_is_near_what_is_there_is_listed(here: Path) -> None:
    assert explain_absence("q.zip") == f"The folder '{here}' holds no 'q.zip'. There are: models, photos."
    assert explain_absence("photos/ants/q.zip") == f"The folder '{here}/photos/ants' holds no 'q.zip'."


@pytest.mark.parametrize("path", ["", " ", "a\0b", "https://example.org/a.png", "x" * 5000])
def test_of_what_was_never_a_name_nothing_is_said(here: Path, path: str) -> None:
    assert explain_absence(path) == ""


def test_a_data_set_that_is_not_there_comes_with_a_near_name(here: Path) -> None:
    with pytest.raises(DataError, match=r"'phots' does not exist: DATA is .*'\. The folder .* Did you mean 'photos'\?"):
        list_images("phots")
    with pytest.raises(DataError, match=r"'digit' does not exist: .* Did you mean 'digits'\?"):
        list_images("digit")
