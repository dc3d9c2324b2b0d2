"""The vision tower of a model, which its family declares (`eyechart.families`)."""

from __future__ import annotations

from typing import Any

from eyechart.core.errors import InputError
from eyechart.vlms.families import all_families
from eyechart.vlms.towers import Tower


def tower_of(model: Any) -> Tower:
    """The tower of a transformers model. Raises InputError if its family declares none."""
    kind = getattr(model.config, "model_type", type(model).__name__)
    makers = {
        model_type: one.tower
        for one in all_families().values()
        for model_type in one.model_types
        if one.tower is not None
    }
    if kind not in makers:
        raise InputError(f"no adapter for models of family {kind!r}; allowed: {', '.join(makers)}")
    return makers[kind](model)
