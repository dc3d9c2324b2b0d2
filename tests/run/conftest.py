"""Fixtures of the tests of runs."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no reason to fail.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the disk protects against power cuts, which no test simulates."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
