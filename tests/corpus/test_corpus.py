"""Data sets as people have them, through `extract`, `fit` and `predict` as users type them.

No case ends in a traceback, none with exit code 0 and a wrong reading, and nothing is said that is not foreseen.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import pytest
from click.testing import CliRunner

from featx.cli.main import explain, main
from featx.errors import FeatxError
from tests.corpus.case import Case
from tests.corpus.cases_folders import FOLDERS
from tests.corpus.cases_lists import LISTS
from tests.corpus.cases_names import NAMES
from tests.corpus.cases_ranges import RANGES
from tests.corpus.cases_tables import TABLES
from tests.corpus.making import fill

GROUPS = {"folders": FOLDERS, "tables": TABLES, "lists": LISTS, "names": NAMES, "ranges": RANGES}

CASES = [pytest.param(case, id=f"{group}: {case.name}") for group, cases in GROUPS.items() for case in cases]

LAYER = ("--base", "tiny", "--layer", "layer4")

NO_REMARK = re.compile(r"|.*image/s\]|\d+ images?: .* images/s|failed: .*")
"""Lines of stderr that are no remarks: progress, the figures of an extraction, images that failed."""


class Outcome:
    """What a command gave: exit code, output, its error, and the lines of stderr."""

    def __init__(self, *args: object) -> None:
        words = [str(arg) for arg in args]
        result = CliRunner().invoke(main, words)
        self.typed = " ".join(words)
        self.code = result.exit_code
        self.stdout = result.stdout
        # A progress bar goes back to the beginning of its line, and leaves blanks there.
        self.lines = [line.strip() for line in re.split("[\r\n]", result.stderr)]
        self.error = ""
        if isinstance(result.exception, FeatxError):
            self.code = 1
            self.error = explain(result.exception)
        elif result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception

    @property
    def remarks(self) -> list[str]:
        return [line for line in self.lines if not NO_REMARK.fullmatch(line)]

    @property
    def failed(self) -> list[str]:
        return [line for line in self.lines if line.startswith("failed: ")]

    def __str__(self) -> str:
        return "\n".join([f"featx {self.typed}: {self.code}", self.error, *self.lines, self.stdout[-500:]])


Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all cases: a picture that several of them hold is computed once."""
    return tmp_path_factory.mktemp("store") / "cache"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A sound model for data sets that make none."""
    folder = tmp_path_factory.mktemp("model")
    fill(folder / "photos", {"ants": 8, "bees": 8})
    Outcome("extract", folder / "photos", *LAYER, "--cache", cache)
    Outcome("fit", folder / "photos", *LAYER, "--clf", "logreg", "--cache", cache, "--out", folder / "m.featx")
    return folder / "m.featx"


@pytest.fixture
def run(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Type a command in the folder that holds the data set."""
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("FEATX_CACHE", str(cache))
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    monkeypatch.chdir(tmp_path / "here")
    return Outcome


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_data_set_is_read_rightly_or_refused_in_one_line(case: Case, tmp_path: Path, model: Path, run: Run) -> None:
    if case.needs:
        pytest.importorskip(case.needs)
    case.make(tmp_path / "here")
    typed = (case.data, *LAYER, *case.flags)
    extracted = run("extract", *typed, "--json")
    if case.stops:
        check_error(extracted, case.stops)
        check_error(run("fit", *typed, "--clf", "logreg"), case.stops)
    else:
        check_extracted(extracted, case)
        rows = tmp_path / "rows.h5"
        check_rows(run("cache", "export", *typed, "--out", rows), rows, case)
        check_fitted(run("fit", *typed, "--clf", "logreg", "--json", "--out", tmp_path / "m.featx"), case)
    fitted = tmp_path / "m.featx"
    check_predicted(run("predict", fitted if fitted.exists() else model, case.data, "--json"), case)


def check_error(outcome: Outcome, phrase: str) -> None:
    assert phrase in outcome.error, f"not said: {phrase}\n{outcome}"
    assert (outcome.code, outcome.stdout) == (1, ""), str(outcome)
    assert "\n" not in outcome.error, str(outcome)


def check_said(outcome: Outcome, lines: Sequence[str], phrases: Sequence[str]) -> None:
    """Check that each phrase stands in a line of its own, and no other line is there."""
    left = list(lines)
    for phrase in phrases:
        found = next((line for line in left if phrase in line), None)
        assert found is not None, f"not said: {phrase}\n{outcome}"
        left.remove(found)
    assert not left, f"not foreseen: {left}\n{outcome}"


def check_extracted(outcome: Outcome, case: Case) -> None:
    assert (outcome.code, outcome.error) == (1 if case.failed else 0, ""), str(outcome)
    check_said(outcome, outcome.remarks, case.said + case.pixels_said)
    check_said(outcome, outcome.failed, case.failed)
    images = json.loads(outcome.stdout)["images"]
    assert images == sum(case.read.values()) + len(case.failed), str(outcome)


def check_rows(outcome: Outcome, file: Path, case: Case) -> None:
    if not case.read:
        check_error(outcome, str(case.fitted))
        return
    assert outcome.code == 0, str(outcome)
    with h5py.File(file) as stored:
        splits = stored["split"].asstr(errors="surrogateescape")[:]
        labels = stored["labels"].asstr(errors="surrogateescape")[:]
    read = Counter(f"{split}/{label}" for split, label in zip(splits, labels, strict=True))
    assert read == case.read, str(outcome)


def check_fitted(outcome: Outcome, case: Case) -> None:
    if isinstance(case.fitted, str):
        check_error(outcome, case.fitted)
        return
    assert (outcome.code, outcome.error) == (0, ""), str(outcome)
    result = json.loads(outcome.stdout)
    assert (result["n_train"], result["n_test"]) == case.fitted, str(outcome)
    assert set(result["classes"]) == {place.split("/", 1)[1] for place in case.read}, str(outcome)
    assert case.held_out in result["split"], str(outcome)
    left_out = ["' is left out: "] * len(case.failed)
    check_said(outcome, outcome.remarks, [*case.said, *case.fit_said, *left_out, f"note: {result['split']}"])


def check_predicted(outcome: Outcome, case: Case) -> None:
    if isinstance(case.labelled, str):
        check_error(outcome, case.labelled)
        return
    if case.labelled is None and case.stops:
        assert outcome.code in (0, 1), str(outcome)
        return
    labelled = sum(case.read.values()) if case.labelled is None else case.labelled
    assert (outcome.code, outcome.error) == (1 if case.failed else 0, ""), str(outcome)
    entries = json.loads(outcome.stdout)
    reasons = [entry["reason"] for entry in entries if entry["label"] is None]
    assert (len(entries) - len(reasons), len(reasons)) == (labelled, len(case.failed)), str(outcome)
    check_said(outcome, outcome.remarks, case.predict_said + case.pixels_said)
