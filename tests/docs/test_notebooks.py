"""The notebooks of the documentation run from an empty folder, and what they are shown with is what they compute."""

from __future__ import annotations

from ast import literal_eval
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ipykernel")
nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "docs" / "notebooks"
MOST_BYTES = 100_000
"""Of a notebook with its outputs."""


def run_notebook(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Run a notebook in a folder, and give its cells of code."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")
    monkeypatch.delenv("FEATX_CACHE", raising=False)
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def read_output(cell: Any) -> str:
    """Read what a cell of code shows as plain text."""
    texts = [output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return "".join(texts)


def read_stored(name: str) -> list[Any]:
    """Read the cells of code as they are stored."""
    return [cell for cell in nbformat.read(NOTEBOOKS / name, as_version=4).cells if cell.cell_type == "code"]


def test_the_quickstart_computes_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = run_notebook("quickstart.ipynb", tmp_path, monkeypatch)
    assert "(1797, 0)" in read_output(cells[1])
    accuracy, low, high = literal_eval(read_output(cells[3]))
    assert low < accuracy < high
    assert accuracy > 0.95
    shown = literal_eval(read_output(read_stored("quickstart.ipynb")[3]))
    assert accuracy == pytest.approx(shown[0], abs=0.01)
    assert [label for label, _ in literal_eval(read_output(cells[4]))] == ["0", "1", "2", "3", "4"]


def test_the_study_of_depth_says_what_is_missing_and_takes_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEU_STEEL", str(tmp_path / "nothing"))
    cells = run_notebook("depth.ipynb", tmp_path, monkeypatch)
    assert read_output(cells[0]).startswith("skipped: nothing and mobilenet_v2-imagenet.safetensors cannot be found")
    assert "(1797, 0)" in read_output(cells[1])
    assert "layer4" in read_output(cells[2])


@pytest.mark.weights
def test_the_study_of_depth_computes_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: Path
) -> None:
    monkeypatch.setenv("NEU_STEEL", str(shared / "data" / "neu_steel"))
    monkeypatch.setenv("MOBILENET_WEIGHTS", str(shared / "weights" / "mobilenet_v2-imagenet.safetensors"))
    cells = run_notebook("depth.ipynb", tmp_path, monkeypatch)
    assert read_output(cells[0]) == ""
    assert "(600, 0)" in read_output(cells[1])
    shown = read_accuracies(read_output(read_stored("depth.ipynb")[2]))
    assert len(shown) == 6
    assert read_accuracies(read_output(cells[2])) == pytest.approx(shown, abs=0.02)


def read_accuracies(table: str) -> dict[str, float]:
    """Read the cross-validated accuracy of each layer."""
    rows = [line.removeprefix("*").removeprefix("=").split() for line in table.splitlines() if " features." in line]
    return {row[0]: float(row[4]) for row in rows if row[1] == "avg"}


@pytest.mark.parametrize("name", sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")))
def test_it_is_small_and_shows_what_it_computed_without_names_of_folders(name: str) -> None:
    text = (NOTEBOOKS / name).read_text(encoding="utf-8")
    assert len(text) < MOST_BYTES
    assert all(cell.execution_count for cell in read_stored(name))
    for folder in ("/tmp", "/home", "/root", "/work", str(ROOT)):
        assert folder not in text
