"""How `eyechart plan` shows an estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from eyechart.run.estimate import CodecEstimate, Estimate


def print_estimate(title: str, estimate: Estimate, workers: int, console: Console) -> None:
    """Tasks, codecs, totals; last what was not measured."""
    from rich.table import Table
    from rich.text import Text

    from eyechart.run.costs import dollars
    from eyechart.run.progress import duration

    console.print(Text(title, style="bold"))
    console.print()
    tasks = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("task", "images", "questions"):
        tasks.add_column(heading, justify="left" if heading == "task" else "right")
    for task in estimate.tasks:
        mark = "" if task.note == "counted" else " ¹"
        tasks.add_row(task.name, f"{task.images:,}", f"{task.questions:,}{mark}")
    console.print(tasks)
    console.print()
    codecs = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("codec", "levels", "bytes an image", "encode + decode"):
        codecs.add_column(heading, justify="left" if heading == "codec" else "right")
    for codec in estimate.codecs:
        codecs.add_row(codec.name, str(codec.levels), *_measured(codec))
    console.print(codecs)
    height_px, width_px = estimate.picture_px
    measured = "processor time measured now on one picture of"
    console.print(Text(f"{measured} {width_px}x{height_px}, mean of the levels", style="dim"))
    console.print()
    totals = Table(box=None, pad_edge=False, show_header=False)
    totals.add_column()
    totals.add_column()
    totals.add_row("VLMs", ", ".join(lane.name for lane in estimate.lanes))
    totals.add_row("cells", f"{estimate.cells:,}")
    totals.add_row("images", f"{estimate.pictures:,} to encode and decode")
    totals.add_row("questions", f"{estimate.questions:,}")
    totals.add_row("disk", f"{_bytes(estimate.disk_bytes)} for bitstreams and records")
    totals.add_row(
        "codec time", f"{duration(estimate.code_s / workers)} on {workers} cores, beside the VLM"
    )
    totals.add_row("VLM time", _vlm_time(estimate))
    for lane in estimate.lanes:
        if lane.usd is not None:
            cost = f"about {dollars(lane.usd)}, every answer at full length"
            totals.add_row("cost", f"{cost} ({lane.name})")
    console.print(totals)
    _print_notes(estimate, console)


def _measured(codec: CodecEstimate) -> tuple[str, str]:
    if codec.code_s is None or codec.payload_bytes is None:
        return "–", "not here ²"
    return f"{codec.payload_bytes:,.0f}", f"{1000 * codec.code_s:,.0f} ms"


def _vlm_time(estimate: Estimate) -> str:
    from eyechart.run.progress import duration

    if estimate.answer_s is None:
        unknown = [lane.name for lane in estimate.lanes if lane.rate is None]
        which = ", ".join(unknown) if len(unknown) < len(estimate.lanes) else "these VLMs"
        return f"not measured yet for {which}; --rate gives questions a second"
    rates = dict.fromkeys(lane.rate.words for lane in estimate.lanes if lane.rate is not None)
    return f"{duration(estimate.answer_s)} ({'; '.join(rates)})"


def _print_notes(estimate: Estimate, console: Console) -> None:
    from rich.text import Text

    notes: dict[str, list[str]] = {}
    for task in estimate.tasks:
        if task.note != "counted":
            notes.setdefault(f"¹ {task.note}", []).append(task.name)
    for codec in estimate.codecs:
        if codec.code_s is None:
            note = codec.note.removeprefix(f"{codec.name}: ")
            notes.setdefault(f"² not in the totals: {note}", []).append(codec.name)
    if notes:
        console.print()
    for note, names in notes.items():
        console.print(Text(f"{note} ({', '.join(names)})", style="yellow"))


def _bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"
