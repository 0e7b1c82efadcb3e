"""Runs the notebooks of the documentation and stores what they show: `python .ci/notebooks.py` after a change of one.

$NEU_STEEL and $MOBILENET_WEIGHTS name what the study of steel needs; without them that notebook is left as it is.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nbclient
import nbformat

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "notebooks"


def main() -> None:
    """Run each notebook in an empty folder."""
    for file in sorted(FOLDER.glob("*.ipynb")):
        if file.stem == "depth" and not {"NEU_STEEL", "MOBILENET_WEIGHTS"} <= set(os.environ):
            print(f"{file.name}: left as it is")
            continue
        notebook = nbformat.read(file, as_version=4)
        with tempfile.TemporaryDirectory() as work:
            nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": work}}).execute()
        for cell in notebook.cells:
            # When cells ran is nothing to be kept.
            cell.metadata.clear()
        notebook.metadata = {"kernelspec": notebook.metadata.kernelspec, "language_info": {"name": "python"}}
        nbformat.write(notebook, file)
        print(f"{file.name}: {file.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
