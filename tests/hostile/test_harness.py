"""The harness itself: it must see what it is there to see, or no hostile test could fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import picture
from tests.hostile.harness import Harness


def make_photos(root: Path) -> Path:
    for hue, name in enumerate(("red", "green")):
        (root / name).mkdir(parents=True)
        for number in range(4):
            picture(hue * 10 + number, hue).save(root / name / f"{number}.png")
    return root


def test_a_sound_command_passes(harness: Harness, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos")
    outcome = harness.run("extract", photos, "-b", "tiny", "-l", "layer4", "--cache", tmp_path / "cache").check()
    assert outcome.code == 0
    assert "8 extracted" in outcome.stdout + outcome.stderr


def test_code_that_runs_is_seen(harness: Harness, tmp_path: Path) -> None:
    network = tmp_path / "net.py"
    network.write_text("import os\nos.system('true')\ndef stages():\n    return []\n")
    outcome = harness.run("layers", network)
    assert {"exec", "os.system"} <= {event for event, _ in outcome.deeds}
    with pytest.raises(AssertionError):
        outcome.check()


def test_time_that_runs_out_is_seen(harness: Harness, tmp_path: Path) -> None:
    network = tmp_path / "net.py"
    network.write_text("import time\ntime.sleep(60)\n")
    assert harness.run("layers", network, seconds=0.5).timed_out


def test_memory_is_counted_above_the_imports(harness: Harness, tmp_path: Path) -> None:
    network = tmp_path / "net.py"
    network.write_text("block = b'x' * (1200 << 20)\n")
    assert harness.run("layers", network).extra_bytes > 1100 << 20
    assert harness.run("cache", "ls", "--cache", tmp_path).extra_bytes < 60 << 20
