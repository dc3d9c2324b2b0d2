"""For all tests: they depend neither on the speed of the machine nor on the terminal."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("eyechart", deadline=None)
settings.load_profile("eyechart")


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several test processes side by side have COLUMNS=80, which would wrap what tests read."""
    monkeypatch.delenv("COLUMNS", raising=False)
