"""For all tests: they depend neither on the speed of the machine nor on the terminal."""

from __future__ import annotations

import pytest
from hypothesis import settings

from eyechart.core.workers import let_threads_sleep

settings.register_profile("eyechart", deadline=None)
settings.load_profile("eyechart")
let_threads_sleep()  # several test processes run side by side


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several test processes side by side have COLUMNS=80, which would wrap what tests read."""
    monkeypatch.delenv("COLUMNS", raising=False)
