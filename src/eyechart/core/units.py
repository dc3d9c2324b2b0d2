"""Times, sizes and counts as text."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """`0:42`, `12:05`, `3:20:00`, `5 days 4 h`."""
    whole = round(seconds)
    days, hours = whole // 86400, whole // 3600
    if days:
        return f"{days} {'day' if days == 1 else 'days'} {hours % 24} h"
    minutes = f"{whole // 60 % 60:02d}" if hours else f"{whole // 60}"
    return f"{f'{hours}:' if hours else ''}{minutes}:{whole % 60:02d}"


def size_text(size_bytes: float) -> str:
    """`250 bytes`, `1.5 kB`, `12 GB`: decimal units, three digits."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:,.3g} TB"


def counted(count: int, noun: str) -> str:
    """`1 question`, `1,200 questions`. noun: in the singular; its plural ends with s."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
