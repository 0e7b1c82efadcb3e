from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from featx.finetuning.checkpoint import FORMAT, Checkpoint


def test_a_state_comes_back_as_it_was_written(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "c", "facts")
    assert checkpoint.read() is None
    checkpoint.write({"epoch": 3, "weights": torch.arange(4.0)})
    state = checkpoint.read()
    assert state is not None
    assert state["epoch"] == 3
    assert torch.equal(state["weights"], torch.arange(4.0))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"format": FORMAT, "facts": "others"}, "belongs to another request: training starts anew"),
        ({"format": FORMAT - 1, "facts": "facts"}, "was written by another version of featx: training starts anew"),
        ({"facts": "facts"}, "was written by another version of featx: training starts anew"),
    ],
)
def test_a_state_of_another_request_or_version_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, written: dict[str, object], message: str
) -> None:
    torch.save(written, tmp_path / "c")
    with caplog.at_level(logging.WARNING):
        assert Checkpoint(tmp_path / "c", "facts").read() is None
    assert message in caplog.text
