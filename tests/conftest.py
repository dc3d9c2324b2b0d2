"""For all tests: they depend neither on the speed of the machine nor on the terminal."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from eyechart.core.workers import let_threads_sleep

settings.register_profile("eyechart", deadline=None)
settings.load_profile("eyechart")
let_threads_sleep()  # several test processes run side by side
# A late call of one test must not start another Ray for the next. Ray reads this when it is
# imported, by some tests before eyechart sets it.
os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several test processes side by side have COLUMNS=80, which would wrap what tests read."""
    monkeypatch.delenv("COLUMNS", raising=False)
