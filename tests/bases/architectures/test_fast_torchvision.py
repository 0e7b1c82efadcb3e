"""Starting without torch's compiler, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

START = "import sys\nimport featx.bases.architectures.fast_torchvision as starting\n"


def check(script: str, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_extraction_needs_no_compiler(tmp_path: Path) -> None:
    words = ["extract", "digits", "--base", "tiny", "--layer", "layer2", "--cache", "cache", "-q", "--shard", "1/50"]
    check(
        "import sys\nfrom featx.cli.main import run\n"
        f"try:\n    run({words!r})\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'torch._dynamo' not in sys.modules and 'ray' not in sys.modules",
        tmp_path,
    )


def test_the_compiler_can_be_had_afterwards(tmp_path: Path) -> None:
    check(
        f"{START}starting.import_without_compiler()\n"
        "assert 'torchvision' in sys.modules and 'torch._dynamo' not in sys.modules\n"
        "import torch\nimport torch._dynamo.utils as real\n"
        "assert torch._dynamo.__file__ and callable(torch._dynamo.optimize)\n"
        "made = sys.modules['torchvision.ops.roi_align'].is_compile_supported\n"
        "assert made is not real.is_compile_supported and made('cpu') == real.is_compile_supported('cpu')",
        tmp_path,
    )


@pytest.mark.parametrize("already", ["torchvision", "torch._dynamo"])
def test_nothing_is_done_where_it_is_there_already(already: str, tmp_path: Path) -> None:
    check(
        f"{START}import {already}\nbefore = set(sys.modules)\nstarting.import_without_compiler()\n"
        "assert set(sys.modules) == before and sys.modules['torch._dynamo'].__file__",
        tmp_path,
    )


def test_a_torchvision_that_asks_for_more_gets_the_whole_compiler(tmp_path: Path) -> None:
    check(
        f"{START}made = starting.make_stand_ins\n"
        "less = {'torch._dynamo.utils': starting.ModuleType('torch._dynamo.utils')}\n"
        "starting.make_stand_ins = lambda: {**made(), **less}\n"
        "starting.import_without_compiler()\nassert 'torchvision' not in sys.modules\n"
        "import torchvision.transforms.v2\nassert sys.modules['torch._dynamo'].__file__",
        tmp_path,
    )


def test_a_worker_of_a_cluster_is_imported_without_torchvision(tmp_path: Path) -> None:
    check("import sys\nimport featx.runners.cluster_worker\nassert 'torchvision' not in sys.modules", tmp_path)
