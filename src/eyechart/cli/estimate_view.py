"""The output of `eyechart plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eyechart.cli.console import new_table
from eyechart.core.types import UNCOMPRESSED
from eyechart.core.units import duration, size_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from eyechart.api.results import CodecEstimate, Estimate

_GUESSED_PER_S = (100, 10)  # questions per second, for a VLM that was not measured


def print_estimate(
    title: str,
    estimate: Estimate,
    workers: int,
    console: Console,
    decoded_gb: float = 2.0,
    nodes: int = 1,
) -> None:
    """Print tasks, codecs, totals, and notes on what was not measured.

    nodes: of a cluster, each with one copy of the VLM and `workers` cores.
    """
    console.print(title, style="bold")
    console.print()
    console.print(_tasks(estimate))
    console.print()
    console.print(_codecs(estimate))
    height_px, width_px = estimate.image_px
    measured = f"measured now on one image of {width_px}x{height_px}, mean of the levels"
    if len({task.pixels for task in estimate.tasks}) > 1:
        measured += "; totals scaled by the pixels of each task's first image"
    console.print(f"bytes and processor time {measured}", style="dim")
    console.print()
    console.print(_totals(estimate, workers, decoded_gb, nodes))
    _print_notes(estimate, console)


def _tasks(estimate: Estimate) -> Table:
    table = new_table("task", "images", "questions", right=("images", "questions"))
    for task in estimate.tasks:
        mark = "" if task.note == "counted" else " ¹"
        table.add_row(task.name, f"{task.images:,}", f"{task.questions:,}{mark}")
    return table


def _codecs(estimate: Estimate) -> Table:
    numbers = ("levels", "bytes per image", "encode + decode")
    table = new_table("codec", *numbers, right=numbers)
    for codec in estimate.codecs:
        table.add_row(codec.name, str(codec.levels), *_measured(codec))
    return table


def _totals(estimate: Estimate, workers: int, decoded_gb: float, nodes: int) -> Table:
    code = f"{duration(estimate.code_s / workers)} on {workers} cores, in parallel to the VLM"
    absent = sum(codec.code_s is None for codec in estimate.codecs)
    rows = [
        ("VLMs", ", ".join(model.name for model in estimate.models)),
        ("cells", f"{estimate.cells:,}"),
        ("images", f"{estimate.images:,} to encode and decode"),
        ("questions", f"{estimate.questions:,}"),
        ("disk", _disk(estimate)),
        ("", _decoded(estimate, decoded_gb)),
        ("codec time", f"{code}; without {absent} codecs ²" if absent else code),
        *_vlm_time(estimate),
        *(_cluster(estimate, workers, nodes) if nodes > 1 else ()),
    ]
    answers = "answers of one token, or as long as allowed"
    rows += [
        ("cost", f"about {model.usd} for {answers} ({model.name})")
        for model in estimate.models
        if model.usd is not None
    ]
    table = new_table()
    for row in rows:
        table.add_row(*row)
    return table


def _measured(codec: CodecEstimate) -> tuple[str, str]:
    size = "–" if codec.payload_bytes is None else f"{codec.payload_bytes:,.0f}"
    if codec.code_s is None:
        return f"{size} ²", "not timed ²"
    return size, f"{1000 * codec.code_s:,.0f} ms"


def _disk(estimate: Estimate) -> str:
    text = f"{size_text(estimate.disk_bytes)} for bitstreams and records"
    source = sum(map(estimate.stream_bytes, (c for c in estimate.codecs if c.name == UNCOMPRESSED)))
    if source:
        text += f", {size_text(source)} of them uncompressed images"
    left_out = [codec.name for codec in estimate.codecs if codec.payload_bytes is None]
    return f"{text}; without {', '.join(left_out)}" if left_out else text


def _decoded(estimate: Estimate, budget_gb: float) -> str:
    """What the budget for decoded images holds, and what happens beyond it."""
    needed_bytes, budget = estimate.decoded_bytes, 1e9 * budget_gb
    limit = f"plus decoded images, up to --decoded-gb ({budget_gb:g} GB): "
    if not needed_bytes:
        return f"{limit}none, because these codecs decode quickly"
    needed = f"{limit}codecs that decode slowly make about {size_text(needed_bytes)}; "
    if needed_bytes <= budget:
        return f"{needed}all are stored"
    return f"{needed}the {size_text(needed_bytes - budget)} beyond are decoded again at each use"


def _vlm_time(estimate: Estimate) -> list[tuple[str, str]]:
    measured_s = estimate.answer_s()
    if measured_s is not None:
        rates = dict.fromkeys(
            model.rate.words for model in estimate.models if model.rate is not None
        )
        return [("VLM time", f"{duration(measured_s)} ({'; '.join(rates)})")]
    times = [estimate.answer_s(per_s) for per_s in _GUESSED_PER_S]
    short, long = (duration(time_s) for time_s in times if time_s is not None)
    unknown = [model.name for model in estimate.models if model.rate is None]
    which = ", ".join(unknown) if len(unknown) < len(estimate.models) else "these VLMs"
    many, few = _GUESSED_PER_S
    return [
        ("VLM time", f"not measured for {which}; give --rate, --rates"),
        ("", f"{short} to {long} at {many} to {few} questions per second"),
    ]


def _cluster(estimate: Estimate, workers: int, nodes: int) -> list[tuple[str, str]]:
    """Times where the work divides evenly, which needs many more images than nodes."""
    each = f"{workers} cores and one copy of the VLM each"
    codecs = duration(estimate.code_s / workers / nodes)
    times = [estimate.answer_s()]
    if times[0] is None:
        times = [estimate.answer_s(per_s) for per_s in _GUESSED_PER_S]
    answers = " to ".join(duration(time_s / nodes) for time_s in times if time_s is not None)
    return [(f"{nodes} nodes", f"VLM {answers}, codecs {codecs} beside it ({each})")]


def _print_notes(estimate: Estimate, console: Console) -> None:
    notes: dict[str, list[str]] = {}
    for task in estimate.tasks:
        if task.note != "counted":
            notes.setdefault(f"¹ {task.note}", []).append(task.name)
    for codec in estimate.codecs:
        if codec.code_s is None:
            size = codec.bpp_from or "not counted"
            note = f"² {codec.note}; time not counted, bytes {size}"
            notes.setdefault(note, []).append(codec.name)
    if notes:
        console.print()
    for note, names in notes.items():
        console.print(f"{note} ({', '.join(names)})", style="yellow")
