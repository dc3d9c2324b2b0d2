from __future__ import annotations

from pathlib import Path

import pytest

from eyechart.core.images import encode_png
from tests.cli.codec_command import PHOTO


@pytest.fixture
def png(tmp_path: Path) -> Path:
    """A PNG file in a folder of its own."""
    path = tmp_path / "in" / "photo.png"
    path.parent.mkdir()
    path.write_bytes(encode_png(PHOTO))
    return path
