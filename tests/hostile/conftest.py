"""One process for each file of hostile tests, which forks for every command."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hostile.harness import Harness


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    made = Harness(tmp_path_factory.mktemp("hostile"))
    yield made
    made.close()
