"""What the tables of an analysis share: legends, notes, and lists without repetitions."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeVar

from eyechart.analysis.result import Analysis, BdResult, CellResult, PairResult
from eyechart.analysis.table import Table

T = TypeVar("T")

PER_DEVICE = "reproducible per device: the codec's decoded images depend on the kind of device"


def device_note(codec: str, per_device: Collection[str]) -> tuple[str, ...]:
    return (PER_DEVICE,) if codec in per_device else ()


def intervals_legend(analysis: Analysis) -> str:
    if not analysis.bootstrap_samples:
        return ""
    return f"95 % intervals: {analysis.bootstrap_samples} paired resamplings of the images"


def distinct(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))


def some(table: Table) -> list[Table]:
    return [table] if table.rows else []


def vlm_name(result: BdResult | CellResult | PairResult) -> str:
    """The VLM with its adapter, as rows are named."""
    return f"{result.vlm} + {result.adapter}" if result.adapter else result.vlm
