from __future__ import annotations

from pathlib import Path

import pytest

from featx.data.sources.image_files import MAX_IMAGE_BYTES, read_file


def test_a_file_too_large_to_be_a_picture_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(MAX_IMAGE_BYTES + 1)
    with pytest.raises(OSError, match="iB are more than"):
        read_file(str(tmp_path / "huge.jpg"))
