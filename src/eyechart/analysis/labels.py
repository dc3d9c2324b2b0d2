"""Labels of components in tables: names, with only those options that distinguish them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from eyechart.core.identity import canonical_json
from eyechart.core.types import Component

# `for_task` holds a VLM's changes for one task, which must not make it look like a second VLM.
_HIDDEN = frozenset({"for_task"})


class Labels:
    """Labels of a run's components of one kind. Different components have different labels."""

    def __init__(self, components: Iterable[Component], *, quiet: Collection[str] = ()) -> None:
        """quiet: options that labels do not show."""
        distinct = {_identity(component): component for component in components}
        by_name: defaultdict[str, list[Component]] = defaultdict(list)
        for component in distinct.values():
            by_name[component.name].append(component)
        self._labels = {
            _identity(component): _label(component, same_name, quiet)
            for same_name in by_name.values()
            for component in same_name
        }

    def of(self, component: Component | None) -> str:
        """The component's label; "" for no component."""
        return "" if component is None else self._labels[_identity(component)]


def _label(component: Component, same_name: list[Component], quiet: Collection[str]) -> str:
    """`jpeg`, or `jpeg:optimize=true` beside a jpeg whose `optimize` differs."""
    options = _shown(component)
    distinguishing = {
        key: value
        for key, value in options.items()
        if key not in quiet and any(_shown(other).get(key) != value for other in same_name)
    }
    if not distinguishing and any(_shown(other) != options for other in same_name):
        return component.name  # only the others have that option
    label = component.name
    if distinguishing:
        pairs = (f"{key}={_value(value)}" for key, value in sorted(distinguishing.items()))
        label += ":" + ",".join(pairs)
    duplicates = [other for other in same_name if _shown(other) == options]
    return f"{label} {component.version}" if len(duplicates) > 1 else label


def _shown(component: Component) -> dict[str, object]:
    return {key: value for key, value in component.options.items() if key not in _HIDDEN}


def _value(value: object) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _identity(component: Component) -> str:
    return canonical_json([component.name, component.version, _shown(component)])
