"""One store for the whole corpus, a model, and an empty folder in which commands are typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpus.making import fill
from tests.corpus.typing_in import LAYER, type_here


@pytest.fixture(scope="session")
def corpus_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which a picture that several cases hold is computed once."""
    return tmp_path_factory.mktemp("store") / "cache"


@pytest.fixture(scope="session")
def corpus_model(tmp_path_factory: pytest.TempPathFactory, corpus_store: Path) -> Path:
    """A sound model for data sets that make none."""
    folder = tmp_path_factory.mktemp("model")
    model = folder / "m.featx"
    fill(folder / "photos", {"ants": 8, "bees": 8})
    type_here("extract", folder / "photos", *LAYER, "--cache", corpus_store)
    type_here("fit", folder / "photos", *LAYER, "--clf", "logreg", "--cache", corpus_store, "--out", model)
    return model


@pytest.fixture
def here(tmp_path: Path, corpus_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which commands are typed; it is the home folder, too."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.setenv("FEATX_CACHE", str(corpus_store))
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    return folder
