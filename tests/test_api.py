"""The commands as functions of the package."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import featx


def test_every_name_is_there_and_documented() -> None:
    for name in featx.__all__:
        assert (getattr(featx, name).__doc__ or "").strip()
    assert set(featx.__all__) <= set(dir(featx))


def test_a_function_stays_a_function_after_its_module_was_imported() -> None:
    importlib.import_module("featx.runners.local")
    from featx.runners import local as extract
    from featx.workflows import predict
    from featx.workflows.predict import predict as again

    assert callable(extract)
    assert predict is again
    assert extract is sys.modules["featx.runners.local"].extract


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'extrct'"):
        featx.extrct  # noqa: B018


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = (
        "import sys, featx, featx.cli.main\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'numpy', 'h5py'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_data_set_becomes_labels_in_five_calls(photos: Path, cache: Path, tmp_path: Path) -> None:
    from featx import BaseChoice, CompareRequest, ExtractRequest, PredictRequest, compare, fit, load_model
    from featx.runners import local as extract
    from featx.workflows import predict

    base = BaseChoice("tiny", "random")
    assert extract(ExtractRequest(str(photos), base, ["layer1", "layer3"], cache=cache)).extracted == 36
    rows = compare(CompareRequest(str(photos), base, ["layer1", "layer1+layer3"], ["svm"], cache=cache))
    outcome = fit(CompareRequest(str(photos), base, ["layer1+layer3"], ["svm"], cache=cache))
    assert outcome.result.test_accuracy == rows[1].test_accuracy
    outcome.model.save(tmp_path / "m.featx")
    assert load_model(tmp_path / "m.featx").scores["test_accuracy"] == rows[1].test_accuracy
    (image,) = predict(PredictRequest(tmp_path / "m.featx", [str(photos / "red" / "03.png")])).labelled
    assert image.label == "red"
