"""What a run measured with: versions, settings and levels of tasks, codecs, VLMs and adapters."""

from __future__ import annotations

from collections.abc import Sequence

from eyechart.analysis.cells import CellData
from eyechart.analysis.result import ComponentInfo, ComponentKind, LevelInfo
from eyechart.core.types import Component, Level

KINDS: tuple[ComponentKind, ...] = ("task", "codec", "vlm", "adapter")


def components(cells: Sequence[CellData]) -> tuple[ComponentInfo, ...]:
    """Every component once, tasks first, then codecs with their levels, VLMs and adapters."""
    found: dict[tuple[str, str], ComponentInfo] = {}
    levels: dict[str, dict[str, Level]] = {}
    for read in cells:
        levels.setdefault(read.codec, {}).setdefault(read.cell.level.name, read.cell.level)
    for kind in KINDS:
        for read in cells:
            component: Component | None = getattr(read.cell, kind)
            name = getattr(read, kind)
            if component is None or (kind, name) in found:
                continue
            found[kind, name] = ComponentInfo(
                kind=kind,
                name=name,
                version=component.version,
                options=dict(component.options),
                levels=tuple(map(_level, levels[name].values())) if kind == "codec" else (),
                chroma=read.facts.chroma if kind == "codec" else "",
                max_new_tokens=read.cell.decoding.max_new_tokens if kind == "task" else None,
            )
    return tuple(found.values())


def _level(level: Level) -> LevelInfo:
    return LevelInfo(name=level.name, knobs=dict(level.knobs), weights=level.weights)
