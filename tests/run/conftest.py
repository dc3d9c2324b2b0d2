"""What all tests of the run share."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the disk guards against power cuts, which no test here makes."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
