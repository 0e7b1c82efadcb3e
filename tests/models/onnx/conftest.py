"""An exported model that the tests of reading share: exporting takes seconds."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

MISSING = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the extra `onnx` where it is not installed."""
    if MISSING:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=f"{', '.join(MISSING)} not installed"))


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of three classes as an ONNX file, with the `.featx` file that it was made of beside it."""
    import featx
    from tests.conftest import load_base
    from tests.models.onnx.making import make_model

    folder = tmp_path_factory.mktemp("onnx")
    make_model(load_base("tiny"), "svm").save(folder / "m.featx")
    featx.export(folder / "m.featx", folder / "m.onnx")
    return folder / "m.onnx"
