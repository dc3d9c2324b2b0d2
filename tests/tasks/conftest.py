"""Properties are checked without a deadline: a busy machine is no failure."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("tasks", deadline=None, max_examples=50)
settings.load_profile("tasks")
