"""The vision tower of a model, which its family declares (`eyechart.families`)."""

from __future__ import annotations

from typing import Any

from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.vlms.families import all_families, family, family_of_type
from eyechart.vlms.towers import Tower


def tower_of(model: Any) -> Tower:
    """The tower of a transformers model.

    Raises:
        InputError: its family declares none.
        PluginError: two families claim the model's type, or its family fails.
    """
    kind = getattr(model.config, "model_type", type(model).__name__)
    name = family_of_type(kind)
    maker = None if name is None else family(name).tower
    if name is None or maker is None:
        families = all_families().values()
        allowed = [kind for one in families if one.tower is not None for kind in one.model_types]
        raise InputError(f"no adapter for models of family {kind!r}; allowed: {', '.join(allowed)}")
    with plugins.guarded(name):
        return maker(model)
