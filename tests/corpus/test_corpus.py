"""Data sets as people have them, through `extract`, `fit` and `predict` as users type them.

No case ends in a traceback, none with exit code 0 and a wrong reading, and nothing is said that is not foreseen.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import h5py
import pytest

from tests.corpus.case import Case
from tests.corpus.cases_folders import FOLDERS
from tests.corpus.cases_lists import LISTS
from tests.corpus.cases_names import NAMES
from tests.corpus.cases_ranges import RANGES
from tests.corpus.cases_tables import TABLES
from tests.corpus.typing_in import LAYER, Outcome, check_error, check_said, type_apart, type_here

GROUPS = {"folders": FOLDERS, "tables": TABLES, "lists": LISTS, "names": NAMES, "ranges": RANGES}

CASES = [pytest.param(case, id=f"{group}: {case.name}") for group, cases in GROUPS.items() for case in cases]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_data_set_is_read_rightly_or_refused_in_one_line(
    case: Case, here: Path, tmp_path: Path, corpus_model: Path
) -> None:
    if case.needs:
        pytest.importorskip(case.needs)
    case.make(here)
    typed = (case.data, *LAYER, *case.flags)
    extracted = type_here("extract", *typed, "--json")
    if case.stops:
        check_error(extracted, case.stops)
        check_error(type_here("fit", *typed, "--clf", "logreg"), case.stops)
    else:
        check_extracted(extracted, case)
        rows = tmp_path / "rows.h5"
        check_rows(type_here("cache", "export", *typed, "--out", rows), rows, case)
        check_fitted(type_here("fit", *typed, "--clf", "logreg", "--json", "--out", tmp_path / "m.featx"), case)
    fitted = tmp_path / "m.featx"
    check_predicted(type_here("predict", fitted if fitted.exists() else corpus_model, case.data, "--json"), case)


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


APART = [
    *(case for case in FOLDERS if case.name in ("splits Train and VALID", "a folder beside splits")),
    *(case for case in TABLES if case.name in ("Latin-1", "separated by ';'")),
    *(case for case in NAMES if case.name in ("names that are not UTF-8", "pipes, sockets and devices")),
]


@pytest.mark.slow
@pytest.mark.parametrize("case", APART, ids=[case.name for case in APART])
def test_a_process_of_its_own_says_the_same(case: Case, here: Path, tmp_path: Path) -> None:
    case.make(here)
    extracted = type_apart("extract", case.data, *LAYER, "--json")
    if case.stops:
        check_error(extracted, case.stops)
        return
    check_extracted(extracted, case)
    model = tmp_path / "m.featx"
    check_fitted(type_apart("fit", case.data, *LAYER, "--clf", "logreg", "--json", "--out", model), case)
    check_predicted(type_apart("predict", model, case.data, "--json"), case)


def test_no_two_cases_of_a_group_have_one_name() -> None:
    for cases in GROUPS.values():
        names = [case.name for case in cases]
        assert len(names) == len(set(names))
